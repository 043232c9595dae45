"""Parts of the open head's recipe that need none of its sources."""

from __future__ import annotations

import numpy as np
import pytest

from assets.recipes.open_head.arkit_shapes import build_arkit_shapes
from assets.recipes.open_head.eyeball import LIMBUS_RADIUS_M, SEGMENTS, make_eyeball, sphere_through
from assets.recipes.open_head.mesh_topology import QuadTopology, mirror_vertices, triangulate, vertex_normals
from assets.recipes.open_head.surface_field import SurfaceField

AROUND, HIGH = 12, 6


def tube() -> tuple[np.ndarray, np.ndarray]:
    """A tube of quads: vertices (72, 3) and quads (60, 4)."""
    angle = np.arange(AROUND) * 2 * np.pi / AROUND
    rings = [np.stack([np.cos(angle), np.full(AROUND, float(y)), np.sin(angle)], axis=1) for y in range(HIGH)]
    here = np.arange(AROUND)
    after = (here + 1) % AROUND
    quads = [
        np.stack([AROUND * y + here, AROUND * (y + 1) + here, AROUND * (y + 1) + after, AROUND * y + after], axis=1)
        for y in range(HIGH - 1)
    ]
    return np.concatenate(rings), np.concatenate(quads)


def test_edge_loop_goes_around_and_cuts():
    _, quads = tube()
    topology = QuadTopology(quads)
    loop = topology.edge_loop(2 * AROUND, 2 * AROUND + 1)
    assert sorted(loop) == list(range(2 * AROUND, 3 * AROUND))
    above = topology.faces_within(loop, 5 * AROUND)
    assert len(above) == 3 * AROUND
    assert quads[above].min() == 2 * AROUND


def test_edge_loop_along_the_tube_is_open():
    _, quads = tube()
    with pytest.raises(ValueError, match="does not close"):
        QuadTopology(quads).edge_loop(AROUND, 2 * AROUND)


def test_rings_count_faces_away():
    _, quads = tube()
    rings = QuadTopology(quads).rings(3 * AROUND, 2)
    assert [len(ring) for ring in rings] == [1, 8, 16]


def test_mirror_refuses_a_lopsided_mesh():
    vertices, _ = tube()
    mirror = mirror_vertices(vertices)
    assert np.allclose(vertices[mirror], vertices * [-1, 1, 1])
    with pytest.raises(ValueError, match="not symmetric"):
        mirror_vertices(vertices + np.array([0.01, 0.0, 0.0]))


def test_eyeball_is_closed_and_faces_outwards():
    ball = make_eyeball(0.012)
    triangles, owner = triangulate(ball.polygons)
    assert len(np.unique(owner)) == len(ball.polygons)
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert set(np.unique(edges, axis=0, return_counts=True)[1]) == {2}
    normals = vertex_normals(ball.offsets, triangles)
    assert ((normals * ball.offsets).sum(1) > 0.9 * np.linalg.norm(ball.offsets, axis=1)).all()
    limbus = ball.offsets[1 + 2 * SEGMENTS : 1 + 3 * SEGMENTS]
    assert np.hypot(limbus[:, 0], limbus[:, 1]) == pytest.approx(LIMBUS_RADIUS_M)


def test_sphere_through_finds_scattered_spheres():
    random = np.random.default_rng(0)
    directions = random.normal(size=(5, 40, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    centres, radii = random.normal(size=(5, 3)), random.uniform(0.5, 2, 5)
    found, radius = sphere_through(centres[:, None] + radii[:, None, None] * directions)
    assert np.allclose(found, centres) and np.allclose(radius, radii)


def test_surface_field_is_smooth_between_its_fixed_values():
    vertices, quads = tube()
    fixed = np.r_[0 : 2 * AROUND, 4 * AROUND : 6 * AROUND]
    field = SurfaceField(vertices, quads).solve(fixed, vertices[fixed, 1:2])
    assert np.allclose(field[:, 0], vertices[:, 1], atol=1e-6)  # linear height is biharmonic on a tube


def test_arkit_recipe_refuses_unknown_expressions():
    with pytest.raises(KeyError):
        build_arkit_shapes(("smile_left",))
