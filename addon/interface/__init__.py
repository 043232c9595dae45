"""What the artist sees in Blender: panels, operators, preferences, and the timer that listens to the worker."""
