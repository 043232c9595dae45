"""A texture of several photos against the albedo that they were rendered from."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from addon.exchange.errors import LikenessError
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.texture.colour_harmony import photo_levels, robust_mean, weighted_median
from ml_backend.texture.merged_views import MergedTexture, TextureView, bake_views
from ml_backend.texture.read_view import read_view
from ml_backend.texture.texel_map import texel_map
from ml_backend.texture.view_weights import exposure, weigh_view
from tests.test_texture_bake import TEXTURE_PX, Scene, make_scene, region, relative_error

TURN = 0.75


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def front(head) -> Scene:
    return make_scene(head)


@pytest.fixture(scope="module")
def turned(head) -> tuple[Scene, Scene]:
    """Photos from both sides, each in a light of its own."""
    return make_scene(head, yaw=TURN, sideways=0.3), make_scene(head, yaw=-TURN, sideways=0.2)


@pytest.fixture(scope="module")
def single(front) -> BakedTexture:
    return front.bake()


@pytest.fixture(scope="module")
def merged(front, turned) -> MergedTexture:
    return bake(turned[0], front, turned[1])


def as_view(scene: Scene, pixels: np.ndarray | None = None) -> TextureView:
    face = SimpleNamespace(landmarks_px=scene.landmarks_px)
    return TextureView(scene.pixels if pixels is None else pixels, face, scene.fit)


def bake(*scenes: Scene | TextureView) -> MergedTexture:
    views = [scene if isinstance(scene, TextureView) else as_view(scene) for scene in scenes]
    head = next(scene.head for scene in scenes if isinstance(scene, Scene))
    return bake_views(views, head, load_albedo_model(), TEXTURE_PX)


def spread(texture: BakedTexture, scene: Scene, where: np.ndarray) -> float:
    """Mean absolute error of the logarithm; the overall level, which photos do not settle, is taken out."""
    error = relative_error(texture, scene, where)
    return float(np.abs(error - np.median(relative_error(texture, scene, region(scene, "face")), axis=0)).mean())


def blob(scene: Scene, landmark: int, radius_px: float) -> np.ndarray:
    """(H, W, 1) 0-1, a soft spot around a landmark."""
    rows, columns = np.mgrid[: scene.pixels.shape[0], : scene.pixels.shape[1]] + 0.5
    away = np.hypot(columns - scene.landmarks_px[landmark, 0], rows - scene.landmarks_px[landmark, 1])
    return np.clip((radius_px - away) / 6.0 + 0.5, 0, 1)[..., None].astype(np.float32)


def on_texels(scene: Scene, spot: np.ndarray) -> np.ndarray:
    """(N, N) bool, face texels that a spot (H, W, 1) of the photo falls on."""
    texels = texel_map(scene.head, TEXTURE_PX)
    fit = scene.fit
    posed = scene.head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])[0]
    place = texels.interpolate(fit.camera.project(posed)[:, :2].numpy()) - 0.5
    return (cv2.remap(spot, place, None, cv2.INTER_LINEAR) > 0.9) & region(scene, "face")


def test_one_photo_gives_what_a_photo_gives(front, single):
    alone = bake(front)
    assert (alone.albedo_srgb == single.albedo_srgb).all()
    assert (alone.skin_visibility == single.skin_visibility).all()
    assert alone.part_colours == single.part_colours and (alone.light_scale == single.light_scale).all()


def test_no_photo_is_an_error(head):
    with pytest.raises(LikenessError) as failure:
        bake_views([], head, load_albedo_model(), TEXTURE_PX)
    assert failure.value.code == "no_views"


def test_more_photos_show_more_of_the_skin_and_show_it_better(front, single, merged):
    face = region(front, "face")
    assert (merged.coverage[face] > 0.5).mean() > (single.skin_visibility[face] > 0.5).mean() + 0.1
    assert spread(merged, front, face) < 0.85 * spread(single, front, face)


def test_the_photo_from_the_front_is_the_reference(merged, front, single):
    assert merged.reference == 1
    assert np.abs(merged.scene.posed.vertices - single.scene.posed.vertices).max() == 0
    assert (merged.skin_visibility == single.skin_visibility).mean() > 0.95


def test_sides_come_from_the_photos_that_show_them(front, single, merged):
    texels = texel_map(front.head, TEXTURE_PX)
    sideways = np.abs(texels.interpolate(single.scene.posed.normals)[..., 0])
    sides = region(front, "face") & (sideways > 0.85)
    assert single.skin_visibility[sides].mean() < 0.2
    assert merged.coverage[sides].mean() > 0.6
    assert spread(merged, front, sides) < 0.7 * spread(single, front, sides)


def test_shine_and_cast_shadow_are_outvoted(front, turned):
    """A highlight in one photo and a cast shadow in another, on skin that others show as it is."""
    shine, shadow = blob(front, 50, 22), blob(turned[1], 280, 26)
    shiny = srgb_u8_from_linear(linear_from_srgb_u8(front.pixels) + shine * 0.3)
    shaded = srgb_u8_from_linear(linear_from_srgb_u8(turned[1].pixels) * (1 - 0.35 * shadow))
    other = make_scene(front.head, yaw=0.3, sideways=-0.2), make_scene(front.head, yaw=-0.3)
    merged = bake(as_view(front, shiny), as_view(turned[1], shaded), *other)
    for scene, pixels, spot in ((front, shiny, shine), (turned[1], shaded, shadow)):
        where = on_texels(scene, spot)
        assert where.sum() > 100
        stained = scene.bake(pixels)
        assert spread(stained, scene, where) > 0.08
        assert spread(merged, scene, where) < 0.4 * spread(stained, scene, where)


def test_photos_of_other_colours_leave_no_patches(front, turned, merged):
    """The photos from the sides are darker and bluer by half: the skin has the same evenness as without that."""
    cast = np.array([0.7, 0.8, 1.0], np.float32) * 0.8
    changed = [as_view(scene, srgb_u8_from_linear(linear_from_srgb_u8(scene.pixels) * cast)) for scene in turned]
    texture = bake_views([changed[0], as_view(front), changed[1]], front.head, load_albedo_model(), TEXTURE_PX)
    face = region(front, "face") & (texture.coverage > 0.5)
    assert spread(texture, front, face) < spread(merged, front, face) + 0.02


def test_features_are_not_shown_twice(front, single, head):
    """A second photo whose fit is 3 mm off: brows and lips stay as sharp as in the photo from the front."""
    other = make_scene(head, yaw=0.25)
    astray = replace(other.fit.camera, centre_px=(other.fit.camera.centre_px[0] + 6, other.fit.camera.centre_px[1] + 5))
    other = replace(other, fit=replace(other.fit, camera=astray), landmarks_px=other.landmarks_px + np.float32([6, 5]))
    merged = bake(front, other)
    brightness = [np.log(t.albedo_srgb.astype(np.float32).mean(-1) + 4) for t in (single, merged)]
    fine = [one - cv2.GaussianBlur(one, (0, 0), 6) for one in brightness]
    features = (region(front, "lips") | region(front, "brows")) & (single.skin_visibility > 0.9)
    assert features.sum() > 500
    assert np.corrcoef(fine[0][features], fine[1][features])[0, 1] > 0.97
    assert abs(fine[1][features].std() / fine[0][features].std() - 1) < 0.05


def test_the_order_of_the_photos_does_not_matter(front, turned, merged):
    again = bake(front, turned[1], turned[0])
    assert again.reference == 0
    assert np.abs(again.albedo_srgb.astype(int) - merged.albedo_srgb).max() <= 2


def test_a_blurred_photo_weighs_less(front):
    def weigh(pixels: np.ndarray) -> tuple[float, float, float]:
        face = SimpleNamespace(landmarks_px=front.landmarks_px)
        read = read_view(pixels, face, front.head, front.fit, load_albedo_model(), TEXTURE_PX)
        weight = weigh_view(read, front.fit)
        return weight.sharpness, float(weight.skin.sum()), weight.resolution

    sharp, blurred = weigh(front.pixels), weigh(cv2.GaussianBlur(front.pixels, (0, 0), 6.0))
    assert blurred[0] < 0.7 * sharp[0]
    assert blurred[2] < sharp[2] and blurred[1] < sharp[1]


def test_clipped_dark_and_shaded_texels_weigh_little():
    albedo = np.full((1, 4), -1.0, np.float32)
    light = np.array([[0.0, 1.0, -4.0, -1.5]], np.float32)
    weights = exposure(cv2.merge([albedo + light] * 3), albedo, np.array([[1.0, 0, 0, 0]], np.float32))
    assert weights[0, 0] == pytest.approx(1.0)
    assert (weights[0, 1:] < 0.15).all()


def test_weighted_median_is_that_of_repeated_values():
    values = np.random.default_rng(2).standard_normal((5, 40))
    counts = np.random.default_rng(3).integers(0, 4, (5, 40))
    counts[0] += counts.sum(axis=0) % 2 == 0
    for column in np.flatnonzero(counts.sum(axis=0) % 2):
        repeated = np.repeat(values[:, column], counts[:, column])
        assert weighted_median(values, counts.astype(float))[column] == np.median(repeated)


def test_robust_mean_leaves_out_what_stands_apart():
    random = np.random.default_rng(4)
    values = 0.02 * random.standard_normal((6, 50, 3))
    values[4] += 1.0
    values[5] -= 1.0
    assert np.abs(robust_mean(values, np.ones((6, 50)))).max() < 0.05


def test_levels_are_found_in_spite_of_stains():
    """Photos of the same colours at known levels, each with a quarter of the surface astray."""
    random = np.random.default_rng(5)
    levels = random.normal(0, 0.4, (4, 3))
    levels -= levels.mean(axis=0)
    colours = random.normal(0, 0.2, (300, 3)) + levels[:, None] + random.normal(0, 0.01, (4, 300, 3))
    for photo in range(4):
        colours[photo, random.choice(300, 75, replace=False)] += random.choice([-0.7, 0.7])
    found = photo_levels(colours, np.ones((4, 300)), np.zeros((4, 3)))
    assert np.abs(found - levels).max() < 0.03
