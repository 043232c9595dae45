"""Eyelids that can close, against closed forms and a photo with painted lashes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.texture.eyelids import (
    LASH_LINE_M,
    closed_eyes,
    hidden_lids,
    lash_line,
    lid_margins,
    paint_eyelids,
    seen_share,
)
from ml_backend.texture.log_colour import luminance
from ml_backend.texture.photo_projection import PosedHead
from ml_backend.texture.photographed_head import PhotographedHead, photographed_head
from ml_backend.texture.skin_colour import fit_skin_colour
from ml_backend.tracking import landmark_topology as topology

SIZE, PHOTO_PX = 384, 512
SKIN = np.log([0.42, 0.26, 0.19]).astype(np.float32)


@pytest.fixture(scope="module")
def eyes():
    """A head seen from the front, its lid margins, and what is hidden of its lids."""
    head = load_head()
    camera = Camera(SCALED_ORTHOGRAPHIC, (PHOTO_PX, PHOTO_PX), 1600.0, (PHOTO_PX / 2, PHOTO_PX / 2))
    fit = CoarseFit(
        torch.zeros(head.num_shape), torch.zeros(head.num_expression), torch.zeros(15), camera, ambient_light(1.0),
        torch.zeros(load_albedo_model().basis.shape[0]), 0.0,
    )  # fmt: skip
    marks = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0]
    landmarks_px = camera.project(marks)[:, :2].numpy()
    scene = photographed_head(head, fit, landmarks_px, SIZE, (PHOTO_PX, PHOTO_PX))
    closed = closed_eyes(head, fit, scene.neutral)
    margins = lid_margins(head, scene.texels, scene.neutral, closed)
    return SimpleNamespace(scene=scene, closed=closed, margins=margins, hidden=hidden_lids(scene, margins, closed))


def painted(eyes: SimpleNamespace, photo: np.ndarray) -> np.ndarray:
    plain = np.broadcast_to(SKIN, (200, 3))
    colour = fit_skin_colour(plain, np.ones(200), plain)
    return paint_eyelids(photo, eyes.scene, eyes.margins, eyes.hidden, photo, colour)


def plain_skin(scene: PhotographedHead) -> np.ndarray:
    return np.broadcast_to(SKIN, (*scene.texels.inside.shape, 3)).copy()


def test_closing_both_eyes_moves_the_lids_alone(eyes):
    moved = np.linalg.norm(eyes.closed - eyes.scene.neutral, axis=1)
    marks = eyes.scene.head.landmarks_478.on(eyes.scene.head.skinned.template[None], eyes.scene.head.triangles)[0]
    for centre in (topology.LEFT_IRIS[0], topology.RIGHT_IRIS[0]):
        near = np.linalg.norm(eyes.scene.neutral - marks[centre].numpy(), axis=1) < 0.015
        assert moved[near].max() > 0.004
    far = np.abs(eyes.scene.neutral[:, 1] - marks[topology.LEFT_IRIS[0], 1].item()) > 0.05
    assert moved[far].max() < 0.001


def test_margins_pass_through_the_trackers_points(eyes):
    """The texels nearest to the tracker's lid points lie on the margin of the open eye, above ones on the upper lid."""
    scene, margins = eyes.scene, eyes.margins
    places = scene.texels.interpolate(scene.neutral)
    marks = scene.head.landmarks_478.on(torch.from_numpy(scene.neutral)[None], scene.head.triangles)[0].numpy()
    own = np.zeros(places.shape[:2], bool)
    own.reshape(-1)[margins.texels.index] = True
    for point, upper in ((159, 1.0), (145, 0.0), (386, 1.0), (374, 0.0)):
        away = np.where(own, np.linalg.norm(places - marks[point], axis=-1), 1.0)
        nearest = np.unravel_index(away.argmin(), away.shape)
        assert margins.distance_m[nearest] < 0.0015
        assert margins.upper[nearest] == upper
        assert 0.2 < margins.along[nearest] < 0.8


def test_seen_share_is_the_cosine_of_a_turned_plane_and_falls_when_it_stretches():
    plane = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float64) * 0.01
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    cosine = np.cos(0.8)
    photo_px = plane[:, :2] * [cosine, -1.0] * 1000.0
    posed = PosedHead(plane, plane, photo_px, plane[:, 0], plane[:, 0], 1000.0)
    assert np.allclose(seen_share(posed, plane, triangles), cosine, atol=1e-6)
    assert np.allclose(seen_share(posed, plane * [1.0, 4.0, 1.0], triangles), cosine / 4, atol=1e-6)
    assert (seen_share(replace(posed, photo_px=-photo_px * [1, -1]), plane, triangles) == 0).all()


def test_lash_line_is_thin_and_ends_before_the_inner_corner(eyes):
    margins = eyes.margins
    line = lash_line(margins, (0.6, 0.2))
    assert np.abs(line).max() <= 0.6 + 1e-6
    assert line[margins.distance_m > 5 * LASH_LINE_M[0]].max() < 0.6 * 0.05
    assert line[(margins.upper < 0.5) & (margins.distance_m < 0.02)].max() <= 0.2 + 1e-6
    assert line[(margins.along > 0.95) & (margins.distance_m < 0.02)].max() < 1e-6


def test_upper_lashes_are_a_wider_and_darker_line_than_lower_ones(eyes):
    margins = eyes.margins
    line = lash_line(margins, (0.6, 0.6))
    own = np.zeros(line.shape, bool)
    own.reshape(-1)[margins.texels.index] = True
    beside = own & (np.abs(margins.distance_m - 0.0012) < 0.0002) & (margins.along < 0.7)
    upper, lower = (line[beside & (margins.upper == side)] for side in (1.0, 0.0))
    assert min(len(upper), len(lower)) > 20
    assert upper.min() > 2 * lower.max()
    painted_black, painted_fair = (painted(eyes, photo_with_lashes(eyes, depth)) for depth in (2.5, 0.6))
    middle = (margins.distance_m < 0.0004) & (margins.along < 0.7)
    for side in (1.0, 0.0):
        chosen = middle & (margins.upper == side)
        black, fair = (luminance(image)[chosen].mean() for image in (painted_black, painted_fair))
        assert black < fair - 0.2
    dark = [luminance(painted_black)[middle & (margins.upper == side)].mean() for side in (1.0, 0.0)]
    assert dark[0] < dark[1] - 0.5


def photo_with_lashes(eyes: SimpleNamespace, depth: float) -> np.ndarray:
    """Plain skin, darker by `depth` (logarithm) around both lid margins."""
    photo = plain_skin(eyes.scene)
    photo[eyes.margins.distance_m < 0.0025] -= depth
    return photo


def test_lashes_and_fold_shadow_are_no_smudge_on_the_closed_lid(eyes):
    """A photo black within 2.5 mm of the margins: only the lash line stays dark, the lid takes the skin's colour."""
    photo = plain_skin(eyes.scene)
    photo[eyes.margins.distance_m < 0.0025] -= 1.8
    result = luminance(painted(eyes, photo))
    own = np.zeros(result.shape, bool)
    own.reshape(-1)[eyes.margins.texels.index] = True
    beside = own & (eyes.margins.distance_m > 0.0035) & (eyes.margins.rim < 0.1)
    assert np.abs(result[beside] - SKIN.mean()).max() < 0.15
    smudge = own & (np.abs(eyes.margins.distance_m - 0.0022) < 0.0003) & (eyes.margins.rim < 0.1)
    assert (SKIN.mean() - result[smudge]).max() < 0.35
    middle = (eyes.margins.distance_m < 0.0003) & (eyes.margins.upper > 0.5) & (eyes.margins.along < 0.7)
    assert (SKIN.mean() - result[middle]).mean() > 0.5


def test_skin_away_from_the_eyes_stays_as_it_is(eyes):
    photo = plain_skin(eyes.scene) + np.random.default_rng(2).normal(0, 0.1, (SIZE, SIZE, 3)).astype(np.float32)
    far = eyes.margins.distance_m > 0.016
    assert (painted(eyes, photo)[far] == photo[far]).all()


def test_make_up_on_a_seen_lid_is_carried_over_the_hidden_part(eyes):
    """Lids that were seen are blue: what was hidden between them and the lashes becomes blue as well, not skin."""
    photo = plain_skin(eyes.scene)
    lid = (eyes.margins.distance_m < 0.012) & (eyes.margins.upper > 0.5)
    photo[lid] += np.array([-0.25, 0.0, 0.25], np.float32)
    result = painted(eyes, photo)
    blue = (result - SKIN)[..., 2] - (result - SKIN)[..., 0]
    between = lid & (eyes.hidden > 0.9) & (eyes.margins.distance_m > 0.002) & (eyes.margins.rim < 0.05)
    assert between.sum() > 20
    assert np.median(blue[between]) > 0.2
