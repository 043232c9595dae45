"""The pieces of the tracker against closed forms and slow, obvious versions."""

import math

import numpy as np
import pytest
import torch

from assets.recipes.tflite_file import read_tflite
from assets.recipes.tracker import mesh_triangles
from assets.recipes.tracker_graph import _same_padding
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_detector import box_overlap
from ml_backend.tracking.image_region import ImageRegion, overlapping_tiles
from ml_backend.tracking.network_graph import NetworkGraph
from ml_backend.tracking.tracker_file import load_tracker_networks


def run_step(image: torch.Tensor, weights: dict[str, torch.Tensor] | None = None, **step) -> torch.Tensor:
    """One step of a network by itself."""
    step = {"inputs": ["image", *(weights or {})], "output": "result", **step}
    graph = NetworkGraph({"input": "image", "outputs": ["result"], "steps": [step]}, weights or {})
    return graph(image)["result"]


def test_depth_to_space_moves_channels_as_tflite_does():
    image = torch.arange(2 * 8 * 3 * 5).view(2, 8, 3, 5).float()
    result = run_step(image, op="depth_to_space", block=2)
    for channel in range(2):
        for row in range(6):
            for column in range(10):
                source = ((row % 2) * 2 + column % 2) * 2 + channel
                assert result[1, channel, row, column] == image[1, source, row // 2, column // 2]


def test_reshape_counts_channels_last():
    image = torch.randn(2, 6, 3, 4)
    result = run_step(image, op="reshape", shape=[24, 3])
    torch.testing.assert_close(result, image.permute(0, 2, 3, 1).reshape(2, 24, 3))


def test_max_pool_border_never_wins():
    image = -torch.ones(1, 1, 3, 3)
    result = run_step(image, op="max_pool", size=2, stride=2, padding=[0, 1, 0, 1])
    torch.testing.assert_close(result, -torch.ones(1, 1, 2, 2))


def test_asymmetric_convolution_pads_after():
    image = torch.randn(1, 1, 4, 4)
    weight = torch.randn(1, 1, 3, 3)
    result = run_step(
        image,
        {"weight": weight, "bias": torch.zeros(1)},
        op="convolution", stride=2, padding=[0, 1, 0, 1], groups=1, relu=False,
    )  # fmt: skip
    torch.testing.assert_close(result[0, 0, 0, 0], (image[0, 0, :3, :3] * weight[0, 0]).sum())
    torch.testing.assert_close(result[0, 0, 1, 1], (image[0, 0, 2:, 2:] * weight[0, 0, :2, :2]).sum())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(192, 3, 2, (0, 1)), (128, 5, 2, (1, 2)), (48, 3, 1, (1, 1)), (3, 3, 3, (0, 0)), (96, 2, 2, (0, 0))],
)
def test_same_padding(size, kernel, stride, expected):
    assert _same_padding(size, kernel, stride) == expected


def test_a_region_is_the_turned_box_around_its_members():
    angle = math.radians(30)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    box = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, -1.0], [0.0, 3.0]])
    landmarks = torch.cat([box @ turn.T + torch.tensor([20.0, 30.0]), torch.zeros(4, 1)], dim=1)[None]
    matrix = run_step(
        landmarks,
        op="region_transform", start=0, end=1, members=[0, 1, 2, 3], scale=[1.5, 1.5], size=[16, 16], target_angle=0.0,
    )  # fmt: skip
    corners = torch.tensor([[0.0, 0.0, 1.0], [16.0, 16.0, 1.0]]) @ matrix[0].T
    # 8 wide, from -1 to 3 high, 1.5 times as large around its centre
    expected = torch.tensor([[-6.0, -2.0], [6.0, 4.0]]) @ turn.T + torch.tensor([20.0, 30.0])
    torch.testing.assert_close(corners, expected, atol=1e-4, rtol=0)


def test_region_samples_are_bilinear_and_zero_outside():
    image = torch.randn(1, 2, 6, 7)
    transform = torch.tensor([[[0.9, 0.2, -0.7], [-0.1, 1.1, 0.3]]])
    graph = NetworkGraph(
        {
            "input": "image",
            "outputs": ["result"],
            "steps": [{"op": "sample_region", "inputs": ["image", "matrix"], "output": "result", "size": [8, 5]}],
        },
        {"matrix": transform},
    )
    result = graph(image)["result"]
    inside = 0
    for row in range(5):
        for column in range(8):
            x, y = (transform[0] @ torch.tensor([column + 0.5, row + 0.5, 1.0]) - 0.5).tolist()
            if not (0 <= x <= 6 and 0 <= y <= 5):
                assert (result[0, :, row, column] == 0).all()
                continue
            inside += 1
            left, top = min(int(x), 5), min(int(y), 4)
            u, v = x - left, y - top
            patch = image[0, :, top : top + 2, left : left + 2]
            expected = (1 - v) * ((1 - u) * patch[:, 0, 0] + u * patch[:, 0, 1])
            expected = expected + v * ((1 - u) * patch[:, 1, 0] + u * patch[:, 1, 1])
            torch.testing.assert_close(result[0, :, row, column], expected, atol=1e-5, rtol=0)
    assert 10 < inside < 40


def test_networks_read_each_image_of_a_batch_as_if_alone():
    networks = load_tracker_networks()
    images = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(3))
    for network in (networks.landmarks, networks.far_detector):
        together = network(images)
        alone = network(images[1:])
        for name, values in together.items():
            torch.testing.assert_close(values[1:], alone[name], atol=2e-3, rtol=1e-3)


def test_a_region_cuts_and_carries_back():
    image = np.zeros((80, 100, 3), np.uint8)
    image[30, 60] = 255
    region = ImageRegion(np.array([60.0, 30.0]), 16.0, math.pi / 2)
    crop = region.cut(image, 16, repeat_border=False)
    assert crop[8, 8].max() == 255
    np.testing.assert_allclose(region.to_image(np.array([0.5, 0.5])), [60, 30])
    # a square turned by a quarter: its x axis points down in the image
    np.testing.assert_allclose(region.to_image(np.array([1.0, 0.5])), [60, 38], atol=1e-9)


@pytest.mark.parametrize("shape", [(900, 1600, 3), (1600, 900, 3), (1000, 1000, 3)])
def test_tiles_hold_every_small_face_whole(shape):
    tiles = overlapping_tiles(np.zeros(shape, np.uint8), 0.25)
    side = tiles[0].side
    generator = np.random.default_rng(1)
    for _ in range(200):
        centre = generator.uniform(side / 4, np.array(shape[1::-1]) - side / 4)
        assert any((np.abs(centre - tile.centre) <= side / 4 + 1e-9).all() for tile in tiles)


def test_box_overlap():
    overlap = box_overlap(np.array([0.0, 0.0, 2.0, 2.0]), np.array([[1.0, 1.0, 3.0, 3.0], [0, 0, 2, 2], [5, 5, 6, 6]]))
    np.testing.assert_allclose(overlap, [1 / 7, 1, 0])


def boundary_loops(triangles: np.ndarray) -> list[set[int]]:
    """The closed borders of a mesh."""
    edges = {(int(a), int(b)) for row in triangles for a, b in zip(row, np.roll(row, -1), strict=True)}
    follow = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while follow:
        start, current = next(iter(follow.items()))
        loop = {start}
        del follow[start]
        while current != start:
            loop.add(current)
            current = follow.pop(current)
        loops.append(loop)
    return loops


def test_borders_of_the_mesh_are_the_named_curves():
    loops = boundary_loops(load_tracker_networks().triangles)
    named = [topology.FACE_OVAL, topology.RIGHT_EYE, topology.LEFT_EYE, topology.LIPS_INNER]
    assert sorted(map(sorted, loops)) == sorted(map(sorted, map(set, named)))


def test_named_curves_run_along_edges_of_the_mesh():
    triangles = load_tracker_networks().triangles
    edges = {frozenset(map(int, pair)) for row in triangles for pair in (row[:2], row[1:], row[::2])}
    for curve in (topology.FACE_OVAL, topology.RIGHT_EYE, topology.LEFT_EYE, topology.LIPS_OUTER, topology.LIPS_INNER):
        assert all(frozenset(pair) in edges for pair in zip(curve, curve[1:] + curve[:1], strict=True))


def test_landmark_groups():
    assert topology.CONTOUR_EAR_TO_EAR[0] == 127
    assert topology.CONTOUR_EAR_TO_EAR[-1] == 356
    assert topology.CONTOUR_EAR_TO_EAR[len(topology.CONTOUR_EAR_TO_EAR) // 2] == topology.CHIN
    assert len(set(topology.IBUG_68_FROM_478)) == 68
    assert set(topology.IBUG_68_FROM_478[:17]) <= set(topology.CONTOUR_EAR_TO_EAR)
    assert len(set(topology.LIPS)) == 80
    assert set(topology.LIPS) == set(topology.REFINED_LIPS)


def test_the_recipe_refuses_other_meshes_and_files():
    with pytest.raises(ValueError, match="expected length"):
        mesh_triangles("FACEMESH_TESSELATION = frozenset([(0, 1), (1, 2), (2, 0)])")
    with pytest.raises(ValueError, match="not in the source"):
        mesh_triangles("OTHER = 1")
    with pytest.raises(ValueError, match="TFLite"):
        read_tflite(b"PK\x03\x04 something else")
