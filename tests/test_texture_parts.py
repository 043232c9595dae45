"""The parts of the texture stage against closed forms and slow obvious versions."""

from __future__ import annotations

import numpy as np
import pytest

from ml_backend.head.head_file import load_head
from ml_backend.texture.delighting import without_shine
from ml_backend.texture.eyes import Eyeball, eye_colour, fit_eyeball
from ml_backend.texture.hair_painting import strand_noise
from ml_backend.texture.log_colour import log_from_srgb_bytes, luminance, over, plus_colour, srgb_bytes_from_log
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.skin_colour import fit_skin_colour
from ml_backend.texture.texel_map import pad_islands, texel_map

SIZE = 256


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def texels(head):
    return texel_map(head, SIZE)


def test_texels_carry_texture_coordinates_to_their_own_place(head, texels):
    """Each covered texel's triangle and barycentrics give back the texel's own UV."""
    corners = head.uv.numpy()[head.uv_triangles.numpy()][texels.triangle]
    uv = (corners * texels.barycentric[..., None]).sum(1)
    place = np.stack([uv[:, 0] * SIZE - 0.5, (1 - uv[:, 1]) * SIZE - 0.5], 1)
    rows, columns = np.divmod(texels.index, SIZE)
    error = np.abs(place - np.stack([columns, rows], 1)).max(1)
    assert error[texels.inside.reshape(-1)[texels.index]].max() < 0.01


def test_interpolated_vertices_lie_on_the_surface(head, texels):
    positions = texels.interpolate(head.skinned.template.numpy())
    slow = np.zeros_like(positions).reshape(-1, 3)
    for where, vertices, weights in list(zip(texels.index, texels.vertices, texels.barycentric, strict=True))[::97]:
        slow[where] = weights @ head.skinned.template.numpy()[vertices]
    checked = texels.index[::97]
    assert np.allclose(positions.reshape(-1, 3)[checked], slow[checked], atol=1e-6)


def test_mirrored_texels_show_the_mirrored_place(head, texels):
    """A texel and its counterpart lie at mirrored places of the head (bilinear lookup: within a millimetre)."""
    positions = texels.interpolate(head.skinned.template.numpy())
    skin = (texels.part == 0) & texels.inside
    column, row = np.floor(texels.mirror_uv_px[skin]).astype(int).clip(0, SIZE - 1).T
    error = np.linalg.norm(positions[row, column] * [-1, 1, 1] - positions[skin], axis=1)
    assert np.quantile(error, 0.9) < 0.003


def test_vertex_means_give_back_a_smooth_field(head, texels):
    height = head.skinned.template.numpy()[:, 1]
    means, weight = texels.vertex_means(
        texels.interpolate(height)[..., None], texels.inside.astype(np.float32), stride=1
    )
    assert np.abs(means[weight > 0.5, 0] - height[weight > 0.5]).mean() < 0.002


def test_vertex_means_are_the_plain_weighted_sums(texels):
    random = np.random.default_rng(0)
    values = random.normal(size=(SIZE, SIZE, 2)).astype(np.float32)
    weights = random.random((SIZE, SIZE)).astype(np.float32)
    means, mean_weight = texels.vertex_means(values, weights, stride=2)
    share = np.maximum(texels.barycentric[::2].astype(float), 0.0)
    weight = share * weights.reshape(-1)[texels.index[::2]][:, None]
    corners, count = texels.vertices[::2], texels.num_vertices
    total, coverage = (np.bincount(corners.ravel(), part.ravel(), count) for part in (weight, share))
    for channel in range(2):
        of_texel = values[..., channel].reshape(-1)[texels.index[::2]][:, None]
        expected = np.bincount(corners.ravel(), (weight * of_texel).ravel(), count)[total > 1e-3]
        np.testing.assert_allclose(means[total > 1e-3, channel], expected / total[total > 1e-3], atol=1e-4)
    np.testing.assert_allclose(
        mean_weight[coverage > 1e-3], (total / np.maximum(coverage, 1e-9))[coverage > 1e-3], atol=1e-5
    )


def test_colours_in_layers_are_the_plain_formulas():
    random = np.random.default_rng(1)
    below, above = random.normal(size=(2, 21, 13, 3)).astype(np.float32)
    share = random.random((21, 13)).astype(np.float32)
    np.testing.assert_allclose(over(below, above, share), below + (above - below) * share[..., None], atol=1e-6)
    np.testing.assert_allclose(
        plus_colour(below, np.array([0.1, -0.2, 0.3])), below + np.array([0.1, -0.2, 0.3]), atol=1e-6
    )
    np.testing.assert_allclose(luminance(below), below.mean(axis=-1), atol=1e-6)


def test_padding_leaves_no_gap_and_no_island_changed(texels):
    image = np.where((texels.part >= 0)[..., None], np.uint8(200), np.uint8(0)) * np.ones(3, np.uint8)
    assert (pad_islands(image, texels) == 200).all()


def test_a_constant_field_stays_constant_and_a_hole_is_filled_smoothly(head):
    template, triangles = head.skinned.template.numpy(), head.triangles.numpy()
    smoother = SurfaceSmoother(template, triangles)
    known = (np.arange(len(template)) % 3 > 0).astype(np.float32)
    constant = smoother.fit(np.full((len(template), 1), 0.7), known, 0.01, prior=0.7)
    assert np.abs(constant - 0.7).max() < 1e-4
    skin = np.unique(triangles[head.triangle_part.numpy() == 0])
    field = smoother.fit(template[:, 1:2] * known[:, None], known, 0.002, prior=0.0, prior_weight=1e-6)
    assert np.abs(field[skin, 0] - template[skin, 1]).mean() < 0.002


def test_colours_survive_the_logarithm():
    pixels = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert np.abs(srgb_bytes_from_log(log_from_srgb_bytes(pixels)).astype(int) - pixels).max() <= 1


def test_skin_colour_ignores_hair_and_background():
    random = np.random.default_rng(0)
    skin = np.log([0.4, 0.25, 0.18]) + 0.05 * random.standard_normal((3000, 3))
    others = np.log([[0.02, 0.02, 0.02]] * 400 + [[0.1, 0.5, 0.1]] * 400)
    model = fit_skin_colour(np.concatenate([skin, others]), np.ones(3800), skin)
    assert np.abs(model.mean_log - np.log([0.4, 0.25, 0.18])).max() < 0.03
    assert model.chroma_distance(np.log([[0.4, 0.25, 0.18]]))[0] < 1
    assert model.chroma_distance(np.log([[0.1, 0.5, 0.1]]))[0] > 5


def test_shine_is_lowered_and_plain_skin_left_alone():
    skin = np.full((128, 128, 3), [0.35, 0.22, 0.15], np.float32)
    shiny = skin.copy()
    shiny[60:68, 60:68] += 0.25
    cleaned = np.exp(without_shine(np.log(shiny + 0.002), np.ones((128, 128), np.float32)))
    assert np.abs(cleaned[64, 64] - skin[64, 64]).max() < 0.5 * 0.25
    assert np.abs(cleaned[5, 5] - skin[5, 5]).max() < 0.01


def test_an_eye_has_pupil_iris_and_white():
    eye = Eyeball(1, np.zeros(3), np.array([0.0, 0.0, 1.0]), 0.012)
    blue = np.array([0.05, 0.10, 0.20], np.float32)

    def at(degrees: float) -> np.ndarray:
        around = np.linspace(0, 2 * np.pi, 64)
        angle = np.radians(degrees)
        ring = [np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.full(64, np.cos(angle))]
        return eye_colour(0.012 * np.stack(ring, 1), eye, blue).mean(0)

    pupil, iris, white = at(2), at(18), at(45)
    assert pupil.max() < 0.02
    assert iris[2] > 2 * iris[0] and 0.3 < iris.mean() / blue.mean() < 2
    assert white.min() > 0.22 and white.max() < 1.5 * white.min()


def test_the_upper_lid_shades_the_ball_and_a_higher_lid_less_of_it():
    def white_at(height: float, eye: Eyeball) -> float:
        # beside the iris, left and right, where corners and veins are the same at every height
        sideways = np.linspace(0.62, 0.68, 40)
        forward = np.sqrt(1.0 - sideways**2 - height**2)
        places = np.stack([sideways, np.full(40, height), forward], 1)
        return float(eye_colour(0.0157 * places, eye, np.full(3, 0.05, np.float32)).mean())

    joint, pupil = np.zeros(3), np.array([0.0, 0.0, 0.0157])
    ball = 0.0157 * np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], float)
    low, high = (fit_eyeball(ball, 1, joint, pupil, 0.0157 * np.array([0.0, up, 0.97])) for up in (0.12, 0.30))
    assert white_at(0.12, low) < 0.6 * white_at(-0.25, low)
    assert white_at(0.12, high) > 1.3 * white_at(0.12, low)
    assert abs(white_at(-0.25, high) - white_at(-0.25, low)) < 1e-6


def test_strands_have_no_seam_behind_the_head(head):
    """The noise is the same on both sides of every UV seam, because it depends on the place alone."""
    vertices = head.skinned.template.numpy()
    scalp = head.masks["scalp"].numpy()
    behind = vertices[(scalp > 0.5) & (vertices[:, 2] < 0) & (np.abs(vertices[:, 0]) < 0.01)]
    aside = np.array([2e-6, 0.0, 0.0])
    left, right = behind + aside, behind - aside
    noise = [strand_noise(places[None].astype(np.float32), vertices, scalp) for places in (left, right)]
    # a seam would show unrelated noise, a difference of 1 and more; the angles are OpenCV's, a tenth of a strand exact
    assert np.abs(noise[0] - noise[1]).max() < 0.2


def test_the_texel_map_is_kept_per_head(head):
    assert texel_map(head, SIZE) is texel_map(head, SIZE)
