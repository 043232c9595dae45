"""Relief from a photo: where it may be, its sign and its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ml_backend.displacement.bake_displacement import MAX_OFFSET_MM, bake_displacement
from ml_backend.head.head_file import load_head
from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.texture.texel_map import texel_map
from tests.test_texture_bake import TEXTURE_PX, Scene, make_scene


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(load_head())


@pytest.fixture(scope="module")
def texture(scene) -> BakedTexture:
    return scene.bake()


def relief(scene: Scene, texture: BakedTexture, pixels: np.ndarray) -> np.ndarray:
    class Face:
        landmarks_px = scene.landmarks_px

    return bake_displacement(pixels, Face(), scene.head, scene.fit, texture, TEXTURE_PX).offset_mm


def test_the_textures_scene_serves_a_map_of_its_size(scene, texture):
    class Face:
        landmarks_px = scene.landmarks_px

    arguments = (scene.pixels, Face(), scene.head, scene.fit)
    half = texture.scene.texels.size_px
    shared = bake_displacement(*arguments, texture, half)
    other_size = replace(texture, scene=replace(texture.scene, texels=texel_map(scene.head, TEXTURE_PX)))
    np.testing.assert_array_equal(bake_displacement(*arguments, other_size, half).offset_mm, shared.offset_mm)


def with_line(scene: Scene, factors: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The photo with a line of three pixels across the cheek, and the mask of its pixels."""
    x, y = scene.landmarks_px[280]  # the middle of the person's left cheek
    mask = np.zeros(scene.pixels.shape[:2], bool)
    mask[int(y) - 1 : int(y) + 2, int(x) - 18 : int(x) + 18] = True
    linear = linear_from_srgb_u8(scene.pixels)
    linear[mask] *= np.array(factors, np.float32)
    return srgb_u8_from_linear(linear), mask


def change(scene: Scene, texture: BakedTexture, factors: tuple[float, float, float]) -> float:
    """The strongest change of the relief that such a line makes, with its sign."""
    pixels, _ = with_line(scene, factors)
    difference = relief(scene, texture, pixels) - relief(scene, texture, scene.pixels)
    return float(difference.reshape(-1)[np.abs(difference).argmax()])


def test_relief_is_bounded_and_has_the_right_form(scene, texture):
    offset = relief(scene, texture, scene.pixels)
    assert offset.shape == (TEXTURE_PX, TEXTURE_PX) and offset.dtype == np.float32
    assert np.isfinite(offset).all()
    assert 0.005 < np.abs(offset).max() <= MAX_OFFSET_MM


def test_no_relief_in_lips_eyes_hair_and_other_parts(scene, texture):
    offset = relief(scene, texture, scene.pixels)
    texels = texel_map(scene.head, TEXTURE_PX)
    for name in ("lips", "scalp", "brows", "eyelids", "inner_mouth"):
        there = texels.interpolate(scene.head.masks[name].numpy()) > 0.9
        assert np.abs(offset[there]).max() == 0.0, name
    assert np.abs(offset[texels.part > 0]).max() == 0.0


def test_a_dark_line_is_a_groove_and_a_brown_one_is_mostly_pigment(scene, texture):
    groove = change(scene, texture, (0.6, 0.6, 0.6))
    # melanin: red falls by a third of what blue does
    pigment = change(scene, texture, (0.6, 0.37, 0.22))
    assert -MAX_OFFSET_MM < groove < -0.02
    assert abs(pigment) < 0.6 * abs(groove)


def test_relief_grows_with_darkness(scene, texture):
    assert change(scene, texture, (0.5, 0.5, 0.5)) < change(scene, texture, (0.75, 0.75, 0.75)) < 0
