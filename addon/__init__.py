"""Likeness: the Blender side. Importing this package needs neither bpy nor torch."""
