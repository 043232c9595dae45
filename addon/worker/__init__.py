"""The worker process, seen from Blender's side; nothing here needs bpy."""
