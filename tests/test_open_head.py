"""The shipped open head: anatomy, symmetry, rig and shapes, as an artist would notice them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addon.exchange.arkit import ARKIT_NAMES
from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.head_file import OPEN_HEAD_FILE, load_head
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.rasterizer import rasterize

NECK, JAW, LEFT_EYE, RIGHT_EYE = (JOINT_NAMES.index(name) for name in ("neck", "jaw", "left_eye", "right_eye"))
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def arkit(head: HeadModel, shape: torch.Tensor | None = None, **amounts: float) -> torch.Tensor:
    """Vertices (V,3) of an identity with ARKit shapes."""
    expression, pose = torch.zeros(head.num_expression), torch.zeros(15)
    for name, amount in amounts.items():
        expression = expression + amount * head.arkit_expression[ARKIT_NAMES.index(name)]
        pose = pose + amount * head.arkit_pose[ARKIT_NAMES.index(name)]
    shape = torch.zeros(head.num_shape) if shape is None else shape
    return head.vertices(shape[None], expression[None], pose[None])[0]


def identities(head: HeadModel, count: int) -> torch.Tensor:
    return torch.randn(count, head.num_shape, generator=torch.Generator().manual_seed(4))


def part_rows(head: HeadModel, part: str) -> torch.Tensor:
    rows = head.polygons[head.polygon_part == head.part_names.index(part)].unique()
    return rows[rows >= 0]


def left_eye_pixels(head: HeadModel, vertices: torch.Tensor) -> int:
    """Count the pixels in which the left eyeball is seen from the front, 0.1 mm a pixel."""
    camera = Camera(SCALED_ORTHOGRAPHIC, (400, 300), scale_px_per_m=10_000.0, centre_px=(200.0 - 310.0, 150.0))
    seen = rasterize(camera.project(vertices)[None], head.triangles, 300, 400).triangle[0]
    parts = head.triangle_part[seen[seen >= 0]]
    return int((parts == head.part_names.index("left_eye")).sum())


def test_file_stays_small_and_rich(head):
    assert OPEN_HEAD_FILE.stat().st_size < 14.5e6
    assert head.num_shape >= 150
    assert set(head.part_names) >= {"skin", "left_eye", "right_eye", "upper_teeth", "lower_teeth", "tongue"}
    assert len(set(head.expression_names)) == head.num_expression
    assert not set(head.expression_names) & set(ARKIT_NAMES)  # both become shape keys of one mesh


def test_sided_expressions_come_in_pairs(head):
    lefts = {name.removesuffix("_left") for name in head.expression_names if name.endswith("_left")}
    rights = {name.removesuffix("_right") for name in head.expression_names if name.endswith("_right")}
    assert lefts == rights and len(lefts) > 15


def test_skin_opens_only_at_neck_and_eyes(head):
    skin = head.polygons[head.polygon_part == head.part_names.index("skin")]
    edges = torch.stack([skin, skin.roll(-1, 1)], -1).reshape(-1, 2).sort(1).values
    unique, count = edges.unique(dim=0, return_counts=True)
    assert int(count.max()) == 2
    rim = unique[count == 1]
    neighbours = torch.bincount(rim.flatten())
    assert set(neighbours.tolist()) == {0, 2}  # closed loops
    neck = rim[(head.masks["boundary"][rim] > 0).all(1)]
    assert len(neck) == 42
    eyes = rim[(head.masks["boundary"][rim] == 0).all(1)]
    assert len(neck) + len(eyes) == len(rim)
    assert float(head.skinned.template[eyes.flatten()].norm(dim=1).max()) < 0.06


def test_adult_measures(head):
    template = head.skinned.template
    joints = head.joints(torch.zeros(1, head.num_shape))[0]
    assert 0.060 < float(joints[LEFT_EYE, 0] - joints[RIGHT_EYE, 0]) < 0.065
    assert torch.allclose((joints[LEFT_EYE] + joints[RIGHT_EYE]) / 2, torch.zeros(3), atol=1e-5)
    head_only = template[(head.masks["ears"] < 0.1) & (template[:, 1] > -0.1)]
    breadth = float(head_only[:, 0].max() - head_only[:, 0].min())
    assert 0.140 < breadth < 0.165


def test_mean_and_shapes_are_symmetric(head):
    mirror, template = head.mirror_vertex, head.skinned.template
    assert torch.equal(mirror[mirror], torch.arange(head.num_vertices))
    assert float((template[mirror] * MIRROR - template).abs().max()) < 1e-6
    basis = head.skinned.shape_basis
    mirrored = basis[mirror] * MIRROR[:, None]
    same, opposite = (mirrored - basis).abs().amax((0, 1)), (mirrored + basis).abs().amax((0, 1))
    assert float(torch.minimum(same, opposite).max()) < 1e-6


def test_shape_components_fall_in_size(head):
    size = head.skinned.shape_basis.norm(dim=1).mean(0)
    assert float(size[0]) > 0.002 and float(size[100:].max()) < 0.0002


def test_eyes_stay_balls_around_their_joints(head):
    shapes = identities(head, 20)
    vertices = head.vertices(shapes, torch.zeros(20, head.num_expression), torch.zeros(20, 15))
    joints = head.joints(shapes)
    for part, joint in (("left_eye", LEFT_EYE), ("right_eye", RIGHT_EYE)):
        rows = part_rows(head, part)
        radius = (vertices[:, rows] - joints[:, None, joint]).norm(dim=2)
        sclera = radius[:, len(rows) // 2 :]
        assert float((sclera - sclera.mean(1, keepdim=True)).abs().max()) < 2e-5
        assert float((radius.amax(1) / radius.amin(1)).max()) < 1.06  # with the cornea
        assert torch.equal(head.skinned.skinning_weights[rows, joint], torch.ones(len(rows)))


def test_skinning_weights_are_anatomical(head):
    weights, template = head.skinned.skinning_weights, head.skinned.template
    assert float((weights.sum(1) - 1).abs().max()) < 1e-5 and float(weights.min()) >= 0
    assert float(weights[part_rows(head, "lower_teeth"), JAW].min()) == pytest.approx(1)
    assert float(weights[part_rows(head, "upper_teeth"), JAW].max()) == 0
    lips = head.landmarks_68.on(torch.cat([template, weights], 1)[None], head.triangles)[0]
    upper, lower = lips[[50, 51, 52, 62], 3 + JAW], lips[[56, 57, 58, 66], 3 + JAW]
    assert float(upper.max()) < 0.1 and float(lower.min()) > 0.9
    corners = lips[[48, 54], 3 + JAW]
    assert float(corners.min()) > 0.3 and float(corners.max()) < 0.6


def test_every_arkit_shape_moves_its_own_side(head):
    offsets = head.arkit_offsets(torch.zeros(head.num_shape))
    size = offsets.norm(dim=2).amax(1)
    assert float(size.min()) > 0.001, [ARKIT_NAMES[int(size.argmin())]]
    for index, name in enumerate(ARKIT_NAMES):
        if name.endswith("Left"):
            other = offsets[ARKIT_NAMES.index(name.removesuffix("Left") + "Right")]
            mirrored = other[head.mirror_vertex] * MIRROR
            assert float((offsets[index] - mirrored).abs().max()) < 4e-4, name


def test_blink_closes_the_eye(head):
    for shape in (torch.zeros(head.num_shape), *identities(head, 12)):
        open_pixels = left_eye_pixels(head, arkit(head, shape))
        closed_pixels = left_eye_pixels(head, arkit(head, shape, eyeBlinkLeft=1.0))
        assert open_pixels > 5000
        assert closed_pixels < 0.003 * open_pixels


def test_closed_lids_meet_in_one_line(head):
    """Going down over a closed eye, the skin steps back or forth in one place: no lid's rim lies on the other lid."""
    camera = Camera(SCALED_ORTHOGRAPHIC, (200, 200), scale_px_per_m=10_000.0, centre_px=(100.0 - 310.0, 100.0))
    for shape in (torch.zeros(head.num_shape), *identities(head, 12)):
        projected = camera.project(arkit(head, shape, eyeBlinkLeft=1.0))
        seen = rasterize(projected[None], head.triangles, 200, 200)
        depth = (projected[:, 2][head.triangles[seen.triangle[0]]] * seen.barycentric[0]).sum(-1)
        steep = ((depth[1:] - depth[:-1]).abs() > 0.0004).float()  # 0.4 mm in 0.1 mm
        steps = torch.nn.functional.max_pool1d(steep.T[:, None], 11, 1, 5)[:, 0].T  # those within 1 mm are one
        count = (steps[1:] > steps[:-1]).sum(0)
        assert float((count > 1).float().mean()) < 0.02


def test_lids_stay_outside_the_ball_during_a_blink(head):
    neutral = head.skinned.template
    joint = head.joints(torch.zeros(1, head.num_shape))[0, LEFT_EYE]
    radius = float((neutral[part_rows(head, "left_eye")[-1]] - joint).norm())
    lids = (head.masks["eyelids"] > 0) & (neutral[:, 0] > 0)
    lids &= (neutral - joint).norm(dim=1) > radius
    for amount in (0.25, 0.5, 0.75, 1.0):
        closing = arkit(head, eyeBlinkLeft=amount)
        assert float((closing[lids] - joint).norm(dim=1).min()) > radius - 5e-5


def test_jaw_opens_wide_and_cheeks_keep_their_length(head):
    neutral, opened = head.skinned.template, arkit(head, jawOpen=1.0)
    teeth = part_rows(head, "lower_teeth")
    incisors = teeth[neutral[teeth, 2] > neutral[teeth, 2].max() - 0.003]
    drop = (opened[incisors] - neutral[incisors]).norm(dim=1)
    assert 0.038 < float(drop.mean()) < 0.046
    joint = head.joints(torch.zeros(1, head.num_shape))[0, JAW]
    cheeks = (head.masks["cheeks"] > 0.5) & ((head.skinned.skinning_weights[:, JAW] - 0.5).abs() < 0.3)
    from_axis = [(points[cheeks] - joint)[:, 1:].norm(dim=1) for points in (neutral, opened)]
    assert float((from_axis[1] / from_axis[0] - 1).abs().max()) < 0.01


def test_mouth_close_closes_the_open_jaw(head):
    """Both as blend shapes add in every player of ARKit's shapes, and posed with the jaw joint."""
    neutral = head.skinned.template
    offsets = head.arkit_offsets(torch.zeros(head.num_shape))
    names = ("jawOpen", "mouthClose")
    jaw_open, mouth_close = (offsets[ARKIT_NAMES.index(name)] for name in names)

    def gap(vertices: torch.Tensor) -> float:
        lips = head.landmarks_68.on(vertices[None], head.triangles)[0]
        return float((lips[62, 1] - lips[66, 1]).abs())

    assert gap(neutral) < 0.002
    assert gap(neutral + jaw_open) > 0.03
    assert gap(neutral + jaw_open + mouth_close) < 0.002
    assert gap(arkit(head, jawOpen=1.0, mouthClose=1.0)) < 0.002


def test_mouth_close_draws_the_upper_lip_only_a_little(head):
    closed, neutral = arkit(head, jawOpen=1.0, mouthClose=1.0), head.skinned.template
    upper = head.landmarks_68.on(torch.stack([neutral, closed]), head.triangles)[:, 51]
    assert 0.005 < float(upper[0, 1] - upper[1, 1]) < 0.017


def test_teeth_arch_is_an_adults(head):
    x = head.skinned.template[part_rows(head, "upper_teeth"), 0]
    assert 0.058 < float(x.max() - x.min()) < 0.066


def test_cheeks_puff_and_smiles_gather_the_cheek(head):
    neutral = head.skinned.template
    cheeks = head.masks["cheeks"] > 0.5
    normals = vertex_normals(neutral[None], head.triangles)[0]

    def outwards(**amounts: float) -> float:
        return float(((arkit(head, **amounts) - neutral) * normals).sum(1)[cheeks].max())

    assert 0.010 < outwards(cheekPuff=1.0) < 0.016
    assert outwards(mouthSmileLeft=1.0) > 0.004


@pytest.mark.parametrize(
    "name", ["mouthSmile", "mouthUpperUp", "mouthStretch", "mouthDimple", "noseSneer", "cheekPuff"]
)
def test_skin_does_not_fold_over(head, name):
    """No polygon of the cheeks turns by a right angle: folds are soft."""
    neutral, moved = head.skinned.template, arkit(head, **both_sides(name))
    cheeks = (head.masks["face"] > 0.5) & (head.masks["lips"] < 0.1) & (head.masks["eyelids"] < 0.1)
    cheeks &= (head.masks["nose"] < 0.5) & (head.masks["inner_mouth"] < 0.1)
    faces = head.triangles[cheeks[head.triangles].all(1)]
    before, after = face_normals(neutral, faces), face_normals(moved, faces)
    assert float((before * after).sum(1).min()) > 0.2


def both_sides(name: str) -> dict[str, float]:
    return {name: 1.0} if name in ARKIT_NAMES else {name + "Left": 1.0, name + "Right": 1.0}


def face_normals(vertices: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    a, b, c = vertices[triangles].unbind(1)
    return torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)


def test_68_landmarks_lie_where_their_names_say(head):
    points = head.landmarks_68.on(head.skinned.template[None], head.triangles)[0]
    pairs = [(0, 16), (4, 12), (17, 26), (21, 22), (31, 35), (36, 45), (39, 42), (37, 44), (41, 46), (48, 54), (60, 64)]
    for right, left in pairs:
        assert float(points[right, 0]) < 0 < float(points[left, 0])
        assert float((points[right] * MIRROR - points[left]).norm()) < 0.002, (right, left)
    on_midline = points[[8, 27, 28, 29, 30, 33, 51, 57, 62, 66]]
    assert float(on_midline[:, 0].abs().max()) < 0.001
    downwards = points[[19, 37, 41, 30, 33, 51, 62, 57, 8], 1]
    assert bool((downwards[1:] < downwards[:-1] + 1e-4).all())
    assert float(points[30, 2]) == pytest.approx(float(points[:, 2].max()))  # the tip of the nose
    iris_widths = float((points[36] - points[39]).norm()) / 0.0117
    assert 2.0 < iris_widths < 3.0


def test_contour_follows_the_turned_face(head):
    yaw = head.contour_yaw
    assert bool((yaw[1:] > yaw[:-1]).all()) and float(yaw.max()) > 0.9
    points = head.contour.on(head.skinned.template[None], head.triangles)[0]
    front = points[int(yaw.abs().argmin())]
    turned = points[int((yaw - 0.7).abs().argmin())]
    assert torch.allclose(turned[:8], front[:8])  # the near side stays
    assert float(turned[14, 2]) > float(front[14, 2]) + 0.01  # the far side moves forward on the cheek


def test_masks_and_embeddings_are_shares(head):
    for name, mask in head.masks.items():
        assert float(mask.min()) >= 0.0 and float(mask.max()) <= 1.0, name
        assert float(mask.sum()) > 10, name
    both = np.concatenate([head.landmarks_68.barycentric, head.contour.barycentric.reshape(-1, 3)])
    assert np.allclose(both.sum(1), 1, atol=1e-5) and both.min() > -1e-6
