"""The learned detail as wrinkle maps: what the student says at any tension, played by three maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import FaceWindow, UnwrappedFace, face_window, on_window
from ml_backend.learned.detail_networks import EncodedFace
from ml_backend.learned.person_detail import PersonDetail
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.texture.texel_map import texel_map
from ml_backend.wrinkles.bake_wrinkles import DrawnWrinkles, draw_wrinkles, left_to_prior
from ml_backend.wrinkles.distil import WrinkleScale
from ml_backend.wrinkles.distil_prior import distil_prior, sampled_tension_scale
from ml_backend.wrinkles.learned_wrinkles import LearnedWrinkles, distil_person, smooth_tension
from ml_backend.wrinkles.wrinkle_surface import surface_of_head

SIZE_PX, MAP_PX = 64, 256
# metres that full compression adds, and at rest
SLOPE_M, REST_M = 4e-4, 1e-4


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def drawn(head: HeadModel) -> DrawnWrinkles:
    camera = Camera(SCALED_ORTHOGRAPHIC, (400, 400), scale_px_per_m=1000.0, centre_px=(200.0, 200.0))
    zero = torch.zeros(head.num_shape), torch.zeros(head.num_expression), torch.zeros(15)
    fit = CoarseFit(*zero, camera, torch.zeros(9, 3), torch.zeros(8), 0.0)
    return draw_wrinkles(head, fit, MAP_PX, seed=3, age=0.8)


class StripedStudent:
    """A student that knows its person: compression deepens its stripes up to a point, stretch flattens them."""

    def __init__(self, window: FaceWindow, scale: WrinkleScale) -> None:
        self.scale = scale
        rows = torch.arange(window.size_px)
        self.stripes = torch.where(rows % 8 < 4, 1.0, -1.0)[:, None].expand(window.size_px, window.size_px)

    def decode(self, _face: EncodedFace, tension: torch.Tensor) -> torch.Tensor:
        compressed, expanded = self.scale.weights(tension)
        return self.stripes * (REST_M + SLOPE_M * compressed - 0.5 * REST_M * expanded)


def _person(window: FaceWindow, scale: WrinkleScale) -> PersonDetail:
    empty = UnwrappedFace(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8), np.zeros((SIZE_PX, SIZE_PX), np.uint8))
    return PersonDetail(StripedStudent(window, scale), window, EncodedFace(torch.zeros(1, 1, 1), None), empty)


@pytest.fixture(scope="module")
def learned(head: HeadModel, drawn: DrawnWrinkles) -> LearnedWrinkles:
    return distil_person(_person(face_window(head, SIZE_PX), drawn.scale), drawn.scale, drawn.samples, MAP_PX)


def test_maps_play_a_student_that_follows_tension(head: HeadModel, drawn: DrawnWrinkles, learned: LearnedWrinkles):
    tension = drawn.samples.tension[-1:]
    window = learned.person.window
    said = learned.person.displacement(tension)[0]
    played = learned.maps.played(smooth_tension(tension, window)[0]).numpy()
    at_rest = learned.maps.neutral.numpy()
    skin = window.skin > 0.5
    change, shown = (said - at_rest)[skin], (played - at_rest)[skin]
    assert np.corrcoef(change, shown)[0, 1] > 0.9
    assert shown.std() == pytest.approx(change.std(), rel=0.15)


def test_at_rest_the_maps_are_the_student(learned: LearnedWrinkles):
    at_rest = learned.person.displacement(torch.zeros(1, load_head().num_vertices))[0]
    assert np.array_equal(learned.maps.neutral.numpy().astype(np.float32), at_rest)
    assert np.abs(learned.change_m(torch.zeros(load_head().num_vertices))).max() < 1e-9


def test_nothing_is_said_outside_of_the_face(head: HeadModel, learned: LearnedWrinkles):
    scalp = texel_map(head, MAP_PX).interpolate(head.masks["scalp"].numpy()) > 0.9
    assert scalp.sum() > 100
    for image in (learned.rest_m, learned.compressed_m, learned.expanded_m):
        assert image.shape == (MAP_PX, MAP_PX)
        assert np.abs(image[scalp]).max() < 1e-6
        assert np.abs(image).max() > 1e-5


def test_smooth_tension_keeps_an_even_one(head: HeadModel):
    window = face_window(head, SIZE_PX)
    smooth = smooth_tension(torch.full((1, head.num_vertices), 0.3), window)[0].numpy()
    covered = on_window(torch.ones(1, head.num_vertices, 1), window)[0, 0].numpy() > 0
    assert np.allclose(smooth[covered & window.texels.inside], 0.3, atol=0.02)


def test_the_prior_keeps_what_the_student_does_not_say(drawn: DrawnWrinkles, learned: LearnedWrinkles):
    whole = np.ones((drawn.texels.num_vertices, 2), np.float32)
    prior = distil_prior(drawn.prior, drawn.scale, drawn.samples, changes=drawn.changes)

    def left(factor: float) -> np.ndarray:
        said = replace(learned)
        # what the student says, in place of what it would work out
        said.__dict__.update(
            rest_m=factor * prior.rest_m, compressed_m=factor * prior.compressed_m, expanded_m=factor * prior.expanded_m
        )
        return left_to_prior(drawn, said, prior, whole)

    lines = next(layer for layer in drawn.prior.layers if layer.system.name == "forehead").chart.vertex
    assert np.allclose(left(0.0)[lines], 1)
    assert np.allclose(np.median(left(0.6)[lines], 0), 0.8, atol=0.03)
    assert np.median(left(1.5)[lines], 0).max() < 0.02


def test_eyes_that_turn_are_no_expression(head: HeadModel, drawn: DrawnWrinkles):
    """Samples that move nothing of the face cost no pass of the network."""
    scale, samples = sampled_tension_scale(surface_of_head(head, torch.zeros(head.num_shape)))
    asked: list[int] = []

    class Counting(StripedStudent):
        def decode(self, face: EncodedFace, tension: torch.Tensor) -> torch.Tensor:
            asked.append(len(tension))
            return super().decode(face, tension)

    window = face_window(head, SIZE_PX)
    distil_person(replace(_person(window, scale), student=Counting(window, scale)), scale, samples, MAP_PX)
    assert 20 < len(asked) < len(samples.tension)
