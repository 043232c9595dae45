"""How a face's colour is shared between skin and light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from ml_backend.rendering.colour import srgb_u8_from_linear
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.texture.eye_whites import SCLERA, EyeWhites, read_eye_whites
from ml_backend.texture.log_colour import chroma, luminance
from ml_backend.texture.skin_tone import (
    CONTRE_JOUR_LIMIT,
    HUE_LIMIT,
    LIMITS,
    SkinAndLight,
    contre_jour,
    natural_chroma,
    skin_shift,
)
from ml_backend.tracking import landmark_topology as topology

# half of full light, a well-exposed photo, and one that is dark all over
WELL_EXPOSED, NIGHT = np.full((40, 40, 3), 188, np.uint8), np.full((40, 40, 3), 60, np.uint8)
# the albedo model's mean skin, and what of light is expected on it in a well-exposed photo
SKIN = np.log([0.44, 0.255, 0.193])
LIGHT = np.full(3, np.log(1.15))
RED_LIGHT = np.array([0.3, -0.1, -0.2])


def whites(light: np.ndarray, readable: float = 1.0) -> EyeWhites:
    """Unshaded whites under a light, logarithms."""
    return EyeWhites(np.log(SCLERA) + light, readable)


def test_a_likely_face_is_left_as_it_is():
    assert np.abs(skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT))).max() < 0.02
    assert np.abs(skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT), whites(LIGHT))).max() < 0.02


def test_a_dim_face_in_a_bright_photo_is_partly_dark_skin():
    dim = SkinAndLight(SKIN, SKIN, LIGHT + np.log(0.5))
    shift = skin_shift(WELL_EXPOSED, dim)
    assert LIMITS[0] <= luminance(shift) < -0.2
    assert luminance(skin_shift(NIGHT, dim)) > luminance(shift) + 0.2
    assert luminance(skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT + np.log(0.5), 0.5))) > -0.15


def test_dark_skin_is_redder_and_less_blue():
    red, blue = chroma(skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT + np.log(0.5))))
    assert red > 0.02 and blue < -0.02


@pytest.mark.parametrize("colour", [(0.15, 0.0, -0.3), (-0.1, 0.0, 0.2), (0.3, 0.0, 0.1)])
def test_a_coloured_light_is_mostly_light_and_partly_skin(colour):
    shift = skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT + np.array(colour)))
    taken = chroma(shift) @ chroma(np.array(colour)) / np.sum(chroma(np.array(colour)) ** 2)
    assert 0.1 < taken < 0.45


def test_white_eyes_in_a_red_light_make_the_skin_red():
    face = SkinAndLight(SKIN, SKIN, LIGHT + RED_LIGHT)
    plain, white = skin_shift(WELL_EXPOSED, face), skin_shift(WELL_EXPOSED, face, whites(LIGHT))
    assert chroma(white)[0] > chroma(plain)[0] + 0.05 and chroma(white)[1] < chroma(plain)[1] - 0.02
    # as far as they are readable
    half = skin_shift(WELL_EXPOSED, face, whites(LIGHT, 0.2))
    assert chroma(plain)[0] < chroma(half)[0] < chroma(white)[0]


def test_red_or_dark_whites_say_little():
    """Shade and skin at their borders make whites dark and red under any light."""
    face = SkinAndLight(SKIN, SKIN, LIGHT)
    shaded = skin_shift(WELL_EXPOSED, face, whites(LIGHT - 0.8 + RED_LIGHT))
    bright = skin_shift(WELL_EXPOSED, face, whites(LIGHT + 0.8 - RED_LIGHT))
    assert 0 < luminance(shaded) < -0.5 * luminance(bright)
    assert np.abs(chroma(shaded)).max() < 0.5 * np.abs(chroma(bright)).max()


def test_what_is_moved_has_a_limit():
    shift = skin_shift(WELL_EXPOSED, SkinAndLight(SKIN, SKIN, LIGHT - 3.0 + np.array([2.0, 0.0, -2.0])))
    assert luminance(shift) == pytest.approx(LIMITS[0], abs=1e-5)
    assert np.abs(chroma(shift)).max() == pytest.approx(HUE_LIMIT, abs=1e-5)


def eye_photo(white: np.ndarray, skin: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A photo (H, W, 3) of two eyes with irises of a radius, pixels, and its landmarks (478, 2)."""
    side = round(24 * radius)
    linear = np.full((side, side, 3), skin, np.float32)
    landmarks = np.zeros((478, 2), np.float32)
    for x, eye, (centre, *ring) in (
        (0.3, topology.RIGHT_EYE, topology.RIGHT_IRIS), (0.7, topology.LEFT_EYE, topology.LEFT_IRIS),
    ):  # fmt: skip
        place = np.array([x * side, 0.5 * side])
        angle = np.linspace(0, 2 * np.pi, len(eye), endpoint=False)
        landmarks[list(eye)] = place + np.stack([2.4 * radius * np.cos(angle), 1.1 * radius * np.sin(angle)], 1)
        landmarks[centre] = place
        quarter = np.linspace(0, 2 * np.pi, len(ring), endpoint=False)
        landmarks[list(ring)] = place + radius * np.stack([np.cos(quarter), np.sin(quarter)], 1)
        outline = np.round(landmarks[list(eye)] * 16).astype(np.int32)
        cv2.fillPoly(linear, [outline], white.tolist(), shift=4)
        middle = np.round(place * 16).astype(int).tolist()
        cv2.circle(linear, middle, round(radius * 16), (0.05, 0.03, 0.02), -1, shift=4)
    return srgb_u8_from_linear(linear), landmarks


@pytest.mark.parametrize("radius", [5.0, 14.0])
def test_the_whites_are_read_between_iris_and_lids(radius):
    white, skin = np.array([0.42, 0.40, 0.44], np.float32), np.array([0.35, 0.18, 0.12], np.float32)
    pixels, landmarks = eye_photo(white, skin, radius)
    read = read_eye_whites(pixels, landmarks)
    assert np.exp(read.log_colour) == pytest.approx(white, rel=0.06)
    assert read.readable > (0.3 if radius < 6 else 0.9)


def test_what_shows_no_whites_is_not_read():
    white, skin = np.array([0.42, 0.40, 0.44], np.float32), np.array([0.35, 0.18, 0.12], np.float32)
    pixels, landmarks = eye_photo(white, skin, 10.0)
    closed = landmarks.copy()
    for eye in (topology.LEFT_EYE, topology.RIGHT_EYE):
        closed[list(eye), 1] = 120.0
    assert read_eye_whites(pixels, closed) is None
    assert read_eye_whites(*eye_photo(white, skin, 1.5)) is None
    burnt_out, _ = eye_photo(np.ones(3, np.float32), skin, 10.0)
    assert read_eye_whites(burnt_out, landmarks) is None
    assert read_eye_whites(pixels, landmarks - 500.0) is None


def test_light_from_behind_is_told_from_light_in_front_and_from_one_side():
    even = ambient_light(0.8)
    assert contre_jour(even) == 0.0
    front, side, behind = even.clone(), even.clone(), even.clone()
    front[2] += 0.4
    side[3] += 0.4
    behind[2] -= 0.4
    assert contre_jour(front) == 0.0 and contre_jour(side) == 0.0
    assert 0.1 < contre_jour(behind) <= CONTRE_JOUR_LIMIT
    assert contre_jour(torch.zeros(9, 3)) == 0.0


def test_skin_of_no_natural_hue_takes_the_nearest_one():
    natural = np.array([0.55, -0.35])
    assert (natural_chroma(natural) == natural).all()
    purple = natural_chroma(np.array([0.5, -0.05]))
    assert purple[0] == 0.5 and purple[1] < -0.15
