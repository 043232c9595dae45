"""The edges of a mesh that a camera sees, for drawing the mesh over a photo."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from ..exchange.conventions import MODEL_TO_BLENDER

# A vertex is seen when nothing stands this close in front of it or further on; less, and it hides itself.
_CLEARANCE_M = 0.0015
_FAR_M = 10.0
# What makes more of a mesh than its own vertices.
_FINER_MODIFIERS = ("SUBSURF", "NODES")


def evaluated_positions(mesh_object: bpy.types.Object) -> np.ndarray:
    """(V,3) vertices as they stand now, keys and bones applied, neither subdivided nor displaced, model space."""
    finer = [item for item in mesh_object.modifiers if item.type in _FINER_MODIFIERS and item.show_viewport]
    for modifier in finer:
        modifier.show_viewport = False
    try:
        bpy.context.view_layer.update()
        mesh = mesh_object.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
        positions = np.empty((len(mesh.vertices), 3), np.float32)
        mesh.vertices.foreach_get("co", positions.ravel())
    finally:
        for modifier in finer:
            modifier.show_viewport = True
    # the rows of a rotation's inverse are its columns
    return positions @ MODEL_TO_BLENDER.astype(np.float32)


def visible_edges(mesh_object: bpy.types.Object, positions: np.ndarray, towards_camera: np.ndarray) -> np.ndarray:
    """The edges of which both ends are seen.

    Args:
        mesh_object: whose edges and polygons.
        positions: (V,3) metres, model space, where its vertices are.
        towards_camera: (V,3) from each vertex to the camera, unit length, model space.

    Returns:
        (L,2) vertex indices.
    """
    mesh = mesh_object.data
    polygons = [tuple(polygon.vertices) for polygon in mesh.polygons]
    tree = BVHTree.FromPolygons(positions.tolist(), polygons)
    starts = positions + _CLEARANCE_M * towards_camera
    seen = np.array(
        [
            tree.ray_cast(Vector(start), Vector(direction), _FAR_M)[0] is None
            for start, direction in zip(starts.tolist(), towards_camera.tolist(), strict=True)
        ]
    )
    edges = np.empty((len(mesh.edges), 2), np.int32)
    mesh.edges.foreach_get("vertices", edges.ravel())
    return edges[seen[edges].all(1)]
