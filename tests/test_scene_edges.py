"""Parts that keep their edges when the head is subdivided."""

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from addon.scene.mesh_object import MeshArrays, keep_edges, make_mesh, smooth_in_renders  # noqa: E402


def bent_strip() -> MeshArrays:
    """Two squares that meet at a right angle (slot 1) beside two that lie flat (slot 0), 1 m on a side."""
    bent = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (1, 1, 1), (0, 1, 1)]
    flat = [(5, 0, 0), (6, 0, 0), (6, 1, 0), (5, 1, 0), (6, 2, 0), (5, 2, 0)]
    polygons = np.array([(0, 1, 2, 3), (3, 2, 4, 5), (6, 7, 8, 9), (9, 8, 10, 11)])
    uv = np.zeros((4, 2), np.float32)
    corners = np.tile(np.arange(4), (4, 1))
    return MeshArrays(np.array(bent + flat, np.float32), polygons, uv, corners, np.array([1, 1, 0, 0]), {})


def test_kept_parts_keep_their_form_when_subdivided():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = make_mesh("strip", bent_strip())
    for name in ("soft", "kept"):
        mesh.materials.append(bpy.data.materials.new(name))
    keep_edges(mesh, [1])
    mesh_object = bpy.data.objects.new("strip", mesh)
    bpy.context.scene.collection.objects.link(mesh_object)
    smooth_in_renders(mesh_object)
    mesh_object.modifiers["Subdivision"].show_viewport = True
    evaluated = mesh_object.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    points = np.array([vertex.co for vertex in evaluated.vertices])
    kept, soft = points[points[:, 0] < 3], points[points[:, 0] > 3]
    for corner in [(0, 0, 0), (1, 1, 0), (1, 1, 1)]:
        assert np.linalg.norm(kept - corner, axis=1).min() < 1e-5
    # the same corner without a crease draws in
    assert np.linalg.norm(soft - (6, 2, 0), axis=1).min() > 0.05


def test_only_the_bent_edge_of_a_kept_part_is_sharp():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = make_mesh("strip", bent_strip())
    keep_edges(mesh, [1])
    sharp = [
        tuple(sorted(edge.vertices)) for edge in mesh.edges if mesh.attributes["sharp_edge"].data[edge.index].value
    ]
    assert sharp == [(2, 3)]
