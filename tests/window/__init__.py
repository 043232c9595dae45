"""The suite that works in a real Blender's window, with mouse and keyboard: `python3 build.py test --window`."""
