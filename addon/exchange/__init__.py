"""What the Blender side and the backend share (standard library and numpy only)."""
