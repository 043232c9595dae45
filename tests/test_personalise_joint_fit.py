"""The joint fit of several photos: its solver against a dense one, its identity and its offsets on known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.landmark_term import LandmarkTerm, landmark_targets
from ml_backend.coarse.parameters import FitParameters
from ml_backend.coarse.prior_term import PriorTerm
from ml_backend.personalise.joint_fit import JointFitError, JointFitOptions, fit_jointly, fit_view
from ml_backend.personalise.joint_solver import IdentityPrior, ViewEvidence, solve_jointly
from ml_backend.personalise.vertex_offsets import (
    agreed_coefficients,
    head_of_shape,
    head_with_modes,
    offset_modes,
    personal_head,
)
from ml_backend.personalise.view import View
from ml_backend.tracking.face_tracker import TrackedFace
from tests.toy_head import toy_albedo_model, toy_head

IMAGE_SIZE = (300, 260)
NUM_SHAPE, NUM_EXPRESSION = 4, 3
# landmarks and silhouette only: the toy's photos are grey
WITHOUT_SHADING = JointFitOptions(use_photometric=False, use_offsets=False)


def draw(generator, *size):
    return torch.randn(*size, generator=generator)


def linear_term(generator, num_rows):
    """Residuals that are linear in all of a view's unknowns: their rows (M,P) and goal (M,), and the term."""
    rows = draw(generator, num_rows, NUM_SHAPE + NUM_EXPRESSION + 18)
    goal = draw(generator, num_rows)
    return rows, goal, lambda parameters: Residuals(rows @ parameters.vector - goal, rows)


def test_solution_is_that_of_one_dense_least_squares():
    generator = torch.Generator().manual_seed(1)
    own = NUM_EXPRESSION + 18
    weights = [1.0, 0.3, 2.0]
    start = FitParameters(
        torch.zeros(NUM_SHAPE), torch.zeros(NUM_EXPRESSION), torch.zeros(15), torch.zeros(3), None, IMAGE_SIZE
    )
    prior = IdentityPrior(torch.eye(NUM_SHAPE) * 1.5, draw(generator, NUM_SHAPE))
    dense_rows = [torch.cat([prior.rows, torch.zeros(NUM_SHAPE, own * len(weights))], 1)]
    dense_goal = [prior.goal]
    views = []
    for number, weight in enumerate(weights):
        rows, goal, term = linear_term(generator, 40)
        views.append(ViewEvidence(start, (term,), weight))
        wide = torch.zeros(40, NUM_SHAPE + own * len(weights))
        wide[:, :NUM_SHAPE] = rows[:, :NUM_SHAPE]
        wide[:, NUM_SHAPE + own * number : NUM_SHAPE + own * (number + 1)] = rows[:, NUM_SHAPE:]
        dense_rows.append(weight**0.5 * wide)
        dense_goal.append(weight**0.5 * goal)
    expected = torch.linalg.lstsq(torch.cat(dense_rows), torch.cat(dense_goal)[:, None]).solution[:, 0]
    solution = solve_jointly(views, prior, iterations=10, damping=1e-6)
    for number, parameters in enumerate(solution.parameters):
        torch.testing.assert_close(parameters.shape, expected[:NUM_SHAPE], atol=1e-3, rtol=0)
        theirs = expected[NUM_SHAPE + own * number : NUM_SHAPE + own * (number + 1)]
        torch.testing.assert_close(parameters.vector[NUM_SHAPE:], theirs, atol=1e-3, rtol=0)


def some_pose(yaw, pitch=0.0):
    pose = torch.zeros(15)
    pose[0], pose[1] = pitch, yaw
    return pose


def seen_by(head, shape, yaw, seed, pitch=0.0):
    """A head's parameters in a photo: shape (S,), some expression, turned."""
    generator = torch.Generator().manual_seed(seed)
    expression = 0.5 * torch.rand(head.num_expression, generator=generator)
    view = torch.tensor([np.log(900.0), 150.0, 130.0]).float()
    return FitParameters(shape, expression, some_pose(yaw, pitch), view, None, IMAGE_SIZE)


def exact_landmarks(head, parameters):
    posed = head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
    seen = parameters.camera.project(head.landmarks_478.on(posed, head.triangles)[0])
    # the tracker's z is in pixels
    return torch.cat([seen[:, :2], seen[:, 2:] * parameters.px_per_m], 1)


def photo_of(head, parameters, name, noise_px=0.0, seed=0):
    landmarks = exact_landmarks(head, parameters).numpy()
    landmarks[:, :2] += noise_px * np.random.default_rng(seed).standard_normal((478, 2))
    face = TrackedFace(landmarks.astype(np.float32), np.zeros(4, np.float32), 1.0, 1.0, 0.0)
    return View(name, np.full((IMAGE_SIZE[1], IMAGE_SIZE[0], 3), 128, np.uint8), face, None)


@pytest.fixture(scope="module")
def head():
    return toy_head()


@pytest.fixture(scope="module")
def albedo_model():
    return toy_albedo_model()


def person(seed):
    return 0.8 * draw(torch.Generator().manual_seed(seed), 8)


def test_identity_of_several_photos_beats_that_of_one(head, albedo_model):
    shape = person(1)
    # the silhouette moves the toy's contour, so turns are small
    photos = [
        photo_of(head, seen_by(head, shape, yaw, seed), str(seed), 1.5, seed)
        for seed, yaw in enumerate((-0.3, 0.0, 0.3, 0.15))
    ]
    together = fit_jointly(photos, head, albedo_model, WITHOUT_SHADING)
    alone = [fit_jointly([photo], head, albedo_model, WITHOUT_SHADING) for photo in photos]
    error = float((together.shape - shape).norm())
    assert error < np.mean([float((fit.shape - shape).norm()) for fit in alone])
    assert all(torch.equal(fit.shape, together.shape) for fit in together.fits)
    assert all(torch.equal(fit.albedo, together.albedo) for fit in together.fits)
    assert not torch.equal(together.fits[0].expression, together.fits[1].expression)
    assert len(together.error_percent) == 4 and max(together.error_percent) < 3


def test_photo_of_somebody_else_hardly_moves_the_identity(head, albedo_model):
    shape = person(1)
    own = [
        photo_of(head, seen_by(head, shape, yaw, seed), str(seed), 0.5, seed)
        for seed, yaw in enumerate((-0.3, 0, 0.3, 0.1))
    ]
    other = photo_of(head, seen_by(head, person(9), 0.1, 7), "other", 0.5, 7)
    without = fit_jointly(own, head, albedo_model, WITHOUT_SHADING)
    with_other = fit_jointly([*own[:2], other, *own[2:]], head, albedo_model, WITHOUT_SHADING)
    assert with_other.say[2] < 0.2 * min(with_other.say[:2] + with_other.say[3:])
    assert (with_other.shape - without.shape).abs().max() < 0.2


def test_new_photo_of_a_known_person(head, albedo_model):
    shape = person(1)
    truth = seen_by(head, shape, 0.2, 5)
    fit = fit_view(photo_of(head, truth, "new"), head, shape, torch.zeros(2), albedo_model, WITHOUT_SHADING)
    assert torch.equal(fit.shape, shape) and torch.equal(fit.albedo, torch.zeros(2))
    assert (fit.pose[:3] - truth.pose[:3]).abs().max() < 0.03
    assert fit.landmark_error_percent < 1


def test_no_photo_is_refused_in_words(head, albedo_model):
    with pytest.raises(JointFitError) as refused:
        fit_jointly([], head, albedo_model)
    assert refused.value.code == "no_views" and refused.value.hint


def test_head_of_a_shape_moves_as_the_head_does(head):
    truth = seen_by(head, person(2), 0.4, 3)
    one = head_of_shape(head, truth.shape)
    assert one.num_shape == 0
    torch.testing.assert_close(
        one.vertices(truth.shape[None, :0], truth.expression[None], truth.pose[None]),
        head.vertices(truth.shape[None], truth.expression[None], truth.pose[None]),
        atol=1e-6,
        rtol=0,
    )


def test_personal_head_carries_its_offsets_and_joints_follow(head):
    offsets = 0.001 * draw(torch.Generator().manual_seed(4), head.num_vertices, 3)
    personal = personal_head(head, offsets)
    zero = torch.zeros(1, 8), torch.zeros(1, 5), torch.zeros(1, 15)
    torch.testing.assert_close(personal.vertices(*zero) - head.vertices(*zero), offsets[None], atol=1e-6, rtol=0)
    expected = head.joint_regressor @ (head.skinned.template + offsets)
    torch.testing.assert_close(personal.joints(zero[0])[0], expected, atol=1e-7, rtol=0)


def bump(head, centre, size_m=0.0015, width_m=0.03):
    """(V,3) a bump outwards (metres) around a point."""
    template = head.skinned.template
    distance = (template - torch.tensor(centre)).norm(dim=1, keepdim=True)
    return size_m * torch.exp(-((distance / width_m) ** 2) / 2) * torch.nn.functional.normalize(template, dim=1)


def offsets_read_from(head, truths, yaws):
    """(V,3) offsets found in photos of one shape, each photo's neutral with the offsets (V,3) of the list."""
    shape = person(1)
    modes = offset_modes(head, shape)
    with_modes = head_with_modes(head, modes)
    coefficients = torch.cat([shape, torch.zeros(modes.shape[2])])
    # the shape is known well: what is asked is whether the modes find what it cannot do
    prior = IdentityPrior(10 * torch.eye(8), 10 * shape)
    views = []
    for seed, (truth, yaw) in enumerate(zip(truths, yaws, strict=True)):
        parameters = seen_by(head, shape, yaw, seed, 0.1 * (-1) ** (seed // 2))
        targets = landmark_targets(exact_landmarks(personal_head(head, truth), parameters), head)
        terms = (PriorTerm(with_modes, shape_sigma=float("inf")), LandmarkTerm(with_modes, targets))
        views.append(ViewEvidence(replace(parameters, shape=coefficients), terms))
    return modes @ agreed_coefficients(views, prior)


YAWS = (-0.5, -0.4, 0.0, 0.1, 0.5, 0.4)


def test_offsets_that_photos_agree_on_are_found(head):
    truth = bump(head, (0.0, 0.0, 0.095))
    found = offsets_read_from(head, [truth] * 6, YAWS)
    strong = truth.norm(dim=1) > 0.0007
    assert (found - truth)[strong].norm(dim=1).mean() < 0.6 * truth[strong].norm(dim=1).mean()
    # nothing where nothing was seen
    back = head.skinned.template[:, 2] < -0.07
    assert found[back].norm(dim=1).max() < 0.0002


def test_photos_that_contradict_each_other_give_no_offsets(head):
    truth = bump(head, (0.0, 0.0, 0.095))
    agreed = offsets_read_from(head, [truth] * 6, YAWS)
    contrary = offsets_read_from(head, [truth, -0.8 * truth] * 3, YAWS)
    assert agreed.norm() > 0
    assert contrary.abs().max() < 1e-7


def test_few_photos_say_nothing_of_offsets(head):
    truth = bump(head, (0.0, 0.0, 0.095))
    assert offsets_read_from(head, [truth] * 3, YAWS[:3]).abs().max() == 0


def test_side_that_no_photo_shows_mirrors_the_other(head):
    one_side = head.landmarks_478_weight.clone()
    seen = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0]
    one_side[seen[:, 0] > 0.0] = 0
    truth = bump(head, (-0.045, 0.0, 0.075))
    found = offsets_read_from(replace(head, landmarks_478_weight=one_side), [truth] * 6, YAWS)
    at = torch.tensor([-0.045, 0.0, 0.075])
    right = found[(head.skinned.template - at).norm(dim=1).argmin()]
    left = found[(head.skinned.template - at * torch.tensor([-1.0, 1, 1])).norm(dim=1).argmin()]
    assert right.norm() > 0.0003
    assert (left - right * torch.tensor([-1.0, 1, 1])).norm() < 0.6 * right.norm()


def test_offset_modes_are_smooth_and_strongest_first(head):
    modes = offset_modes(head, torch.zeros(8))
    size = modes[head.masks["face"] > 0.5].square().sum(1).mean(0).sqrt()
    assert size[0] > 2 * size[-1]
    edges = torch.cat([head.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    length = (head.skinned.template[edges[:, 0]] - head.skinned.template[edges[:, 1]]).norm(dim=1)
    steepest = ((modes[edges[:, 0]] - modes[edges[:, 1]]).norm(dim=1) / length[:, None]).max()
    # one standard deviation of a mode never bends the surface by more than a few degrees
    assert steepest < 0.06
