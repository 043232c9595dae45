"""What a photo shows of wrinkles is shared out between rest and expression, and plays back as the photo."""

from __future__ import annotations

import numpy as np
import pytest

from ml_backend.displacement.bake_displacement import BakedDisplacement
from ml_backend.displacement.photo_wrinkles import DEEPENED, PhotoWrinkles, split_photo

SIDE = 64


@pytest.fixture
def displacement() -> BakedDisplacement:
    random = np.random.default_rng(3)
    wrinkles = random.normal(0, 0.1, (SIDE, SIDE)).astype(np.float32)
    pores = random.normal(0, 0.02, (SIDE, SIDE)).astype(np.float32)
    return BakedDisplacement(wrinkles + pores, wrinkles, np.full((SIDE, SIDE), 0.8, np.float32))


def weights(compressed: float, expanded: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full((SIDE, SIDE), compressed, np.float32), np.full((SIDE, SIDE), expanded, np.float32)


def wrinkles_at_rest(photo: PhotoWrinkles, displacement: BakedDisplacement) -> np.ndarray:
    return photo.neutral_mm - (displacement.offset_mm - displacement.wrinkle_mm)


@pytest.mark.parametrize("age", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("compressed", "expanded"), [(0, 0), (0.1, 0), (0.5, 0), (1, 0), (0, 0.3), (0, 1)])
def test_played_at_the_photos_expression_it_is_the_photo(displacement, compressed, expanded, age):
    photo = split_photo(displacement, *weights(compressed, expanded), age)
    played = photo.neutral_mm + compressed * photo.compressed_mm + expanded * photo.expanded_mm
    assert np.allclose(played, displacement.offset_mm, atol=1e-6)


def test_an_expressions_wrinkles_go_to_the_compressed_map_and_pores_stay(displacement):
    photo = split_photo(displacement, *weights(1, 0), age=0.0)
    at_rest = wrinkles_at_rest(photo, displacement)
    assert np.allclose(at_rest, 0.1 * displacement.wrinkle_mm, atol=1e-6)
    assert np.allclose(photo.compressed_mm, 0.9 * displacement.wrinkle_mm, atol=1e-6)
    assert np.allclose(photo.explained, 0.8)


def test_lines_of_a_resting_face_stay_and_deepen(displacement):
    photo = split_photo(displacement, *weights(0, 0), age=0.4)
    assert np.allclose(photo.neutral_mm, displacement.offset_mm)
    assert np.allclose(photo.compressed_mm, DEEPENED * displacement.wrinkle_mm, atol=1e-6)
    assert (photo.explained == 0).all()


def test_stretch_had_smoothed_what_lies_there_at_rest(displacement):
    photo = split_photo(displacement, *weights(0, 1), age=0.4)
    at_rest = wrinkles_at_rest(photo, displacement)
    assert np.allclose(at_rest, displacement.wrinkle_mm / 0.4, atol=1e-5)


def test_more_stays_at_rest_with_age(displacement):
    young, old = (split_photo(displacement, *weights(0.8, 0), age) for age in (0.0, 1.0))
    depths = [np.abs(wrinkles_at_rest(photo, displacement)).mean() for photo in (young, old)]
    assert depths[0] < 0.5 * depths[1] < 0.5 * np.abs(displacement.wrinkle_mm).mean()
