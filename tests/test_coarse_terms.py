"""The derivatives of every residual of the coarse fit against finite differences, and the solver on known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.coarse.appearance import Appearance, estimate_appearance, scale_photo, visible_vertices
from ml_backend.coarse.gauss_newton import Residuals, minimise
from ml_backend.coarse.landmark_term import LandmarkTerm, landmark_targets
from ml_backend.coarse.parameters import FitParameters, linearize_points
from ml_backend.coarse.photometric_term import PhotometricTerm
from ml_backend.coarse.prior_term import PriorTerm
from ml_backend.coarse.rigid_start import rigid_start
from ml_backend.coarse.silhouette_term import SilhouetteTerm
from ml_backend.head.head_model import vertex_normals
from ml_backend.rendering import spherical_harmonics
from tests.toy_head import toy_head

IMAGE_SIZE = (300, 260)


def to_double(head):
    """The head with its geometry in float64, so that finite differences are sharp."""
    skinned = head.skinned
    fields = {
        name: getattr(skinned, name).double()
        for name in skinned.__dataclass_fields__
        if torch.is_tensor(getattr(skinned, name))
    }
    points = replace(head.landmarks_478, barycentric=head.landmarks_478.barycentric.double())
    return replace(head, skinned=replace(skinned, **fields), landmarks_478=points)


def some_parameters(head, focal_px=None, seed=3):
    generator = torch.Generator().manual_seed(seed)

    def draw(count, size):
        return size * torch.randn(count, generator=generator, dtype=torch.float64)

    pose = draw(15, 0.1)
    pose[:3] = torch.tensor([0.1, 0.5, -0.1])
    size = 900.0 if focal_px is None else focal_px / 900.0
    view = torch.tensor([np.log(size), 150.0, 120.0], dtype=torch.float64)
    return FitParameters(draw(head.num_shape, 0.5), draw(head.num_expression, 0.3), pose, view, focal_px, IMAGE_SIZE)


def numeric_jacobian(function, parameters, step=1e-6):
    count = len(parameters.vector)
    columns = []
    for number in range(count):
        move = torch.zeros(count, dtype=torch.float64)
        move[number] = step
        columns.append((function(parameters.moved(move)) - function(parameters.moved(-move))) / (2 * step))
    return torch.stack(columns, -1)


@pytest.mark.parametrize("focal_px", [None, 800.0])
def test_image_points(focal_px):
    head = to_double(toy_head())
    corners = head.triangles[head.landmarks_478.triangle[:40]]
    weights = head.landmarks_478.barycentric[:40]

    def image(parameters):
        return linearize_points(head.skinned, parameters, corners, weights).image

    parameters = some_parameters(head, focal_px)
    ours = linearize_points(head.skinned, parameters, corners, weights).image_by_parameters
    torch.testing.assert_close(ours, numeric_jacobian(image, parameters), atol=1e-4, rtol=1e-5)


def test_image_points_are_the_cameras():
    head = to_double(toy_head())
    for focal_px in (None, 800.0):
        parameters = some_parameters(head, focal_px)
        corners = head.triangles[head.landmarks_478.triangle]
        ours = linearize_points(head.skinned, parameters, corners, head.landmarks_478.barycentric).image
        posed = head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
        theirs = parameters.camera.project(head.landmarks_478.on(posed, head.triangles)[0])[:, :2]
        torch.testing.assert_close(ours, theirs)


def test_photometric_term():
    head = to_double(toy_head())
    parameters = some_parameters(head)
    columns, rows = np.meshgrid(np.arange(IMAGE_SIZE[0]), np.arange(IMAGE_SIZE[1]))
    # a smooth photo, so that its sampled derivative is close to the true one
    smooth = 128 + 60 * np.sin(columns / 40.0) + 50 * np.cos(rows / 50.0)
    photo = scale_photo(np.repeat(smooth[..., None], 3, 2).astype(np.uint8), parameters)
    samples = visible_vertices(head, parameters, head.masks["face"])
    light = spherical_harmonics.ambient_light(0.8, torch.float64) + 0.2 * torch.sin(torch.arange(9.0))[:, None].double()
    albedo = 0.3 + 0.2 * torch.sin(torch.arange(3.0 * head.num_vertices)).reshape(-1, 3).double()
    weight = torch.ones(len(samples.index), dtype=torch.float64)
    term = PhotometricTerm(head, photo, samples, Appearance(light, torch.zeros(1), weight), albedo)
    block = term(parameters)
    numeric = numeric_jacobian(lambda moved: term(moved).value, parameters, step=1e-4)
    # expressions and the other joints are left to the landmarks by design: their normals stay as they are
    shaded = term.columns
    difference = (block.jacobian - numeric)[:, shaded].norm() / numeric[:, shaded].norm()
    assert difference < 0.03  # the photo's 8-bit steps limit it; a wrong sign or a lost term gives above 0.5


def test_light_and_albedo_are_recovered_from_their_own_shading():
    head = toy_head()
    posed = head.vertices(torch.zeros(1, 8), torch.zeros(1, 5), torch.zeros(1, 15))
    normals = vertex_normals(posed, head.triangles)[0]
    parameters = some_parameters(to_double(head))
    samples = visible_vertices(to_double(head), parameters, head.masks["face"])
    samples = replace(samples, normals=normals[samples.index], confidence=torch.ones(len(samples.index)))
    mean = torch.full((head.num_vertices, 3), 0.4)
    waves = 150 * torch.randn(3, 2, generator=torch.Generator().manual_seed(4))
    basis = 0.05 * torch.sin(head.skinned.template @ waves).T[:, :, None].expand(2, -1, 3)
    truth = torch.tensor([1.0, -0.8])
    light = spherical_harmonics.ambient_light(0.9)
    light[2], light[3] = 0.4, -0.3
    colour = (mean + torch.einsum("a,avc->vc", truth, basis))[samples.index]
    colour = colour * spherical_harmonics.shading(samples.normals, light)
    found = estimate_appearance(colour, samples, mean, basis)
    predicted = (mean + torch.einsum("a,avc->vc", found.albedo, basis))[samples.index]
    predicted = predicted * spherical_harmonics.shading(samples.normals, found.light)
    assert (predicted - colour).abs().mean() < 0.01
    assert (found.albedo - truth).abs().max() < 0.35


def exact_landmarks(head, parameters):
    posed = head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
    seen = parameters.camera.project(head.landmarks_478.on(posed, head.triangles)[0])
    # the tracker's z is in pixels
    return torch.cat([seen[:, :2], seen[:, 2:] * parameters.px_per_m], 1).float()


def test_fit_finds_the_head_that_made_the_landmarks():
    head = toy_head()
    truth = some_parameters(to_double(head))
    truth = replace(
        truth, expression=truth.expression.abs(), pose=torch.cat([truth.pose[:3], torch.zeros(12)]).double()
    )
    single = FitParameters(
        *(value.float() for value in (truth.shape, truth.expression, truth.pose, truth.view)), None, IMAGE_SIZE
    )
    landmarks = exact_landmarks(head, single)
    start = rigid_start(head, landmarks, None, IMAGE_SIZE)
    assert (start.pose[:3] - single.pose[:3]).abs().max() < 0.15
    targets = landmark_targets(landmarks, head)
    fitted = minimise(
        start, [PriorTerm(head), LandmarkTerm(head, targets)], torch.ones(len(start.vector), dtype=bool), 30
    )
    error = (exact_landmarks(head, fitted)[:, :2] - landmarks[:, :2]).norm(dim=1).mean() / single.px_per_m
    assert error < 0.0005  # half a millimetre, the priors' pull


def test_minimise_solves_a_robust_line():
    """A quarter of the points lie far off; least squares would follow them."""
    x = torch.linspace(-1, 1, 40)
    y = 2 * x + 0.5
    y[::4] += 30

    def term(parameters):
        slope, offset = parameters.view[0], parameters.view[1]
        jacobian = torch.zeros(40, 18)
        jacobian[:, 15], jacobian[:, 16] = x, 1.0
        return Residuals(slope * x + offset - y, jacobian, 1.0)

    start = FitParameters(torch.zeros(0), torch.zeros(0), torch.zeros(15), torch.zeros(3), None, IMAGE_SIZE)
    free = torch.zeros(18, dtype=torch.bool)
    free[15:17] = True
    found = minimise(start, [term], free, 50)
    torch.testing.assert_close(found.view[:2], torch.tensor([2.0, 0.5]), atol=0.05, rtol=0)


def test_occluded_contour_goes_to_the_silhouette():
    head = toy_head()
    zero = torch.zeros(15)
    zero[1] = 0.6
    parameters = FitParameters(
        torch.zeros(8), torch.zeros(5), zero, torch.tensor([np.log(900.0), 150, 130]).float(), None, IMAGE_SIZE
    )
    targets = landmark_targets(exact_landmarks(head, parameters), head)
    term = SilhouetteTerm(head, targets)
    # the outline as seen lies outside the points that face away
    centre = parameters.view[1:]
    term.image = centre + 1.15 * (term.image - centre)
    contour = term.correspondences(parameters)
    posed = head.vertices(torch.zeros(1, 8), torch.zeros(1, 5), zero[None])
    # the term numbers the vertices of its own region
    facing = vertex_normals(posed, head.triangles)[0, term.region.vertices, 2]
    own = (facing[term.corners] * term.barycentric).sum(-1)
    moved = own < 0
    assert moved.any() and (~moved).any()
    # those that face away go to vertices whose normals are across the view, the others keep their own point
    assert contour.own[~moved].all() and (~contour.own[moved]).any()
    assert facing[contour.corners[~contour.own, 0]].abs().max() < 0.35
    assert torch.equal(contour.corners[contour.own], term.corners[contour.own])
    assert torch.equal(contour.weights[contour.own], term.barycentric[contour.own])
