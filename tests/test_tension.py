"""Tension in numpy and torch: closed forms, agreement, gradients, tension maps on the texture layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addon.exchange.tension import TENSION_PER_M, polygon_edges, tension_masks, vertex_tension, wrinkle_weights
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.texture.texel_map import texel_map
from ml_backend.wrinkles import tension as torch_tension
from tests.toy_head import toy_head

EDGE_M = 0.004
SIDE = 7


def square_grid() -> tuple[np.ndarray, np.ndarray]:
    """(49,3) vertices 4 mm apart in the x-y plane, and (36,4) quads."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    vertices = np.stack([x, y, 0 * x], -1).reshape(-1, 3) * EDGE_M
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    corners = (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])
    return vertices, np.stack([corner.reshape(-1) for corner in corners], -1)


def every_form(neutral: np.ndarray, current: np.ndarray, polygons: np.ndarray) -> list[np.ndarray]:
    """Tension by numpy and by torch."""
    edges = polygon_edges(polygons)
    from_torch = torch_tension.vertex_tension(*map(torch.from_numpy, (neutral, current, edges)))
    return [vertex_tension(neutral, current, edges), from_torch.numpy()]


def by_hand(neutral: np.ndarray, current: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """The quotient of exponentials as the paper prints it (k in the exponent), vertex by vertex."""
    neighbours: list[set[int]] = [set() for _ in neutral]
    for polygon in polygons.tolist():
        corners = [corner for corner in polygon if corner >= 0]
        for first, second in zip(corners, corners[1:] + corners[:1], strict=True):
            neighbours[first].add(second)
            neighbours[second].add(first)
    result = np.zeros(len(neutral))
    for vertex, around in enumerate(neighbours):
        terms = []
        for other in around:
            at_rest = np.exp(TENSION_PER_M * np.sqrt(((neutral[vertex] - neutral[other]) ** 2).sum()))
            now = np.exp(TENSION_PER_M * np.sqrt(((current[vertex] - current[other]) ** 2).sum()))
            terms.append((at_rest - now) / (at_rest + now))
        result[vertex] = np.mean(terms)
    return result


def test_edges_of_quads_and_triangles():
    polygons = np.array([[0, 1, 2, 3], [1, 0, 4, -1]])
    expected = [[0, 1], [0, 3], [0, 4], [1, 2], [1, 4], [2, 3]]
    np.testing.assert_array_equal(polygon_edges(polygons), expected)


@pytest.mark.parametrize("factor", [0.7, 0.95, 1.0, 1.2])
def test_uniform_scale(factor: float):
    vertices, polygons = square_grid()
    expected = np.tanh(0.5 * TENSION_PER_M * EDGE_M * (1 - factor))
    for tension in every_form(vertices, factor * vertices, polygons):
        np.testing.assert_allclose(tension, expected, atol=1e-12)
    assert np.sign(expected) == np.sign(1 - factor)


def test_one_axis_stretch():
    vertices, polygons = square_grid()
    stretched = np.tanh(0.5 * TENSION_PER_M * EDGE_M * -0.25)
    inner = [SIDE * row + column for row in range(1, SIDE - 1) for column in range(1, SIDE - 1)]
    # a corner of the sheet has one edge along each axis too; on a side parallel to y, one edge of three is along x
    side = [row for row in range(1, SIDE - 1)]
    for tension in every_form(vertices, vertices * [1.25, 1, 1], polygons):
        np.testing.assert_allclose(tension[inner], stretched / 2, atol=1e-12)
        np.testing.assert_allclose(tension[[0, SIDE - 1, -1]], stretched / 2, atol=1e-12)
        np.testing.assert_allclose(tension[side], stretched / 3, atol=1e-12)


def test_rigid_motion_is_no_tension():
    generator = np.random.default_rng(0)
    vertices, polygons = square_grid()
    vertices = vertices + generator.normal(0, 0.001, vertices.shape)
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    for tension in every_form(vertices, vertices @ rotation.T + [0.3, -2, 5], polygons):
        np.testing.assert_allclose(tension, 0, atol=1e-10)


def test_swapped_meshes_negate():
    generator = np.random.default_rng(1)
    vertices, polygons = square_grid()
    moved = vertices + generator.normal(0, 0.001, vertices.shape)
    for there, back in zip(every_form(vertices, moved, polygons), every_form(moved, vertices, polygons), strict=True):
        np.testing.assert_allclose(there, -back, atol=1e-13)
        assert np.abs(there).max() > 0.1


def test_printed_formula_with_k_in_the_exponent():
    generator = np.random.default_rng(2)
    vertices, polygons = square_grid()
    polygons = np.concatenate([polygons[:-1], [[*polygons[-1][:3], -1]]])
    moved = vertices + generator.normal(0, 0.001, vertices.shape)
    for tension in every_form(vertices, moved, polygons):
        np.testing.assert_allclose(tension, by_hand(vertices, moved, polygons), atol=1e-10)


def test_forms_agree_on_the_open_head_in_single_precision():
    head = load_head()
    expression = torch.rand(4, head.num_expression, generator=torch.Generator().manual_seed(3))
    neutral = head.skinned.template
    current = neutral + torch.einsum("vce,be->bvc", head.skinned.expression_basis, 0.5 * expression)
    edges = torch_tension.head_edges(head)
    batch = torch_tension.vertex_tension(neutral, current, edges)
    for vertices, tension in zip(current, batch, strict=True):
        reference = vertex_tension(neutral.double().numpy(), vertices.double().numpy(), edges.numpy())
        np.testing.assert_allclose(tension.numpy(), reference, atol=1e-5)
    assert batch.abs().max() > 0.5


def test_gradients():
    vertices, polygons = square_grid()
    generator = torch.Generator().manual_seed(4)
    neutral = torch.from_numpy(vertices)
    current = neutral + 0.001 * torch.randn(2, *neutral.shape, generator=generator, dtype=torch.float64)
    edges = torch.from_numpy(polygon_edges(polygons))

    def tension(at_rest: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        return torch_tension.vertex_tension(at_rest, now, edges)

    inputs = (neutral.requires_grad_(), current.requires_grad_())
    assert torch.autograd.gradcheck(tension, inputs, eps=1e-8, atol=1e-3, rtol=1e-4)


def test_edge_without_length_has_a_finite_gradient():
    current = torch.zeros(2, 3, requires_grad=True)
    neutral = torch.tensor([[0.0, 0, 0], [0.001, 0, 0]])
    torch_tension.vertex_tension(neutral, current, torch.tensor([[0, 1]])).sum().backward()
    assert torch.isfinite(current.grad).all()


def test_vertex_without_edges():
    neutral, current = np.eye(3), 2 * np.eye(3)
    for tension in every_form(neutral, current, np.zeros((0, 4), np.int64)):
        np.testing.assert_array_equal(tension, 0)


@pytest.mark.parametrize("size_px", [64, 96])
def test_tension_map_shows_each_vertex_at_its_texel(size_px: int):
    head: HeadModel = toy_head()
    # a field that is linear on the texture layout is reproduced by barycentrics everywhere
    field = torch.stack([head.uv[:, 0], 0.5 - head.uv[:, 1]])
    texels = texel_map(head, size_px)
    drawn = torch_tension.uv_tension(field, texels)
    assert drawn.shape == (2, 1, size_px, size_px)
    rows, columns = np.nonzero(texels.inside)
    u, v = (columns + 0.5) / size_px, 1 - (rows + 0.5) / size_px
    np.testing.assert_allclose(drawn[0, 0].numpy()[texels.inside], u, atol=1e-4)
    np.testing.assert_allclose(drawn[1, 0].numpy()[texels.inside], 0.5 - v, atol=1e-4)
    np.testing.assert_allclose(drawn[0, 0].numpy(), texels.interpolate(field[0].numpy()), atol=1e-6)


def test_tension_map_passes_gradients_to_the_expression():
    head = toy_head()
    coefficients = torch.full((1, head.num_expression), 0.5, requires_grad=True)
    current = head.skinned.template + torch.einsum("vce,be->bvc", head.skinned.expression_basis, coefficients)
    tension = torch_tension.vertex_tension(head.skinned.template, current, torch_tension.head_edges(head))
    torch_tension.uv_tension(tension, texel_map(head, 64)).square().sum().backward()
    assert (coefficients.grad.abs() > 0).all()


def test_masks_and_weights():
    tension = np.array([-0.9, -0.2, 0.0, 0.1, 0.6])
    masks = tension_masks(tension, strength=2.0, bias=0.1)
    np.testing.assert_allclose(masks.compress, [0, 0, 0.2, 0.4, 1.0])
    np.testing.assert_allclose(masks.stretch, [1.0, 0.2, 0, 0, 0])
    weights = wrinkle_weights(tension, full_compression=0.4, full_stretch=0.25)
    np.testing.assert_allclose(weights.compressed, [0, 0, 0, 0.25, 1.0])
    np.testing.assert_allclose(weights.expanded, [1.0, 0.8, 0, 0, 0])
