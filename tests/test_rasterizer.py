"""The rasteriser against a slow, obvious one, and its gradients against finite differences."""

import sys

import numpy as np
import pytest
import torch

from addon.exchange.errors import LikenessError
from ml_backend.rendering import rasterizer
from ml_backend.rendering.rasterizer import PYTORCH3D, corner_values, rasterize


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


def bumpy_ball(seed: int, rings: int = 14) -> tuple[torch.Tensor, torch.Tensor]:
    """Two closed surfaces (2,V,3) float32 of one topology, folded over themselves, in a picture of 60 by 44 pixels."""
    generator = torch.Generator().manual_seed(seed)
    latitude, longitude = torch.meshgrid(
        torch.linspace(0, torch.pi, rings), torch.linspace(0, 2 * torch.pi, 2 * rings + 1)[:-1], indexing="ij"
    )
    directions = torch.stack(
        [latitude.sin() * longitude.cos(), latitude.cos(), latitude.sin() * longitude.sin()], -1
    ).reshape(-1, 3)
    radius = 1 + 0.3 * torch.randn(2, len(directions), 1, generator=generator)
    points = directions * radius * torch.tensor([18.0, 18.0, 0.1]) + torch.tensor([30.0, 22.0, 0.0])
    row, column = (index.reshape(-1) for index in torch.meshgrid(
        torch.arange(rings - 1), torch.arange(2 * rings), indexing="ij"
    ))  # fmt: skip
    beside = (column + 1) % (2 * rings)
    here, right = row * 2 * rings + column, row * 2 * rings + beside
    below, across = here + 2 * rings, right + 2 * rings
    return points, torch.cat([torch.stack([here, below, right], 1), torch.stack([right, below, across], 1)])


def test_a_closed_surface_in_single_precision_looks_as_in_the_slow_one():
    vertices, triangles = bumpy_ball(0, rings=7)
    ours = rasterize(vertices[:1], triangles, 44, 60).triangle[0].numpy()
    slow = slow_rasterize(vertices[0].double().numpy(), triangles.numpy(), 44, 60)
    assert (slow >= 0).mean() > 0.25
    assert (ours == slow).mean() >= 0.999


@pytest.mark.parametrize("pairs_per_chunk", [700, 4_000_000])
def test_a_batch_is_its_items(monkeypatch, pairs_per_chunk):
    monkeypatch.setattr(rasterizer, "PAIRS_PER_CHUNK", pairs_per_chunk)
    vertices, triangles = bumpy_ball(1)
    together = rasterize(vertices, triangles, 44, 60)
    values = corner_values(vertices, triangles)
    for number in range(2):
        alone = rasterize(vertices[number : number + 1], triangles, 44, 60)
        assert torch.equal(together.triangle[number], alone.triangle[0])
        assert torch.equal(together.barycentric[number], alone.barycentric[0])
        mine = alone.interpolate(values[number])
        assert torch.equal(together.interpolate(values)[number], mine[0])


def test_covers_the_centres_strictly_inside_whichever_way_round():
    # the long side passes through the centres of one diagonal
    corners = torch.tensor([[0.0, 0, 1], [8, 0, 1], [0, 8, 1]])
    row, column = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        seen = rasterize(corners[None], torch.tensor([order]), 8, 8).triangle[0] >= 0
        assert torch.equal(seen, row + column + 1 < 8)


def test_a_sheet_has_no_holes():
    side = torch.arange(40.0)
    generator = torch.Generator().manual_seed(3)
    grid = torch.stack([*torch.meshgrid(side, side, indexing="xy"), torch.zeros(40, 40)], -1).reshape(-1, 3)
    grid += 0.5 * torch.rand(grid.shape, generator=generator)
    turn = torch.tensor([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    vertices = (grid - 20) @ turn * 8 + torch.tensor([64.0, 64.0, 0.0])
    first = (torch.arange(39)[:, None] * 40 + torch.arange(39)).reshape(-1)
    triangles = torch.cat([
        torch.stack([first, first + 1, first + 40], 1), torch.stack([first + 1, first + 41, first + 40], 1)
    ])  # fmt: skip
    assert (rasterize(vertices[None], triangles, 128, 128).triangle >= 0).all()


def test_nearer_wins_among_negative_depths():
    square = torch.tensor([[-20.0, -20, 0], [40, -20, 0], [-20, 40, 0]])
    depths = torch.tensor([-1.0, -2.5, 3.0, -2.0])
    stack = torch.cat([square + torch.tensor([0.0, 0.0, depth]) for depth in depths])
    assert (rasterize(stack[None], torch.arange(12).reshape(4, 3), 6, 7).triangle == 1).all()


def test_flat_broken_and_far_triangles_are_left_out():
    good = torch.tensor([[1.0, 1, 5], [7, 1, 5], [1, 7, 5]])
    line = torch.tensor([[0.0, 0, 0], [4, 4, 0], [8, 8, 0]])
    point = torch.full((3, 3), 2.0)
    broken = torch.tensor([[0.0, 0, 0], [8, float("nan"), 0], [0, 8, 0]])
    endless = torch.tensor([[0.0, 0, 0], [8, 0, -float("inf")], [0, 8, 0]])
    beside = good - torch.tensor([1e6, 0.0, 9.0])
    vertices = torch.cat([line, point, broken, endless, beside, good])
    fragments = rasterize(vertices[None], torch.arange(18).reshape(6, 3), 8, 8)
    assert set(fragments.triangle.unique().tolist()) == {-1, 5}
    assert fragments.barycentric.isfinite().all()


def test_slivers_have_sound_barycentrics():
    generator = torch.Generator().manual_seed(0)
    ends = 64 * torch.rand(20_000, 2, 3, generator=generator)
    between = ends[:, :1] + torch.rand(20_000, 1, 1, generator=generator) * (ends[:, 1:] - ends[:, :1])
    width = 10 ** (-7 + 5 * torch.rand(20_000, 1, 1, generator=generator))
    third = between + width * torch.randn(20_000, 1, 3, generator=generator)
    vertices = torch.cat([ends, third], 1).reshape(1, -1, 3).requires_grad_()
    fragments = rasterize(vertices, torch.arange(60_000).reshape(-1, 3), 64, 64)
    assert fragments.weights.shape[1] > 100
    assert fragments.weights.min() > -0.05 and fragments.weights.max() < 1.05
    fragments.weights.square().sum().backward()
    assert vertices.grad.isfinite().all()


def test_a_triangle_far_larger_than_the_picture_fills_it():
    corners = torch.tensor([[-3e4, -2e4, 1.0], [5e4, -1e4, 1.0], [1e2, 6e4, 1.0]])
    fragments = rasterize(corners[None], torch.tensor([[0, 1, 2]]), 9, 11)
    assert (fragments.triangle == 0).all() and (fragments.barycentric > 0).all()


def test_gradients_of_a_batch_are_those_of_its_items():
    vertices, triangles = bumpy_ball(2)

    def gradient(points: torch.Tensor) -> torch.Tensor:
        points = points.clone().requires_grad_()
        fragments = rasterize(points, triangles, 44, 60)
        fragments.interpolate(corner_values(points, triangles)).square().sum().backward()
        return points.grad

    torch.testing.assert_close(gradient(vertices), torch.cat([gradient(vertices[:1]), gradient(vertices[1:])]))


def test_an_unknown_back_end_is_refused():
    vertices, triangles = random_triangles(0)
    with pytest.raises(LikenessError) as caught:
        rasterize(vertices[None], triangles, 8, 8, backend="opengl")
    assert caught.value.code == "renderer_unknown"


def test_pytorch3d_that_is_not_there_is_an_error_with_a_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", None)
    vertices, triangles = random_triangles(0)
    with pytest.raises(LikenessError) as caught:
        rasterize(vertices[None].float(), triangles, 8, 8, backend=PYTORCH3D)
    assert caught.value.code == "pytorch3d_missing" and caught.value.hint


@pytest.mark.parametrize("height, width", [(44, 60), (96, 96), (130, 90)])
@pytest.mark.parametrize("seed", range(3))
def test_pytorch3d_sees_the_same_and_has_the_same_gradients(seed, height, width):
    pytest.importorskip("pytorch3d", reason="pytorch3d is not installed here, so the two back ends are not compared")
    vertices, triangles = bumpy_ball(seed)
    vertices = vertices * torch.tensor([width / 60, height / 44, 1.0])
    ours = rasterize(vertices, triangles, height, width)
    theirs = rasterize(vertices, triangles, height, width, PYTORCH3D)
    same = ours.triangle == theirs.triangle
    assert (ours.triangle >= 0).float().mean() > 0.25
    assert same.float().mean() >= 0.999
    compared = same & ~_thin(vertices, triangles, ours.triangle, min(height, width))
    assert compared.float().mean() >= 0.999
    weights = torch.randn(*same.shape, 3, generator=torch.Generator().manual_seed(seed)) * compared[..., None]
    gradients = []
    for backend in rasterizer.BACKENDS:
        points = vertices.clone().requires_grad_()
        (rasterize(points, triangles, height, width, backend).barycentric * weights).sum().backward()
        gradients.append(points.grad)
    assert (gradients[0] - gradients[1]).norm() <= 1e-4 * gradients[1].norm()


def _thin(vertices: torch.Tensor, triangles: torch.Tensor, seen: torch.Tensor, shorter_side: int) -> torch.Tensor:
    """Pixels in triangles so thin that the 1e-8 which pytorch3d adds to twice the area makes a twentieth of 1e-4."""
    edge_1, edge_2 = (vertices[:, triangles[:, corner], :2] - vertices[:, triangles[:, 0], :2] for corner in (1, 2))
    double_area = (edge_1[..., 0] * edge_2[..., 1] - edge_1[..., 1] * edge_2[..., 0]) * (2 / shorter_side) ** 2
    thin = (double_area.abs() < 1e-8 / 5e-6).flatten(1)
    return thin.gather(1, seen.clamp(min=0).flatten(1)).reshape(seen.shape) & (seen >= 0)


def test_a_graphics_card_gives_what_the_processor_gives():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here, so the graphics card is not compared with the processor")
    vertices, triangles = bumpy_ball(4)
    here = rasterize(vertices, triangles, 44, 60)
    there = rasterize(vertices.cuda(), triangles.cuda(), 44, 60)
    same = here.triangle == there.triangle.cpu()
    assert same.float().mean() >= 0.999
    torch.testing.assert_close(here.barycentric[same], there.barycentric.cpu()[same], atol=1e-4, rtol=1e-4)
