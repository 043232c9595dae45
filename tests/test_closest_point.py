"""Closest points against a dense sampling of the triangles."""

import numpy as np
import pytest

from ml_backend.head.closest_point import closest_barycentric, closest_points


def sampled_distance(points: np.ndarray, corners: np.ndarray, steps: int = 200) -> np.ndarray:
    """Distance (N,) to one triangle (3,D), by trying a fine grid of its points."""
    grid = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
    surface = grid @ corners
    return np.linalg.norm(points[:, None] - surface[None], axis=-1).min(1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_one_triangle(dimensions):
    rng = np.random.default_rng(0)
    for _ in range(10):
        corners, points = rng.normal(size=(3, dimensions)), 2 * rng.normal(size=(20, dimensions))
        weights = closest_barycentric(points, np.broadcast_to(corners, (20, 3, dimensions)))
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(1), 1)
        distance = np.linalg.norm(weights @ corners - points, axis=1)
        np.testing.assert_allclose(distance, sampled_distance(points, corners), atol=0.01)


def test_degenerate_triangle_is_its_longest_edge():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, 0, 0]])
    weights = closest_barycentric(np.array([[0.25, 1.0, 0.0]]), corners[None])
    np.testing.assert_allclose(weights @ corners, [[0.25, 0, 0]], atol=1e-12)


def test_finds_the_nearest_of_many():
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(60, 3))
    triangles = rng.permutation(60).reshape(20, 3)
    points = rng.normal(size=(30, 3))
    found = closest_points(points, vertices, triangles)
    every = np.stack([sampled_distance(points, vertices[triangle]) for triangle in triangles])
    np.testing.assert_allclose(found.distance, every.min(0), atol=0.02)
    np.testing.assert_allclose(
        (found.barycentric[..., None] * vertices[triangles[found.triangle]]).sum(1), found.position
    )
