"""The open head, built from MakeHuman's CC0 geometry; `build.py` runs the steps.

In order: base mesh, identities, rig, expressions, ARKit shapes, masks, landmarks, UV layout.
"""
