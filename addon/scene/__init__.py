"""Blender objects built from an avatar package, and the sheet of pictures that shows them (needs bpy)."""
