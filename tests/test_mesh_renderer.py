"""The differentiable renderer against closed forms, a slow and obvious one, and finite differences."""

import numpy as np
import pytest
import torch

from ml_backend.head.head_model import vertex_normals
from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.mesh_renderer import MeshLayout, MeshRenderer

HEIGHT, WIDTH = 13, 16


def square_layout(dtype: torch.dtype = torch.float32) -> MeshLayout:
    """A square of two triangles with the whole texture on it; corners as in `facing_square`."""
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    return MeshLayout(triangles, torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]], dtype=dtype), triangles)


def facing_square(width: int, height: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Posed (1,4,3) and projected (1,4,3): it faces the camera and just fills the picture; depth rises to the right."""
    posed = torch.tensor([[[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]], dtype=dtype)
    # the common side of the triangles misses the centres of pixels by a little
    corners = [[-0.01, height, 2.0], [width, height, 6.0], [width, 0.0, 6.0], [-0.01, 0.0, 2.0]]
    return posed, torch.tensor([corners], dtype=dtype)


def crumpled_sheet(batch: int, dtype: torch.dtype, seed: int = 0) -> tuple[MeshLayout, torch.Tensor, torch.Tensor]:
    """A sheet of 18 triangles, cut in its texture, crumpled in another way in each item, inside of the picture."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.linspace(-1, 1, 4, dtype=dtype)
    grid = torch.stack([*torch.meshgrid(line, line, indexing="xy"), torch.zeros(4, 4, dtype=dtype)], -1).reshape(-1, 3)
    posed = grid + 0.2 * torch.randn(batch, 16, 3, generator=generator, dtype=dtype)
    first = (torch.arange(3)[:, None] * 4 + torch.arange(3)).reshape(-1)
    triangles = torch.cat([
        torch.stack([first, first + 1, first + 4], 1), torch.stack([first + 1, first + 5, first + 4], 1)
    ])  # fmt: skip
    uv = torch.rand(54, 2, generator=generator, dtype=dtype)
    projected = posed * torch.tensor([5.0, -4.5, -1.0], dtype=dtype) + torch.tensor([7.7, 6.4, 2.0], dtype=dtype)
    return MeshLayout(triangles, uv, torch.arange(54).reshape(18, 3)), posed, projected


def bright_light(batch: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """(B,9,3) uneven light that is positive everywhere."""
    generator = torch.Generator().manual_seed(seed)
    uneven = 0.1 * torch.randn(batch, 9, 3, generator=generator, dtype=dtype)
    return spherical_harmonics.ambient_light(1.5, dtype) + uneven


def test_a_square_that_faces_the_camera():
    posed, projected = facing_square(WIDTH, HEIGHT)
    texture = torch.tensor([0.2, 0.5, 0.9]).expand(4, 4, 3)
    picture = MeshRenderer(square_layout(), HEIGHT, WIDTH).render(
        posed, projected, texture, spherical_harmonics.ambient_light(0.7)
    )
    assert (picture.mask == 1).all()
    torch.testing.assert_close(picture.colour, 0.7 * texture[0, 0].expand(1, HEIGHT, WIDTH, 3))
    torch.testing.assert_close(picture.shading, torch.full((1, HEIGHT, WIDTH, 3), 0.7))
    torch.testing.assert_close(picture.normals, torch.tensor([0.0, 0, 1]).expand(1, HEIGHT, WIDTH, 3))
    depth = 2 + 4 * (torch.arange(WIDTH) + 0.5) / WIDTH
    torch.testing.assert_close(picture.depth, depth.expand(1, HEIGHT, WIDTH), atol=5e-3, rtol=0)


def test_a_texture_at_its_own_size_is_shown_as_it_is():
    posed, projected = facing_square(12, 12)
    projected[..., 0].clamp_(min=0)
    # the triangles' common side may go through centres: moved by less than the comparison sees
    projected[..., 0] += 1e-4
    texture = torch.rand(12, 12, 3, generator=torch.Generator().manual_seed(1))
    picture = MeshRenderer(square_layout(), 12, 12).render(
        posed, projected, texture, spherical_harmonics.ambient_light()
    )
    torch.testing.assert_close(picture.albedo[0], texture, atol=1e-3, rtol=0)


def test_the_background_is_zero_and_takes_no_gradient():
    layout, posed, projected = crumpled_sheet(1, torch.float32)
    away = (projected + 1000).requires_grad_()
    texture, light = torch.rand(5, 5, 3).requires_grad_(), bright_light(1, torch.float32).requires_grad_()
    picture = MeshRenderer(layout, HEIGHT, WIDTH).render(posed.requires_grad_(), away, texture, light)
    for values in (picture.colour, picture.albedo, picture.shading, picture.mask, picture.normals, picture.depth):
        assert (values == 0).all()
    picture.colour.sum().backward()
    for leaf in (posed, away, texture, light):
        assert (leaf.grad == 0).all()


def _slow_picture(layout, posed, projected, texture, light):
    """Colour, normals and depth (H,W,...) of one item, pixel by pixel."""
    colour, normal_image = np.zeros((HEIGHT, WIDTH, 3)), np.zeros((HEIGHT, WIDTH, 3))
    depth_image = np.full((HEIGHT, WIDTH), np.inf)
    normals = vertex_normals(posed[None], layout.triangles)[0].numpy()
    triangles, uv, uv_triangles = layout.triangles.numpy(), layout.uv.numpy(), layout.uv_triangles.numpy()
    points, size = projected.numpy(), len(texture)
    for row in range(HEIGHT):
        for column in range(WIDTH):
            for triangle, uv_triangle in zip(triangles, uv_triangles, strict=True):
                # columns (x, y, 1) of the corners: the weights that give the centre
                system = np.vstack([points[triangle, :2].T, np.ones(3)])
                weights = np.linalg.solve(system, [column + 0.5, row + 0.5, 1.0])
                depth = weights @ points[triangle, 2]
                if weights.min() <= 0 or depth >= depth_image[row, column]:
                    continue
                depth_image[row, column] = depth
                normal = weights @ normals[triangle]
                normal /= np.linalg.norm(normal)
                normal_image[row, column] = normal
                u, v = weights @ uv[uv_triangle]
                shade = np.maximum(spherical_harmonics.basis(torch.from_numpy(normal)).numpy() @ light.numpy(), 0)
                colour[row, column] = shade * _slow_bilinear(texture.numpy(), u * size - 0.5, (1 - v) * size - 0.5)
    return colour, normal_image, np.where(np.isinf(depth_image), 0, depth_image)


def _slow_bilinear(texture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The four texels around a place, borders repeated."""
    total = np.zeros(3)
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            inside_row, inside_column = np.clip(row, 0, len(texture) - 1), np.clip(column, 0, len(texture) - 1)
            total += (1 - abs(x - column)) * (1 - abs(y - row)) * texture[inside_row, inside_column]
    return total


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_the_slow_one(seed):
    layout, posed, projected = crumpled_sheet(1, torch.float64, seed)
    texture = torch.rand(6, 6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    # dark sides too, where the shading is held at zero
    light = bright_light(1, torch.float64, seed)[0] * torch.linspace(-0.5, 1.5, 3, dtype=torch.float64)
    picture = MeshRenderer(layout, HEIGHT, WIDTH).render(posed, projected, texture, light)
    colour, normals, depth = _slow_picture(layout, posed[0], projected[0], texture, light)
    assert 0.3 < (depth > 0).mean() < 0.9
    np.testing.assert_allclose(picture.depth[0].numpy(), depth, atol=1e-9)
    np.testing.assert_allclose(picture.normals[0].numpy(), normals, atol=1e-9)
    np.testing.assert_allclose(picture.colour[0].numpy(), colour, atol=1e-9)
    np.testing.assert_array_equal(picture.mask[0].numpy(), depth > 0)


def test_gradients_agree_with_finite_differences():
    layout, posed, projected = crumpled_sheet(2, torch.float64, seed=2)
    generator = torch.Generator().manual_seed(2)
    texture = torch.rand(2, 4, 4, 3, generator=generator, dtype=torch.float64)
    light = bright_light(2, torch.float64)
    chosen = torch.randn(2, HEIGHT, WIDTH, 7, generator=generator, dtype=torch.float64)

    def figure(posed, projected, texture, light, uv):
        moved = MeshLayout(layout.triangles, uv, layout.uv_triangles)
        picture = MeshRenderer(moved, HEIGHT, WIDTH).render(posed, projected, texture, light)
        seen = torch.cat([picture.colour, picture.normals, picture.depth[..., None]], -1)
        # per channel: a few figures, each of every pixel
        return (seen * chosen).sum((0, 1, 2))

    leaves = [leaf.clone().requires_grad_() for leaf in (posed, projected, texture, light, layout.uv)]
    assert torch.autograd.gradcheck(figure, leaves, eps=1e-7, atol=1e-4, rtol=1e-4, fast_mode=True)


def test_a_batch_is_its_items():
    layout, posed, projected = crumpled_sheet(3, torch.float32)
    generator = torch.Generator().manual_seed(5)
    texture, light = torch.rand(3, 7, 7, 3, generator=generator), bright_light(3, torch.float32)
    renderer = MeshRenderer(layout, HEIGHT, WIDTH)
    together = renderer.render(posed, projected, texture, light)
    for item in range(3):
        one = slice(item, item + 1)
        alone = renderer.render(posed[one], projected[one], texture[item], light[item])
        for name in ("colour", "albedo", "shading", "mask", "normals", "depth"):
            torch.testing.assert_close(getattr(together, name)[one], getattr(alone, name))
            assert getattr(together, name).dtype == torch.float32


def test_going_down_the_gradient_brings_a_moved_square_back():
    posed, projected = facing_square(24, 24)
    # larger than the picture: no silhouette, which has no gradient
    wanted_px = (projected - torch.tensor([12.0, 12.0, 0.0])) * torch.tensor([2.0, 2.0, 1.0])
    wanted_px = wanted_px + torch.tensor([12.03, 12.05, 0.0])
    line = torch.linspace(-3, 3, 32)
    texture = torch.stack([line.cos()[:, None].expand(32, 32), line.sin().expand(32, 32), torch.zeros(32, 32)], -1)
    renderer, light = MeshRenderer(square_layout(), 24, 24), spherical_harmonics.ambient_light()
    wanted = renderer.render(posed, wanted_px, texture, light).colour
    shift = torch.tensor([1.7, -2.3, 0.0], requires_grad=True)
    optimiser = torch.optim.Adam([shift], lr=0.2)
    for _ in range(80):
        optimiser.zero_grad()
        (renderer.render(posed, wanted_px + shift, texture, light).colour - wanted).square().sum().backward()
        optimiser.step()
    assert shift[:2].abs().max() < 0.1


def test_a_graphics_card_gives_what_the_processor_gives():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here, so the graphics card is not compared with the processor")
    layout, posed, projected = crumpled_sheet(4, torch.float32)
    texture, light = torch.rand(9, 9, 3), bright_light(4, torch.float32)
    here = MeshRenderer(layout, HEIGHT, WIDTH).render(posed, projected, texture, light)
    moved = (values.cuda() for values in (posed, projected, texture, light))
    there = MeshRenderer(layout.to("cuda"), HEIGHT, WIDTH).render(*moved)
    same = here.fragments.triangle == there.fragments.triangle.cpu()
    assert same.float().mean() >= 0.99
    torch.testing.assert_close(here.colour[same], there.colour.cpu()[same], atol=1e-4, rtol=1e-4)
