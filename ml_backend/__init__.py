"""The PyTorch backend: a photo in, an avatar package out. Never imports bpy."""
