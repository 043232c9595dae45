"""Locks over the face, hairlines and white hair: synthetic photos and fields whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from ml_backend.head.head_file import load_head
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.rendering.render_head import fragments_of, render_head
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.texture.brows import brow_outline
from ml_backend.texture.hair import pale_hair
from ml_backend.texture.hair_painting import THINNING_M, WHORL, strand_noise, thinned_hairline
from ml_backend.texture.locks import covered_features, tinted_strands
from ml_backend.texture.texel_map import texel_map
from tests.test_texture_bake import HAIR, PHOTO_PX, TEXTURE_PX, Scene, make_scene

SIZE = 256
PER_M = 2000.0
SKIN = np.log([0.42, 0.26, 0.19]).astype(np.float32)
BROWN = np.array([0.05, 0.03, 0.02], np.float32)
RED = np.array([0.15, 0.06, 0.032], np.float32)
NOTHING = np.zeros((SIZE, SIZE), np.float32)


@pytest.fixture(scope="module")
def head():
    return load_head()


def rendered(scene: Scene, albedo: np.ndarray, background: np.ndarray | None = None) -> Scene:
    """The scene with another albedo, and another background."""
    fit = scene.fit
    posed = scene.head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])[0]
    pixels = render_head(scene.head, posed, fit.camera, fit.light, torch.from_numpy(albedo), background)
    return replace(scene, pixels=pixels, albedo=albedo)


def linear(texture: BakedTexture) -> np.ndarray:
    return linear_from_srgb_u8(texture.albedo_srgb).astype(np.float32)


def test_a_brow_under_a_lock_is_the_other_brow(head):
    """Red hair hangs over the outer half of the left brow: there the texture shows the right brow, not the hair."""
    texels = texel_map(head, TEXTURE_PX)
    scene = make_scene(head, hair=False)
    across, up, ahead = np.moveaxis(texels.interpolate(head.skinned.template.numpy()), -1, 0)
    brows = brow_outline(head, TEXTURE_PX, 1.0)
    scalp = texels.interpolate(head.masks["scalp"].numpy())
    clean = scene.albedo + (BROWN - scene.albedo) * brows[..., None]
    clean = clean + (RED - clean) * scalp[..., None]
    hung = across > 0.045
    lock = cv2.GaussianBlur((hung & (texels.part == 0)).astype(np.float32), (0, 0), 1.0)
    texture = rendered(scene, clean + (RED - clean) * lock[..., None]).bake()

    baked = np.log(linear(texture) + 0.004)
    mirrored = texels.mirrored(baked)
    covered = (brows > 0.9) & (across > 0.050)
    assert covered.sum() > 30
    difference = np.abs(baked[covered] - mirrored[covered]).mean(axis=0)
    from_hair = np.abs(np.log(RED + 0.004) - np.log(BROWN + 0.004))
    assert difference[0] < 0.4 * from_hair[0]
    redness = np.log(RED[0] + 0.004) - np.log(RED[1] + 0.004)
    assert (baked[covered][:, 0] - baked[covered][:, 1]).mean() < 0.75 * redness
    below = (
        (across > 0.050)
        & (across < 0.06)
        & (ahead > ahead[covered].min() - 0.01)
        & (np.abs(up - up[covered].mean() + 0.04) < 0.01)
    )
    redness = baked[below][:, 0] - baked[below][:, 1]
    assert redness.max() < 1.0


def test_hair_that_ends_above_a_brow_covers_nothing_of_it_and_a_lock_around_it_does():
    brow = NOTHING.copy()
    brow[120:136, 60:200] = 1.0
    fringe, lock = NOTHING.copy(), NOTHING.copy()
    fringe[:120] = 1.0
    lock[:, 130:] = 1.0
    everywhere = np.ones_like(NOTHING)
    assert covered_features(fringe, brow, everywhere, PER_M)[128:].max() < 0.05
    found = covered_features(lock, brow, everywhere, PER_M)
    assert found[128, 160:190].min() > 0.9
    assert found[128, 65:110].max() < 0.05
    assert found[brow == 0].max() == 0.0
    assert covered_features(lock, brow, NOTHING, PER_M).max() == 0.0


def test_a_tinted_line_is_a_strand_and_a_brow_or_a_ruddy_cheek_is_none():
    tint = NOTHING.copy()
    tint[:, 100:103] = 0.3
    ruddy = 0.25 * cv2.GaussianBlur(cv2.circle(NOTHING.copy(), (190, 190), 30, 1.0, -1), (0, 0), 10.0)
    brows = NOTHING.copy()
    brows[60:72, 140:230] = 1.0
    found = tinted_strands(tint + ruddy + 0.3 * brows, NOTHING, brows, PER_M)
    assert found[:, 101].min() > 0.75
    assert found[150:230, 150:230].max() < 0.1
    assert found[66, 160:210].max() < 0.1


def powers(profile: np.ndarray, step_m: float) -> tuple[float, float]:
    """Power of a profile at periods of 0.8 to 4 mm, and of 6 to 20 mm."""
    power = np.abs(np.fft.rfft((profile - profile.mean()) * np.hanning(len(profile)))) ** 2
    period = 1.0 / np.maximum(np.fft.rfftfreq(len(profile), step_m), 1e-9)
    return power[(period > 0.0008) & (period < 0.004)].sum(), power[(period > 0.006) & (period < 0.020)].sum()


def test_a_hairline_is_fine_strands_and_no_comb(head):
    """A straight hairline on a sphere around the whorl: its strands are millimetres apart, not centimetres."""
    vertices, scalp = head.skinned.template.numpy(), head.masks["scalp"].numpy()
    centre = vertices[scalp > 0.5].mean(axis=0) - [0.0, 0.04, 0.0]
    radius, step = 0.095, 0.0003
    polar = np.deg2rad(75.0) + (np.arange(200) - 100)[:, None] * step / radius
    azimuth = (np.arange(512) - 256)[None] * step / radius
    side = np.array([1.0, 0.0, 0.0])
    front = -np.cross(side, WHORL)
    places = centre + radius * (
        np.cos(polar)[..., None] * WHORL
        + (np.sin(polar) * np.cos(azimuth))[..., None] * front
        + (np.sin(polar) * np.sin(azimuth))[..., None] * side
    )
    locks, tips = cv2.split(strand_noise(places.astype(np.float32), vertices, scalp))
    cover = np.zeros(tips.shape, np.float32)
    cover[:100] = 1.0
    thin = thinned_hairline(cover, tips, np.ones_like(cover), THINNING_M / step)
    teeth = thinned_hairline(cover, locks, np.ones_like(cover), THINNING_M / step)
    for row in (95, 100, 110):
        fine, comb = powers(thin[row], step)
        assert fine > 2.0 * comb
        assert thin[row].std() > 0.04
        # what the figure is there to tell: the noise of locks makes a comb
        fine_teeth, comb_teeth = powers(teeth[row], step)
        assert fine_teeth / comb_teeth < 0.5 * fine / comb
    mean = thin.mean(axis=1)
    assert 0.008 < step * ((mean > 0.1) & (mean < 0.9)).sum() < 0.020


def test_grey_hair_is_pale_and_shine_on_skin_is_not():
    skin = np.exp(SKIN)
    picture = np.broadcast_to(skin, (SIZE, SIZE, 3)).copy()
    picture[:128, :128] = (0.45, 0.40, 0.34)
    picture[:128, 128:] = skin + np.float32(0.35)
    picture[128:, :128] = 0.6 * skin
    found = pale_hair(np.log(picture), SKIN, PER_M)
    assert found[40:90, 40:90].min() > 0.9
    assert found[40:90, 170:220].max() < 0.1
    assert found[160:, :].max() < 0.1


def with_background(head, halo: tuple[int, int, int] | None, shine: bool = False) -> BakedTexture:
    """A bald head before a blue and a yellow wall, with hair of a colour standing around it, or shine on its brow."""
    scene = make_scene(head, hair=False)
    posed = head.vertices(scene.fit.shape[None], scene.fit.expression[None], scene.fit.pose[None])[0]
    # smaller than in the other photos, so that what is behind can be seen
    camera = Camera(SCALED_ORTHOGRAPHIC, (PHOTO_PX, PHOTO_PX), 1200.0, (PHOTO_PX / 2, PHOTO_PX / 2))
    landmarks = camera.project(head.landmarks_478.on(posed[None], head.triangles)[0])[:, :2].numpy()
    scene = replace(scene, fit=replace(scene.fit, camera=camera), landmarks_px=landmarks)
    wall = np.full((PHOTO_PX, PHOTO_PX, 3), (40, 70, 150), np.uint8)
    wall[:, PHOTO_PX // 2 :] = (190, 140, 20)
    if halo is not None:
        covered = (fragments_of(head, posed, camera).triangle[0] >= 0).numpy().astype(np.uint8)
        around = cv2.dilate(covered, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (45, 45))) > 0
        around[int(landmarks[:, 1].mean()) :] = False
        wall[around] = halo
    albedo = scene.albedo
    if shine:
        texels = texel_map(head, TEXTURE_PX)
        place = texels.interpolate(head.skinned.template.numpy())
        top = place[..., 1].max() - 0.045
        spot = np.exp(-((place[..., 0] / 0.02) ** 2) - ((place[..., 1] - top) / 0.02) ** 2)
        albedo = albedo + 0.4 * (spot * (place[..., 2] > 0))[..., None].astype(np.float32)
    return rendered(scene, albedo, wall).bake()


def test_white_hair_around_the_head_is_found_and_shine_on_a_bald_head_is_not(head):
    texels = texel_map(head, TEXTURE_PX)
    place = texels.interpolate(head.skinned.template.numpy())
    back = (texels.interpolate(head.masks["scalp"].numpy()) > 0.9) & texels.inside & (place[..., 2] < 0)

    def redness(texture: BakedTexture) -> float:
        red, _, blue = linear(texture)[back].mean(axis=0)
        return float(np.log(red / blue))

    white = with_background(head, (235, 235, 230))
    bald, shiny = with_background(head, None), with_background(head, None, shine=True)
    assert redness(bald) > 0.6 and abs(redness(shiny) - redness(bald)) < 0.15
    assert redness(white) < 0.35
    assert linear(white)[back].mean() > 1.2 * linear(bald)[back].mean()
    assert linear(bald)[back].mean() > 3 * HAIR.mean()
