"""The albedo basis that ships: skin tones it can reach, symmetry, clean islands, and the model that reads it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from addon.exchange.errors import AssetMissing
from assets.recipes.open_head.albedo_tone import human_tone_space
from ml_backend.head.albedo_model import LEAST_ALBEDO, AlbedoModel, load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.rendering.colour import linear_from_srgb
from ml_backend.texture.texel_map import texel_map

# Faces in even light, sRGB: very light, light, olive, brown, dark, very dark.
SKIN_TONES = ((234, 192, 174), (222, 178, 150), (190, 140, 105), (150, 100, 70), (110, 70, 48), (92, 58, 38))


@pytest.fixture(scope="module")
def model() -> AlbedoModel:
    return load_albedo_model()


@pytest.fixture(scope="module")
def face_texels() -> np.ndarray:
    head = load_head()
    return texel_map(head, 256).interpolate(head.masks["face"].numpy()) > 0.9


@pytest.mark.parametrize("srgb", SKIN_TONES)
def test_every_skin_tone_is_within_three_deviations(model, face_texels, srgb):
    wanted = linear_from_srgb(np.array(srgb) / 255)
    mean = np.median(model.mean.numpy()[face_texels], axis=0)
    tones = np.median(model.basis[:3].numpy()[:, face_texels], axis=1)
    coefficients = np.linalg.solve(tones.T, wanted - mean)
    assert np.abs(coefficients).max() < 3
    texture = model.texture(torch.tensor([*coefficients, *[0.0] * (model.num_coefficients - 3)], dtype=torch.float32))
    np.testing.assert_allclose(np.median(texture.numpy()[face_texels], axis=0), wanted, atol=0.01)


def test_tone_components_are_ordered_and_the_first_brightens():
    tone = human_tone_space()
    lengths = np.linalg.norm(tone.components, axis=1)
    assert (np.diff(lengths) < 0).all()
    assert (tone.components[0] > 0).all()
    assert (tone.mean - 2.5 * tone.components[0] > 0).all()


def test_mean_is_symmetric_and_components_are_even_or_odd(model):
    """Of a symmetric set of skins every principal component is its own mirror image, or that with the other sign."""
    skin_rows = slice(0, 200)
    mean = model.mean[skin_rows]
    assert (mean - mean.flip(1)).abs().max() < 0.02
    for component in model.basis[:, skin_rows]:
        size = component.norm()
        assert min((component - component.flip(1)).norm(), (component + component.flip(1)).norm()) < 0.1 * size


def test_eyes_have_a_white_and_a_dark_pupil_and_do_not_change_with_the_skin(model):
    head = load_head()
    texels = texel_map(head, 256)
    for name in ("left_eye", "right_eye"):
        here = (texels.part == head.part_names.index(name)) & texels.inside
        brightness = model.mean.numpy()[here].mean(1)
        assert brightness.min() < 0.02 < 0.5 < np.median(brightness)
        assert np.abs(model.basis.numpy()[:, here]).max() == 0


def test_lips_are_redder_than_the_face(model, face_texels):
    head = load_head()
    texels = texel_map(head, 256)
    lips = (texels.interpolate(head.masks["lips"].numpy()) > 0.7) & texels.inside
    redness = model.mean.numpy()[..., 0] / model.mean.numpy()[..., 1]
    assert redness[lips].mean() > 1.08 * redness[face_texels].mean()


def test_lookup_is_bilinear_with_row_zero_on_top():
    mean = torch.tensor([[0.1, 0.2], [0.3, 0.6]])[..., None].expand(2, 2, 3)
    model = AlbedoModel(mean, torch.ones(1, 2, 2, 3) * 0.1)
    uv = torch.tensor([[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]])
    found = model.at_uv(torch.tensor([1.0]), uv)[:, 0]
    np.testing.assert_allclose(found, [0.2, 0.7, 0.4], atol=1e-6)


def test_albedo_never_turns_negative(model):
    coefficients = torch.full((model.num_coefficients,), -6.0)
    assert model.texture(coefficients).min() == LEAST_ALBEDO


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(AssetMissing) as missing:
        load_albedo_model(tmp_path / "nothing.safetensors")
    assert missing.value.code == "albedo_missing"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not an array file")
    with pytest.raises(AssetMissing) as damaged:
        load_albedo_model(broken)
    assert damaged.value.code == "albedo_damaged"
