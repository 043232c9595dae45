"""What the texture trusts of a photo: folds of the face, and nothing of the mouth's inside."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from ml_backend.texture.skin_colour import SkinColour
from ml_backend.texture.skin_evidence import FaceFeatures, Regions, settle_confidence, skin_likeness

SIZE = 200
TEXELS_PER_M = 2500.0


def nothing_but(kind: type, **shown: np.ndarray | float):
    """Features or regions of which only the named ones are there."""
    empty = np.zeros((SIZE, SIZE), np.float32)
    return kind(**{field.name: shown.get(field.name, empty) for field in fields(kind)})


@pytest.fixture
def face() -> Regions:
    everywhere = np.ones((SIZE, SIZE), np.float32)
    return nothing_but(Regions, skin=everywhere, face=everywhere, texels_per_m=TEXELS_PER_M)


def test_a_row_of_dark_beads_in_a_fold_is_trusted_and_a_hair_on_the_brow_is_not(face):
    confidence = np.ones((SIZE, SIZE), np.float32)
    for start in range(20, 180, 8):
        confidence[start : start + 4, 60:63] = 0.0
        confidence[start : start + 4, 140:143] = 0.0
    core = np.zeros((SIZE, SIZE), np.float32)
    core[:, :100] = 1.0
    settled = settle_confidence(confidence, nothing_but(FaceFeatures, core=core), face, px_per_m=2000.0)
    assert settled[40:160, 55:70].min() > 0.8
    assert settled[40:160, 140:143].min() < 0.05


def test_what_is_far_darker_than_lips_beside_the_opening_is_the_mouths_inside(face):
    skin = np.log(np.array([0.45, 0.28, 0.2], np.float32))
    # the same hue, darker and darker towards the right
    darkness = np.linspace(0.0, 1.6, SIZE, dtype=np.float32)[None, :, None]
    log_albedo = np.broadcast_to(skin, (SIZE, SIZE, 3)) - darkness
    everywhere = np.ones((SIZE, SIZE), np.float32)
    lips = nothing_but(FaceFeatures, oval=everywhere, core=everywhere, lips=everywhere)
    chroma = np.array([skin[0] - skin[1], skin[2] - skin[1]])
    colour = SkinColour(skin, chroma, np.eye(2) / 0.01, float(skin.mean()), 0.15)
    far = skin_likeness(log_albedo, colour, lips, face, everywhere)
    beside = skin_likeness(log_albedo, colour, replace(lips, around_opening=everywhere), face, everywhere)
    lip, inside = round(SIZE * 0.5 / 1.6), round(SIZE * 1.45 / 1.6)
    assert beside[100, lip] == pytest.approx(far[100, lip], abs=0.05)
    assert far[100, lip] > 0.7
    assert beside[100, inside] < 0.05 < far[100, inside]
