"""Builds the zips that Blender installs, and checks one inside a fresh Blender profile."""
