"""The open head's UV layout, as it ships, and the flattening that makes it."""

from __future__ import annotations

import numpy as np
import pytest

from assets.recipes.open_head.uv_flattening import (
    FlatteningProblem,
    corner_triangles,
    minimise_distortion,
    rest_triangles,
    tutte_embedding,
)
from assets.recipes.open_head.uv_islands import boundary_loops, connected_labels
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel

GRID = 1024


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def _signed_areas(head: HeadModel) -> np.ndarray:
    a, b, c = head.uv.numpy().astype(np.float64)[head.uv_triangles.numpy()].transpose(1, 0, 2)
    return 0.5 * np.cross(b - a, c - a)


def _coverage(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """How many triangles hold each texel's centre, and the island of one of them (-1: none)."""
    corners = head.uv.numpy().astype(np.float64)[head.uv_triangles.numpy()] * GRID
    uv_polygons = head.uv_polygons.numpy()
    islands = connected_labels(uv_polygons.astype(np.int64))[head.triangle_polygon.numpy()]
    count, owner = np.zeros((GRID, GRID), int), np.full((GRID, GRID), -1)
    for triangle, island in zip(corners, islands, strict=True):
        low, high = np.floor(triangle.min(0)).astype(int), np.ceil(triangle.max(0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.ones(x.shape, bool)
        for (ax, ay), (bx, by) in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
            inside &= (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 1e-9
        window = slice(low[1], high[1]), slice(low[0], high[0])
        count[window] += inside
        owner[window][inside] = island
    return count, owner


def test_no_triangle_is_flipped(head):
    assert _signed_areas(head).min() > 0


def test_the_face_takes_at_least_forty_percent(head):
    face = head.masks["face"].numpy()[head.triangles.numpy()].mean(1)
    assert (_signed_areas(head) * face).sum() >= 0.40


def test_no_texel_is_covered_twice_and_islands_keep_their_distance(head):
    count, owner = _coverage(head)
    assert count.max() == 1
    for island in range(owner.max() + 1):
        near = np.zeros_like(owner, bool)
        rows, columns = np.nonzero(owner == island)
        for shift_row in range(-4, 5):  # at least four free texels between two islands
            for shift_column in range(-4, 5):
                near[np.clip(rows + shift_row, 0, GRID - 1), np.clip(columns + shift_column, 0, GRID - 1)] = True
        assert not np.any(near & (owner >= 0) & (owner != island))


def test_the_skin_is_symmetric_and_upright(head):
    uv, uv_polygons, polygons = (array.numpy() for array in (head.uv, head.uv_polygons, head.polygons))
    mirror, template = head.mirror_vertex.numpy(), head.skinned.template.numpy()
    face = head.masks["face"].numpy() > 0.5
    place = np.full((len(template), 2), np.nan)
    place[polygons[polygons >= 0]] = uv[uv_polygons[polygons >= 0]]
    np.testing.assert_allclose(place[mirror[face]], [1, 0] + place[face] * [-1, 1], atol=1e-6)
    assert np.corrcoef(template[face, 0], place[face, 0])[0, 1] > 0.95
    assert np.corrcoef(template[face, 1], place[face, 1])[0, 1] > 0.95


def test_the_face_is_little_distorted(head):
    points, triangles = head.skinned.template.numpy().astype(np.float64), head.triangles.numpy()
    chosen = head.masks["face"].numpy()[triangles].min(1) > 0.9
    corners = head.uv.numpy().astype(np.float64)[head.uv_triangles.numpy()[chosen]]
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], 2)
    rest = rest_triangles(points, triangles[chosen])
    stretch = np.linalg.svd(edges @ np.linalg.inv(rest), compute_uv=False)
    area = np.linalg.det(rest)
    assert np.average(stretch[:, 0] / stretch[:, 1], weights=area) < 1.5
    scale = np.sqrt(stretch.prod(1))
    middle = np.average(scale, weights=area)
    assert np.average((scale > 0.7 * middle) & (scale < 1.3 * middle), weights=area) > 0.9


def test_the_pupil_is_in_the_middle_of_its_island(head):
    polygons, uv_polygons = head.polygons.numpy(), head.uv_polygons.numpy()
    template, uv = head.skinned.template.numpy(), head.uv.numpy()
    for name in ("left_eye", "right_eye"):
        rows = head.polygon_part.numpy() == head.part_names.index(name)
        corners = polygons[rows] >= 0
        vertices, places = polygons[rows][corners], uv[uv_polygons[rows][corners]]
        pole = vertices[np.argmax(template[vertices, 2])]
        pupil = places[vertices == pole][0]
        island = places[np.linalg.norm(places - pupil, axis=1) < 0.07]
        np.testing.assert_allclose((island.min(0) + island.max(0)) / 2, pupil, atol=2e-3)


def test_a_flat_sheet_is_flattened_without_distortion():
    """A flat surface has an isometric layout, where the energy is 4 per triangle: its least value."""
    side = 6
    x, y = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 0.5, side))
    points = np.stack([x.ravel(), y.ravel(), 0.3 * np.ones(side * side)], 1)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    polygons = np.stack([corner, corner + 1, corner + side + 1, corner + side], 1)
    (loop,) = boundary_loops(polygons)
    turn = np.linspace(0, 2 * np.pi, len(loop), endpoint=False)
    start = tutte_embedding(polygons, loop, np.stack([np.cos(turn), np.sin(turn)], 1), len(points))
    triangles, _ = corner_triangles(polygons)
    rest = rest_triangles(points, triangles)
    frozen = np.zeros((len(points), 2), bool)
    frozen[0] = True
    weights = np.full(len(triangles), 1 / len(triangles))
    problem = FlatteningProblem(triangles, np.linalg.inv(rest), weights, frozen)
    uv = minimise_distortion(problem, start, iterations=200, tolerance=1e-12)
    lengths = np.linalg.norm(uv[polygons] - uv[np.roll(polygons, 1, axis=1)], axis=2)
    wanted = np.linalg.norm(points[polygons] - points[np.roll(polygons, 1, axis=1)], axis=2)
    np.testing.assert_allclose(lengths, wanted, rtol=1e-3)


def test_a_flipped_start_is_refused():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    triangles, _ = corner_triangles(np.array([[0, 1, 2, 3]]))
    inverse = np.linalg.inv(rest_triangles(points, triangles))
    problem = FlatteningProblem(triangles, inverse, np.ones(4), np.zeros((4, 2), bool))
    with pytest.raises(ValueError, match="flipped"):
        minimise_distortion(problem, points[:, :2] * [-1, 1])


def test_open_edges_that_share_a_vertex_are_refused():
    with pytest.raises(ValueError, match="meet"):
        boundary_loops(np.array([[0, 1, 2, -1], [0, 3, 4, -1]]))
