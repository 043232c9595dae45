"""The rasteriser against a slow, obvious one, and its gradients against finite differences."""

import numpy as np
import pytest
import torch

from ml_backend.rendering import rasterizer
from ml_backend.rendering.rasterizer import rasterize


def slow_rasterize(vertices: np.ndarray, triangles: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest triangle of each pixel by testing every pair, ties to the lower index."""
    result = np.full((height, width), -1)
    nearest = np.full((height, width), np.inf)
    for number, corners in enumerate(vertices[triangles]):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) <= 1e-8:
            continue
        for row in range(height):
            for column in range(width):
                x, y = column + 0.5, row + 0.5
                first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                third = 1 - first - second
                depth = first * az + second * bz + third * cz
                if min(first, second, third) > 0 and depth < nearest[row, column] - 1e-12:
                    nearest[row, column] = depth
                    result[row, column] = number
    return result


def random_triangles(seed: int, count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 1, 3, generator=generator, dtype=torch.float64) * torch.tensor([30.0, 24.0, 1.0])
    spread = torch.randn(count, 3, 3, generator=generator, dtype=torch.float64) * torch.tensor([5.0, 5.0, 0.2])
    vertices = (middle + spread).reshape(-1, 3)
    return vertices, torch.arange(3 * count).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_sees_the_same_triangles_as_the_slow_one(seed):
    vertices, triangles = random_triangles(seed)
    ours = rasterize(vertices[None], triangles, 24, 30).triangle[0].numpy()
    np.testing.assert_array_equal(ours, slow_rasterize(vertices.numpy(), triangles.numpy(), 24, 30))


def test_chunks_change_nothing(monkeypatch):
    vertices, triangles = random_triangles(9)
    whole = rasterize(vertices[None], triangles, 24, 30).triangle
    monkeypatch.setattr(rasterizer, "PAIRS_PER_CHUNK", 50)
    assert torch.equal(rasterize(vertices[None], triangles, 24, 30).triangle, whole)


def test_empty_view_is_background():
    vertices, triangles = random_triangles(0)
    fragments = rasterize(vertices[None] + 1000, triangles, 8, 8)
    assert (fragments.triangle == -1).all() and (fragments.barycentric == 0).all()


def test_equal_depths_go_to_the_lower_triangle():
    square = torch.tensor([[0.0, 0, 1], [8, 0, 1], [0, 8, 1]])
    fragments = rasterize(torch.cat([square, square])[None], torch.arange(6).reshape(2, 3), 8, 8)
    assert set(fragments.triangle.unique().tolist()) == {-1, 0}


def test_interpolates_a_linear_function_exactly():
    vertices, triangles = random_triangles(3)
    fragments = rasterize(vertices[None], triangles, 24, 30)
    values = (2 * vertices[:, :1] - 3 * vertices[:, 1:2] + 1)[triangles]
    image = fragments.interpolate(values)[0, ..., 0]
    columns, rows = torch.meshgrid(torch.arange(30) + 0.5, torch.arange(24) + 0.5, indexing="xy")
    expected = (2 * columns - 3 * rows + 1).double() * (fragments.triangle[0] >= 0)
    torch.testing.assert_close(image, expected)


def test_gradients_agree_with_finite_differences():
    vertices, triangles = random_triangles(5, count=4)
    visible = rasterize(vertices[None], triangles, 12, 15).triangle

    def image(moved: torch.Tensor) -> torch.Tensor:
        fragments = rasterize(moved[None], triangles, 12, 15)
        assert torch.equal(fragments.triangle, visible)
        return fragments.barycentric

    assert torch.autograd.gradcheck(image, vertices.requires_grad_(), eps=1e-7, atol=1e-5)
