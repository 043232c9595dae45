"""The open head: built from MakeHuman's CC0 geometry, one step a module, in the order base mesh, identities, expressions,
rig, ARKit shapes, landmarks, masks, UV layout; `build.py` runs them all."""
