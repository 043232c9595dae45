"""Hue, folds, ears, locks, hairlines and tone: each step on a picture whose answer is known."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from ml_backend.head.head_file import load_head
from ml_backend.texture.completion import EAR_CONTRAST_KEPT, with_calm_ears
from ml_backend.texture.delighting import HUE_RANGE, with_even_hue, with_softer_folds
from ml_backend.texture.hair import ScalpView, find_hair
from ml_backend.texture.hair_painting import paint_hair, thinned_hairline
from ml_backend.texture.locks import falling_locks
from ml_backend.texture.log_colour import chroma, in_colour, luminance
from ml_backend.texture.mesh_smoothing import SurfaceSmoother
from ml_backend.texture.skin_evidence import Regions
from ml_backend.texture.texel_map import texel_map

SIZE = 256
PER_M = 1000.0
SKIN = np.log([0.42, 0.26, 0.19]).astype(np.float32)
EVERYWHERE = np.ones((SIZE, SIZE), np.float32)


def skin_picture() -> np.ndarray:
    return np.broadcast_to(SKIN, (SIZE, SIZE, 3)).copy()


def disc(column: int, row: int, radius: int) -> np.ndarray:
    return cv2.circle(np.zeros((SIZE, SIZE), np.float32), (column, row), radius, 1.0, -1)


def regions(**given: np.ndarray) -> Regions:
    empty = {field.name: np.zeros((SIZE, SIZE), np.float32) for field in fields(Regions)}
    return Regions(**{**empty, "skin": EVERYWHERE, "texels_per_m": PER_M, **given})


def test_a_coloured_patch_is_bent_towards_the_persons_hue_and_keeps_its_brightness():
    patch = skin_picture()
    patch[64:192, 64:192] += np.array([-0.3, 0.3, 0.0], np.float32)
    even = with_even_hue(patch, EVERYWHERE, chroma(SKIN), PER_M)
    middle = chroma(even[128, 128]) - chroma(SKIN)
    assert np.abs(middle).max() < 1.1 * HUE_RANGE
    assert np.allclose(luminance(even), luminance(patch), atol=1e-4)
    assert np.abs(even[8, 8] - SKIN).max() < 0.01


def test_a_ruddy_cheek_and_fine_freckles_keep_their_hue():
    ruddy = skin_picture()
    ruddy[64:192, 64:192] += np.array([0.03, -0.02, 0.0], np.float32)
    ruddy[128, ::8] += np.array([0.2, 0.0, -0.1], np.float32)
    even = with_even_hue(ruddy, EVERYWHERE, chroma(SKIN), PER_M)
    assert np.abs(chroma(even) - chroma(ruddy)).max() < 0.03


def test_a_fold_as_wide_as_a_smiles_loses_most_of_its_shadow():
    """6 mm wide and 0.5 deep in logarithms: less than half may stay, and the skin beside it is left alone."""
    folded = skin_picture()
    folded[:, 125:131] -= 0.5
    softer = with_softer_folds(folded, EVERYWHERE, PER_M)
    assert (SKIN - softer[128, 128]).max() < 0.25
    assert np.abs(softer[128, 20] - SKIN).max() < 0.01
    kept = with_softer_folds(folded, 0 * EVERYWHERE, PER_M)
    assert np.allclose(kept, folded, atol=1e-6)


def test_ears_come_nearer_to_the_skin_beside_them_and_keep_their_detail():
    ears = disc(128, 128, 20)
    offset = np.array([0.1, -0.3, -0.2], np.float32)
    model = skin_picture() + offset * ears[..., None]
    model[128, 128] -= 0.4
    calm = with_calm_ears(model, regions(ears=ears))
    assert np.abs(calm[120, 128] - SKIN - EAR_CONTRAST_KEPT * offset).max() < 0.03
    assert np.allclose(calm[128, 128] - calm[127, 128], model[128, 128] - model[127, 128], atol=1e-5)
    assert np.allclose(calm[ears == 0], model[ears == 0], atol=1e-6)
    assert with_calm_ears(model, regions()) is model


def test_a_lock_that_reaches_out_of_the_face_is_hair_and_a_dark_spot_in_it_is_not():
    inner = disc(128, 128, 90)
    lock = np.zeros((SIZE, SIZE), np.float32)
    lock[10:140, 120:128] = 1.0
    spot = disc(170, 150, 6)
    brow = disc(90, 90, 8)
    found = falling_locks(np.maximum.reduce([lock, spot, brow]), inner, brow, PER_M)
    assert found[130, 124] > 0.9 and found[20, 124] > 0.9
    assert found[spot > 0].max() < 0.05
    assert found[brow > 0].max() < 0.05


@pytest.mark.parametrize("sigma", [8.0, 16.0])
def test_a_hard_hairline_becomes_a_ragged_slope(sigma):
    cover = np.zeros((SIZE, SIZE), np.float32)
    cover[:128] = 1.0
    strands = np.repeat(np.random.default_rng(1).uniform(-1, 1, (1, SIZE)), SIZE, axis=0).astype(np.float32)
    thin = thinned_hairline(cover, strands, EVERYWHERE, sigma)
    assert np.allclose(thin[: int(128 - 3 * sigma)], 1.0) and thin[int(128 + 4 * sigma) :].max() < 0.02
    profile = thin.mean(axis=1)
    assert (np.diff(profile[::4]) < 0.02).all()
    reach = ((profile > 0.1) & (profile < 0.9)).sum()
    assert 1.0 * sigma < reach < 4.0 * sigma
    assert thin[128].std() > 0.04


def test_bald_stays_bald_and_a_border_of_the_layout_is_no_hairline():
    strands = np.ones((SIZE, SIZE), np.float32)
    assert thinned_hairline(0 * EVERYWHERE, strands, EVERYWHERE, 8.0).max() == 0.0
    skin = EVERYWHERE.copy()
    skin[:, 128:] = 0.0
    assert thinned_hairline(EVERYWHERE, -strands, skin, 8.0)[:, :128].min() > 0.95


def scalp_view(shown: np.ndarray, looks_bare: float) -> ScalpView:
    head = load_head()
    texels = texel_map(head, SIZE)
    scalp = head.masks["scalp"].numpy()
    vertices = head.skinned.template.numpy()
    on_texels = texels.interpolate(scalp)
    return ScalpView(
        texels, SurfaceSmoother(vertices, head.triangles.numpy()), regions(scalp=on_texels), scalp, skin_picture(),
        looks_bare * EVERYWHERE, shown * (on_texels > 0.9), SKIN,
    )  # fmt: skip


def test_a_glimpse_of_bare_scalp_is_a_bald_head_and_none_is_hair_as_dark_as_the_brows():
    brows = np.log([0.05, 0.03, 0.02]).astype(np.float32)
    on_scalp = load_head().masks["scalp"].numpy() > 0.5
    rows = np.flatnonzero((scalp_view(EVERYWHERE, 1.0).seen > 0).any(axis=1))
    glimpse = np.zeros((SIZE, SIZE), np.float32)
    glimpse[rows[len(rows) // 2], :] = 1.0
    assert find_hair(scalp_view(glimpse, 1.0), brows).hairiness[on_scalp].max() == 0.0
    assert find_hair(scalp_view(glimpse, 0.0), brows).hairiness[on_scalp].min() > 0.5
    unseen = find_hair(scalp_view(0 * EVERYWHERE, 1.0), brows)
    assert unseen.hairiness[on_scalp].min() == 1.0
    assert np.allclose(unseen.log_colour, brows, atol=0.1)


def test_a_photographed_hairline_stays_where_the_photo_has_it():
    """Hair in the photo ends 20 mm above the scalp's own border: no strands are painted on the skin below."""
    vertices = load_head().skinned.template.numpy()
    brows = np.log([0.05, 0.03, 0.02]).astype(np.float32)
    view = scalp_view(EVERYWHERE, 1.0)
    places = view.texels.interpolate(vertices)
    front = (view.areas.scalp > 0.9) & view.texels.inside & (places[..., 2] > -0.06) & (np.abs(places[..., 0]) < 0.03)
    border = places[front][:, 1].min() + 0.020
    haired = (places[..., 1] > border).astype(np.float32)
    picture = view.log_albedo + in_colour(haired) * (brows - SKIN)
    view = replace(view, log_albedo=picture, likeness=1.0 - haired)
    bare = front & (places[..., 1] < border - 0.004) & (places[..., 1] > border - 0.012)
    hair = front & (places[..., 1] > border + 0.010)
    cover = paint_hair(view, find_hair(view, brows), vertices)[1]
    assert cover[bare].mean() < 0.1 and cover[hair].mean() > 0.9
    unseen = replace(view, seen=0 * EVERYWHERE)
    assert paint_hair(unseen, find_hair(unseen, brows), vertices)[1][bare].mean() > 0.5


def test_black_hair_with_a_green_tint_is_painted_without_it():
    olive = np.log([0.020, 0.022, 0.012]).astype(np.float32)
    red, green, blue = find_hair(scalp_view(0 * EVERYWHERE, 1.0), olive).log_colour
    assert red > green >= blue
    blond = np.log([0.578, 0.402, 0.188]).astype(np.float32)
    assert np.allclose(find_hair(scalp_view(0 * EVERYWHERE, 1.0), blond).log_colour, blond, atol=1e-3)


def test_a_part_of_the_texels_carries_the_same_values():
    head = load_head()
    whole = texel_map(head, SIZE)
    chosen = np.arange(len(whole.index)) % 2 == 0
    height = head.skinned.template.numpy()[:, 1]
    half = whole.only(chosen)
    assert (half.at_texels(height) == whole.at_texels(height)[chosen]).all()
    assert (half.interpolate(height).reshape(-1)[whole.index[~chosen]] == 0).all()
