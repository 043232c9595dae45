"""Expressions of an avatar: as values, as presets, as recordings, and as keys on Blender's timeline."""
