"""Avatars for other programs: game engines, and files of baked motion."""
