"""The open head laid on other heads: on shaped copies of itself, where the truth is known, and on FLAME's template."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from addon.exchange.arkit import ARKIT_NAMES
from ml_backend.head.flame_file import FlameArrays, read_flame_file
from ml_backend.head.head_file import OPEN_HEAD_FILE, head_from_arrays, read_head_file
from ml_backend.head.head_model import HeadModel
from ml_backend.head.register_head import register_flame
from ml_backend.head.transfer_official_files import read_official_files
from ml_backend.head.transfer_uv import Layout
from ml_backend.head.transfer_uv_repair import layout_distortion
from ml_backend.rendering.rasterizer import rasterize

SIDE_FILES = Path(__file__).resolve().parents[2] / "shared" / "flame"
FIXTURE = SIDE_FILES / "flame_fixture.pkl"
needs_open_head = pytest.mark.skipif(not OPEN_HEAD_FILE.exists(), reason="the open head has not been built")
needs_fixture = pytest.mark.skipif(not FIXTURE.exists(), reason="the FLAME fixture is not here")
pytestmark = [needs_open_head]

Arrays = dict[str, np.ndarray]


def shaped_copy(open_head: Arrays, part_names: list[str], seed: int) -> tuple[FlameArrays, np.ndarray, np.ndarray]:
    """The open head as another person, tilted, enlarged and with its vertices shuffled, as if it were FLAME.

    Returns:
        the model, the place of every open-head vertex (V,3), and the new index of each open-head vertex (-1: dropped).
    """
    random = np.random.default_rng(seed)
    shape = random.normal(size=open_head["shape_basis"].shape[2]) * 0.7
    tilt = np.radians(6.0)
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    place = 1.07 * (open_head["template"] + open_head["shape_basis"] @ shape) @ rotation.T + [0, 0.02, 0.03]
    part = open_head["polygon_part"][open_head["triangle_polygon"]]
    kept = np.isin(part, [part_names.index(name) for name in ("skin", "left_eye", "right_eye")])
    triangles = random.permutation(open_head["triangles"][kept])
    used = random.permutation(np.unique(triangles))
    new_index = np.full(len(place), -1)
    new_index[used] = np.arange(len(used))
    count = len(used)
    model = FlameArrays(
        template=place[used].astype(np.float64),
        shape_basis=np.zeros((count, 3, 300), np.float32),
        expression_basis=np.zeros((count, 3, 100), np.float32),
        pose_basis=np.zeros((count, 3, 36)),
        joint_regressor=open_head["joint_regressor"][:, used].astype(np.float64),
        skinning_weights=open_head["skinning_weights"][used].astype(np.float64),
        triangles=new_index[triangles].astype(np.int32),
        file_name="copy",
    )
    return model, place, new_index


@cache
def open_head() -> tuple[Arrays, dict[str, str]]:
    return read_head_file(OPEN_HEAD_FILE)


@cache
def registered_copy(seed: int) -> tuple[Arrays, np.ndarray, np.ndarray]:
    arrays, metadata = open_head()
    model, place, new_index = shaped_copy(arrays, json.loads(metadata["part_names"]), seed)
    return register_flame(model, arrays, metadata)[0], place, new_index


@cache
def flame() -> FlameArrays:
    return read_flame_file(FIXTURE)


@cache
def registered_flame() -> tuple[Arrays, HeadModel]:
    arrays, metadata = register_flame(flame(), *open_head())
    return arrays, head_from_arrays(arrays, metadata)


def surface_points(arrays: Arrays, name: str, vertices: np.ndarray) -> np.ndarray:
    corners = vertices[arrays["triangles"][arrays[f"{name}_triangle"]]]
    return (corners * arrays[f"{name}_barycentric"][..., None]).sum(-2)


# --- a copy of the open head, where the truth is known --------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_landmarks_of_a_copy_lie_where_they_belong(seed: int) -> None:
    arrays, place, _ = registered_copy(seed)
    for name, limit_mm in (("landmarks_68", 1.0), ("contour", 2.0)):
        true = surface_points(open_head()[0], name, place)
        found = surface_points(arrays, name, arrays["template"])
        assert np.linalg.norm(found - true, axis=-1).mean() < limit_mm * 1e-3


def test_texture_of_a_copy_is_the_same_place() -> None:
    """In the face, texture coordinates differ from the true ones by less than 2 mm of skin."""
    arrays, _, new_index = registered_copy(1)
    source = open_head()[0]
    true, found = np.full((len(arrays["template"]), 2), np.nan), np.full((len(arrays["template"]), 2), np.nan)
    corner_vertex = new_index[source["triangles"]]
    kept = (corner_vertex >= 0).all(1)
    true[corner_vertex[kept]] = source["uv"][source["uv_triangles"][kept]]
    found[arrays["triangles"]] = arrays["uv"][arrays["uv_triangles"]]
    face = (arrays["mask_face"] > 0.9) & (arrays["mask_inner_mouth"] < 0.1)
    texture_widths_per_m = 2.5  # about what the face has: 0.65 of the width for 0.26 m around
    assert face.sum() > 500
    gap = np.linalg.norm(found[face] - true[face], axis=1) / texture_widths_per_m
    assert np.median(gap) < 0.001
    assert np.percentile(gap, 95) < 0.004


def test_expressions_of_a_copy_move_the_same_vertices() -> None:
    arrays, _, new_index = registered_copy(1)
    source, metadata = open_head()
    names = json.loads(metadata["expression_names"])
    kept = (new_index >= 0) & (source["mask_inner_mouth"] < 0.1)  # FLAME has no inner mouth to carry it to
    for name in ("smile_left", "brow_raise_right", "pucker"):
        true = np.linalg.norm(source["expression_basis"][kept, :, names.index(name)], axis=1) * 1.07
        found = np.linalg.norm(arrays["expression_basis"][new_index[kept], :, 100 + names.index(name)], axis=1)
        assert np.corrcoef(true, found)[0, 1] > 0.95
        assert abs(found.max() / true.max() - 1) < 0.15


# --- FLAME's template -----------------------------------------------------------------------------------------


def rotation_matrix(axis_angle: np.ndarray) -> np.ndarray:
    """Rodrigues' formula, one vector."""
    angle = np.linalg.norm(axis_angle)
    if angle == 0:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def published_formula(model: FlameArrays, shape: np.ndarray, expression: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """FLAME (Li et al. 2017, eq. 1-5), written out with 4x4 matrices and a loop over the vertices' joints."""
    rotations = [rotation_matrix(vector) for vector in pose.reshape(5, 3)]
    shaped = model.template + model.shape_basis.astype(np.float64) @ shape
    feature = np.concatenate([(rotation - np.eye(3)).ravel() for rotation in rotations[1:]])
    rest = shaped + model.expression_basis.astype(np.float64) @ expression + model.pose_basis @ feature
    joints = model.joint_regressor @ shaped
    world: list[np.ndarray] = []
    for joint, parent in enumerate((None, 0, 1, 1, 1)):
        local = np.eye(4)
        local[:3, :3] = rotations[joint]
        local[:3, 3] = joints[joint] if parent is None else joints[joint] - joints[parent]
        world.append(local if parent is None else world[parent] @ local)
    posed = np.zeros_like(rest)
    for joint in range(5):
        from_rest = world[joint] @ np.block([[np.eye(3), -joints[joint][:, None]], [np.zeros((1, 3)), np.ones((1, 1))]])
        moved = rest @ from_rest[:3, :3].T + from_rest[:3, 3]
        posed += model.skinning_weights[:, joint, None] * moved
    return posed


@needs_fixture
def test_posing_agrees_with_the_published_formula() -> None:
    _, head = registered_flame()
    random = np.random.default_rng(5)
    for scale in (0.0, 0.3, 1.0):
        shape, expression = random.normal(size=300) * scale * 2, random.normal(size=100) * scale * 2
        pose = random.normal(size=15) * scale * 0.6
        mine = torch.zeros(1, head.num_expression)
        mine[0, :100] = torch.from_numpy(expression)
        vertices = head.vertices(torch.from_numpy(shape[None]).float(), mine, torch.from_numpy(pose[None]).float())
        gap = np.linalg.norm(vertices[0].numpy() - published_formula(flame(), shape, expression, pose), axis=1)
        assert gap.max() < 1e-5


@needs_fixture
def test_derived_landmarks_lie_near_the_official_ones() -> None:
    arrays, _ = registered_flame()
    official = read_official_files(FIXTURE, flame(), arrays)
    found, true = (surface_points({**arrays, **a}, "landmarks_68", arrays["template"]) for a in ({}, official))
    gap = np.linalg.norm(found - true, axis=1)
    assert gap.mean() < 0.004
    assert gap[36:48].mean() < 0.002  # eyes: the clearest of all
    assert gap[27:36].mean() < 0.003


@needs_fixture
def test_derived_regions_agree_with_the_official_ones() -> None:
    arrays, _ = registered_flame()
    official = read_official_files(FIXTURE, flame(), arrays)
    for name, least in (("mask_face", 0.75), ("mask_ears", 0.75), ("mask_lips", 0.6), ("mask_nose", 0.55)):
        mine, theirs = arrays[name] > 0.5, official[name] > 0.5
        assert (mine & theirs).sum() / (mine | theirs).sum() > least, name


@needs_fixture
def test_layout_has_no_flipped_torn_or_overlapping_triangles() -> None:
    arrays, _ = registered_flame()
    uv, uv_triangles = arrays["uv"].astype(np.float64), arrays["uv_triangles"]
    assert uv.min() >= 0 and uv.max() <= 1
    area, anisotropy = layout_distortion(
        Layout(uv, uv_triangles), arrays["template"].astype(np.float64), arrays["triangles"].astype(np.int64)
    )
    assert (area > 0).all()
    assert np.percentile(anisotropy, 90) < 8
    assert np.percentile(anisotropy[(arrays["mask_face"][arrays["triangles"]] > 0.5).all(1)], 99) < 10
    assert overlapping_texels(uv, uv_triangles, size=512) == 0


def overlapping_texels(uv: np.ndarray, uv_triangles: np.ndarray, size: int) -> int:
    """How many texel centres lie strictly inside more than one triangle; the slow obvious way."""
    count = np.zeros((size, size), np.int64)
    for corners in uv[uv_triangles] * size:
        low = np.maximum(np.floor(corners.min(0) - 0.5).astype(int), 0)
        high = np.ceil(corners.max(0) + 0.5).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.ones(x.shape, bool)
        for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
            inside &= (end[0] - start[0]) * (y - start[1]) - (end[1] - start[1]) * (x - start[0]) > 1e-9
        inside = inside[: size - low[1], : size - low[0]]
        count[low[1] : low[1] + inside.shape[0], low[0] : low[0] + inside.shape[1]] += inside
    return int((count > 1).sum())


def visible_eye_pixels(head: HeadModel, vertices: torch.Tensor, part: str) -> int:
    """Pixels of an eyeball in a frontal view of 0.4 mm per pixel."""
    size, px_per_m = 512, 2500.0
    centre = head.joints(torch.zeros(1, head.num_shape))[0, 3:].mean(0)
    local = vertices - centre
    image = torch.stack([local[:, 0] * px_per_m + size / 2, -local[:, 1] * px_per_m + size / 2, 1 - local[:, 2]], 1)
    visible = rasterize(image[None], head.triangles, size, size).triangle[0]
    shown = head.triangle_part[visible[visible >= 0]]
    return int((shown == head.part_names.index(part)).sum())


@needs_fixture
@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blink_closes_the_eye(side: str) -> None:
    _, head = registered_flame()
    neutral = head.skinned.template
    closed = neutral + head.arkit_offsets(torch.zeros(head.num_shape))[ARKIT_NAMES.index(f"eyeBlink{side}")]
    part, other = (f"{name}_eye" for name in (("left", "right") if side == "Left" else ("right", "left")))
    assert visible_eye_pixels(head, neutral, part) > 300
    assert visible_eye_pixels(head, closed, part) < 0.01 * visible_eye_pixels(head, neutral, part)
    assert visible_eye_pixels(head, closed, other) > 0.95 * visible_eye_pixels(head, neutral, other)


@needs_fixture
def test_closed_lids_are_smooth() -> None:
    """Going down over the closed eye, 1/6 mm a pixel, the skin steps back or forth in one place; it is not crumpled."""
    _, head = registered_flame()
    closed = head.skinned.template + head.arkit_offsets(torch.zeros(head.num_shape))[ARKIT_NAMES.index("eyeBlinkLeft")]
    local = closed - head.joints(torch.zeros(1, head.num_shape))[0, 3]
    image = torch.stack([local[:, 0] * 6000 + 90, -local[:, 1] * 6000 + 60, 1 - local[:, 2]], 1)
    seen = rasterize(image[None], head.triangles, 120, 180)
    depth = (image[:, 2][head.triangles[seen.triangle[0]]] * seen.barycentric[0]).sum(-1)
    steep = ((depth[1:] - depth[:-1]).abs() > 0.0006).float()
    steps = torch.nn.functional.max_pool1d(steep.T[:, None], 7, 1, 3)[:, 0].T  # those within 1 mm are one
    assert float(((steps[1:] > steps[:-1]).sum(0) > 1).float().mean()) < 0.02


@needs_fixture
def test_jaw_and_smile_move_the_mouth_as_their_names_say() -> None:
    arrays, head = registered_flame()
    offsets = head.arkit_offsets(torch.zeros(head.num_shape)).numpy()

    def moved(name: str) -> np.ndarray:
        return surface_points(arrays, "landmarks_68", offsets[ARKIT_NAMES.index(name)])

    jaw = moved("jawOpen")
    assert jaw[62, 1] - jaw[66, 1] > 0.025  # the inner lips part by more than 25 mm
    assert jaw[8, 1] < -0.02 and np.linalg.norm(jaw[30]) < 1e-3
    left, right = moved("mouthSmileLeft"), moved("mouthSmileRight")
    assert left[54, 1] > 0.004 and right[48, 1] > 0.004  # corners rise, each on its side
    assert np.linalg.norm(left[48]) < 0.25 * np.linalg.norm(left[54])
    assert moved("browInnerUp")[21, 1] > 0.003


@needs_fixture
def test_each_expression_has_its_own_range() -> None:
    """FLAME's own components count standard deviations, to both sides; named expressions and jaws go from 0 to 1."""
    _, head = registered_flame()
    own = torch.tensor([name.startswith("flame_expression_") for name in head.expression_names])
    assert own.sum() == 100 and (~own).sum() >= len(json.loads(open_head()[1]["expression_names"]))
    assert (head.expression_limits[own] == torch.tensor([-3.0, 3.0])).all()
    assert (head.expression_limits[~own] == torch.tensor([0.0, 1.0])).all()


@needs_fixture
def test_the_trackers_habits_go_along() -> None:
    source, metadata = open_head()
    bias = np.random.default_rng(3).normal(size=(478, 2, 5)).astype(np.float32)
    known = register_flame(flame(), {**source, "landmarks_478_view_bias": bias}, metadata)[0]
    assert np.array_equal(known["landmarks_478_view_bias"], bias)
    unknown = {name: array for name, array in source.items() if name != "landmarks_478_view_bias"}
    assert "landmarks_478_view_bias" not in register_flame(flame(), unknown, metadata)[0]


@needs_fixture
def test_flames_own_expressions_come_first_and_names_are_unique() -> None:
    arrays, head = registered_flame()
    assert np.array_equal(arrays["expression_basis"][:, :, :100], flame().expression_basis)
    assert head.expression_names[0] == "flame_expression_000"
    assert "lid_close_left" in head.expression_names
    assert len(set(head.expression_names)) == head.num_expression
