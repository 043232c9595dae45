"""The neutral of a smiling face: lips that meet, and a mouth no wider than the person's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from addon.exchange.arkit import ARKIT_NAMES
from ml_backend.coarse.fit_photo import fit_photo
from ml_backend.coarse.neutral_mouth_term import (
    LIP_FORM_SIGMA_M,
    LIP_GAP_SIGMA_M,
    LIP_PAIRS,
    MOUTH_WIDTH_SIGMA,
    TELLING_MOTION_M,
    NeutralMouthTerm,
    corner_motion_m,
)
from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel, SurfacePoints
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.tracking.face_tracker import FaceTracker
from ml_backend.tracking.landmark_topology import (
    IBUG_68_FROM_478,
    LIPS,
    LOWER_LIP_MIDDLE,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    OUTER_EYE_CORNERS,
    UPPER_LIP_MIDDLE,
)
from tests.toy_head import toy_head

IMAGE_PX = 480
PX_PER_M = 1500.0
EYE_CORNERS = [int(IBUG_68_FROM_478[corner]) for corner in OUTER_EYE_CORNERS]


def with_shape(head: HeadModel, component: torch.Tensor) -> HeadModel:
    """The head with one shape component (V,3)."""
    joints = head.skinned.joint_shape_basis[:, :, :1]
    return replace(head, skinned=replace(head.skinned, shape_basis=component[:, :, None], joint_shape_basis=joints))


def cost(head: HeadModel, shape: float = 1.0, motion_m: float = 0.0) -> float:
    """What the term asks for the only shape component."""
    zero = torch.zeros(head.num_expression), torch.zeros(15), torch.zeros(3)
    block = NeutralMouthTerm(head, motion_m)(FitParameters(torch.tensor([shape]), *zero, None, (100, 100)))
    torch.testing.assert_close(block.jacobian[:, 0] * shape, block.value)
    assert not block.jacobian[:, 1:].any()
    return float(block.value.square().sum())


def lips_apart(head: HeadModel) -> HeadModel:
    """The head with its lip landmarks on triangles that share no vertex with one another."""
    used: set[int] = set()
    apart = []
    for number in head.landmarks_478.triangle.unique().tolist():
        corners = set(head.triangles[number].tolist())
        if not corners & used:
            used |= corners
            apart.append(number)
    pairs = [number for pair in LIP_PAIRS for number in pair]
    triangle = head.landmarks_478.triangle.clone()
    triangle[pairs] = torch.tensor(apart[: len(pairs)])
    return replace(head, landmarks_478=SurfacePoints(triangle, head.landmarks_478.barycentric))


def test_a_shape_that_opens_the_lips_costs_one_at_its_standard_deviation():
    head = lips_apart(toy_head())
    no_expression = replace(head.skinned, expression_basis=torch.zeros_like(head.skinned.expression_basis))
    head = replace(head, skinned=no_expression)
    lower = head.triangles[head.landmarks_478.triangle[[pair[1] for pair in LIP_PAIRS]]].unique()
    opening = torch.zeros_like(head.skinned.template)
    opening[lower, 1] = -LIP_GAP_SIGMA_M
    # a little more than 1: the corners' height is counted from the middle of the slit, which opens downwards
    assert cost(with_shape(head, opening)) == pytest.approx(1.0, rel=0.01)
    assert cost(with_shape(head, opening), shape=2.0) == pytest.approx(4.0, rel=0.01)
    sideways = opening[:, [1, 0, 2]]
    assert cost(with_shape(head, sideways)) < 1e-6


def test_corners_cost_the_more_the_further_the_expression_moves_the_mouth():
    head = load_head()
    # wide and up, as a smile leaves them, in the rows of the corners alone
    rows = slice(len(LIP_PAIRS), len(LIP_PAIRS) + 2)
    at_rest, smiling = (
        NeutralMouthTerm(head, motion_m).by_shape[rows] for motion_m in (0.0, 2 * TELLING_MOTION_M)
    )  # fmt: skip
    torch.testing.assert_close(smiling, 3 * at_rest)
    shape = random_person(head, 5)
    width, neutral_width = (
        landmark_distance_m(head, who, MOUTH_LEFT, MOUTH_RIGHT) / landmark_distance_m(head, who, *EYE_CORNERS)
        for who in (shape, torch.zeros_like(shape))
    )  # fmt: skip
    assert float(at_rest[0] @ shape) == pytest.approx((width - neutral_width) / MOUTH_WIDTH_SIGMA, abs=0.15)


def test_a_smile_moves_the_corners_and_a_frown_of_the_brows_does_not():
    head = load_head()
    moved = torch.zeros(2, head.num_expression)
    for row, names in enumerate((("smile_left", "smile_right"), ("brow_lower_left", "brow_lower_right"))):
        moved[row, [head.expression_names.index(name) for name in names]] = 1.0
    assert corner_motion_m(head, moved[0]) > 0.006
    assert corner_motion_m(head, moved[1]) < 0.0002


def test_what_an_expression_can_do_costs_identity_and_growth_does_not():
    head = toy_head()
    smile = head.skinned.expression_basis[:, :, 0]
    lips = torch.as_tensor(LIPS)
    around = torch.ones(478, dtype=torch.bool)
    around[lips] = False
    # a smile that leaves all but the lips where it is, so that no motion of the face can pass for it
    still = head.triangles[head.landmarks_478.triangle[around]].unique()
    smile = smile.clone()
    smile[still] = 0
    basis = head.skinned.expression_basis.clone()
    basis[:, :, 0] = 10 * smile
    head = replace(head, skinned=replace(head.skinned, expression_basis=basis))
    moved = with_shape(head, smile).landmarks_478.on(smile[None], head.triangles)[0, lips]
    expected = float(moved.square().sum() / len(lips)) / LIP_FORM_SIGMA_M**2
    assert cost(with_shape(head, smile)) > 0.5 * expected > 0
    grown = 0.05 * head.skinned.template
    assert cost(with_shape(head, grown)) < 1.5 * float((0.05 * 0.12 / LIP_GAP_SIGMA_M) ** 2)
    form_only = replace(head, skinned=replace(head.skinned, expression_basis=basis))
    form = NeutralMouthTerm(with_shape(form_only, grown)).by_shape[len(LIP_PAIRS) :]
    assert float(form.square().sum()) < 1e-3


def photo_of(head: HeadModel, shape: torch.Tensor, strengths: dict[str, float]) -> np.ndarray:
    """A frontal render (IMAGE_PX squared, 3) of a person doing ARKit shapes."""
    strength = torch.zeros(len(ARKIT_NAMES))
    for name, value in strengths.items():
        strength[ARKIT_NAMES.index(name)] = value
    expression = (strength @ head.arkit_expression).clamp(*head.expression_limits.unbind(1))
    posed = head.vertices(shape[None], expression[None], (strength @ head.arkit_pose)[None])[0]
    light = ambient_light(0.9)
    light[2] += 0.4
    albedo = load_albedo_model()
    camera = Camera(SCALED_ORTHOGRAPHIC, (IMAGE_PX, IMAGE_PX), scale_px_per_m=PX_PER_M, centre_px=(240.0, 240.0))
    return render_head(head, posed, camera, light, albedo.texture(torch.zeros(albedo.basis.shape[0])).clamp(0, 1))


def fitted_shape(head: HeadModel, pixels: np.ndarray) -> torch.Tensor:
    """(S,) as the coarse fit reads it."""
    return fit_photo(pixels, FaceTracker().find_faces(pixels, max_faces=1)[0], head, load_albedo_model()).shape


def landmark_distance_m(head: HeadModel, shape: torch.Tensor, first: int, second: int) -> float:
    """Distance of two landmarks of the neutral."""
    rest = head.vertices(shape[None], torch.zeros(1, head.num_expression), torch.zeros(1, 15))
    points = head.landmarks_478.on(rest, head.triangles)[0]
    return float((points[first] - points[second]).norm())


def random_person(head: HeadModel, seed: int) -> torch.Tensor:
    return torch.randn(head.num_shape, generator=torch.Generator().manual_seed(seed))


def test_open_lips_in_a_photo_do_not_open_the_neutrals():
    """A head whose first two identity components open the lips, as some of FLAME's do."""
    head = load_head()
    basis = head.skinned.shape_basis.clone()
    basis[:, :, 0] = head.skinned.expression_basis[:, :, head.expression_names.index("lips_part")]
    names = ("lower_lip_depress_left", "lower_lip_depress_right")
    basis[:, :, 1] = sum(head.skinned.expression_basis[:, :, head.expression_names.index(name)] for name in names)
    head = replace(head, skinned=replace(head.skinned, shape_basis=basis))
    shape = random_person(head, 70_001)
    shape[:2] = 0
    opened = {"jawOpen": 0.15, "mouthLowerDownLeft": 0.9, "mouthLowerDownRight": 0.9}
    fitted = fitted_shape(head, photo_of(head, shape, opened))
    gaps = [landmark_distance_m(head, who, UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE) for who in (fitted, shape)]
    # without the term the neutral keeps 9 mm of open mouth
    assert abs(gaps[0] - gaps[1]) < 0.001


def test_the_neutral_of_a_smile_has_the_persons_mouth_width():
    head = load_head()
    names = ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight")
    errors = []
    for seed in (70_001, 70_002, 70_003):
        truth = random_person(head, seed)
        fitted = fitted_shape(head, photo_of(head, truth, dict.fromkeys(names, 0.9)))
        wide = [landmark_distance_m(head, who, MOUTH_LEFT, MOUTH_RIGHT) for who in (fitted, truth)]
        errors.append(wide[0] - wide[1])
    # without the term 4.6 mm; 3.3 mm without its rows for the corners; with them 0.5 mm
    assert sum(errors) / len(errors) < 0.0015, errors
