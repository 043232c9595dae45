"""The baked texture against the albedo that a synthetic photo was rendered from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.colour import linear_from_srgb_u8, srgb_u8_from_linear
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light, shading
from ml_backend.texture.bake_texture import BakedTexture, bake_texture
from ml_backend.texture.eyes import iris_colour
from ml_backend.texture.texel_map import texel_map
from ml_backend.tracking import landmark_topology as topology

TEXTURE_PX = 512
PHOTO_PX = 640
HAIR = np.array([0.03, 0.02, 0.015], np.float32)


@dataclass(frozen=True)
class Scene:
    """A rendered person: everything that bake_texture is given, and the albedo that it should find."""

    head: HeadModel
    pixels: np.ndarray
    fit: CoarseFit
    landmarks_px: np.ndarray
    albedo: np.ndarray

    def bake(self, pixels: np.ndarray | None = None) -> BakedTexture:
        face = SimpleNamespace(landmarks_px=self.landmarks_px)
        chosen = self.pixels if pixels is None else pixels
        return bake_texture(chosen, face, self.head, self.fit, load_albedo_model(), TEXTURE_PX)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def known_albedo(head: HeadModel, hair: bool = True) -> np.ndarray:
    """(N,N,3) the model's mean with symmetric freckles, and hair on the scalp."""
    texels = texel_map(head, TEXTURE_PX)
    model = load_albedo_model()
    mean = model.texture(torch.zeros(model.basis.shape[0])).numpy()
    albedo = cv2.resize(mean, (TEXTURE_PX, TEXTURE_PX), interpolation=cv2.INTER_LINEAR)
    noise = np.random.default_rng(3).standard_normal((TEXTURE_PX, TEXTURE_PX)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 2.0)
    noise = noise + cv2.remap(noise, texels.mirror_uv_px - 0.5, None, cv2.INTER_LINEAR)
    albedo = albedo * np.exp(0.10 * noise / noise.std())[..., None]
    scalp = texels.interpolate(head.masks["scalp"].numpy())[..., None]
    return albedo + (HAIR - albedo) * scalp * float(hair)


def make_scene(head: HeadModel, yaw: float = 0.0, sideways: float = 0.0, hair: bool = True) -> Scene:
    shape = 0.5 * torch.randn(head.num_shape, generator=torch.Generator().manual_seed(1))
    pose = torch.zeros(15)
    pose[1] = yaw
    camera = Camera(SCALED_ORTHOGRAPHIC, (PHOTO_PX, PHOTO_PX), 2000.0, (PHOTO_PX / 2, PHOTO_PX / 2))
    light = ambient_light(0.85)
    light[2] += 0.55
    light[3] += sideways
    expression = torch.zeros(head.num_expression)
    posed = head.vertices(shape[None], expression[None], pose[None])[0]
    albedo = known_albedo(head, hair)
    pixels = render_head(head, posed, camera, light, torch.from_numpy(albedo))
    landmarks = camera.project(head.landmarks_478.on(posed[None], head.triangles)[0])[:, :2].numpy()
    coefficients = torch.zeros(load_albedo_model().basis.shape[0])
    fit = CoarseFit(shape, expression, pose, camera, light, coefficients, 0.0)
    return Scene(head, pixels, fit, landmarks, albedo)


@pytest.fixture(scope="module")
def front(head):
    scene = make_scene(head)
    return scene, scene.bake()


def relative_error(texture: BakedTexture, scene: Scene, where: np.ndarray) -> np.ndarray:
    """(K,3) logarithm of baked over true albedo, its overall level (which a photo does not settle) taken out."""
    baked = linear_from_srgb_u8(texture.albedo_srgb)[where] * texture.light_scale
    return np.log(baked + 0.004) - np.log(scene.albedo[where] + 0.004)


def region(scene: Scene, name: str) -> np.ndarray:
    texels = texel_map(scene.head, TEXTURE_PX)
    return (texels.interpolate(scene.head.masks[name].numpy()) > 0.9) & texels.inside & (texels.part == 0)


def test_a_frontal_photo_gives_back_the_skin(front):
    scene, texture = front
    seen = (texture.skin_visibility > 0.95) & region(scene, "face")
    assert seen.sum() > 0.35 * region(scene, "face").sum()
    error = relative_error(texture, scene, seen)
    assert np.abs(error.mean(0)).max() < 0.04
    assert error.std() < 0.05


def test_texture_is_complete_and_well_formed(front):
    _, texture = front
    assert texture.albedo_srgb.shape == (TEXTURE_PX, TEXTURE_PX, 3) and texture.albedo_srgb.dtype == np.uint8
    assert texture.skin_visibility.shape == (TEXTURE_PX, TEXTURE_PX)
    assert texture.skin_visibility.min() >= 0 and texture.skin_visibility.max() <= 1
    assert (texture.albedo_srgb.max(axis=-1) > 0).all()
    assert set(texture.part_colours) == {"iris_left", "iris_right", "skin", "lips", "hair"}


def test_side_light_leaves_no_dark_side(head, front):
    scene, texture = front
    lit = make_scene(head, sideways=0.5).bake()
    both = (texture.skin_visibility > 0.9) & (lit.skin_visibility > 0.9) & region(scene, "face")
    texels = texel_map(head, TEXTURE_PX)
    left = texels.interpolate(head.skinned.template[:, 0].numpy()) > 0.01
    right = texels.interpolate(head.skinned.template[:, 0].numpy()) < -0.01
    means = [np.log(lit.albedo_srgb[both & side].astype(float) + 1).mean() for side in (left, right)]
    assert abs(means[0] - means[1]) < 0.03


def test_light_that_the_fit_missed_is_evened_between_the_halves(head):
    """The photo is lit from the side, the fit says it is not: at least two thirds of the difference must go."""
    scene = make_scene(head, sideways=0.25)
    light = scene.fit.light.clone()
    light[3] = 0.0
    texture = replace(scene, fit=replace(scene.fit, light=light)).bake()
    seen = (texture.skin_visibility > 0.9) & region(scene, "cheeks")
    across = texel_map(head, TEXTURE_PX).interpolate(head.skinned.template[:, 0].numpy())

    def imbalance(linear: np.ndarray) -> float:
        brightness = np.log(linear.mean(-1) + 0.004)
        return abs(brightness[seen & (across > 0.02)].mean() - brightness[seen & (across < -0.02)].mean())

    normals = vertex_normals(
        head.vertices(scene.fit.shape[None], 0 * scene.fit.expression[None], scene.fit.pose[None]), head.triangles
    )[0]
    missed = (shading(normals, scene.fit.light) / shading(normals, light)).numpy()
    untouched = imbalance(
        linear_from_srgb_u8(srgb_u8_from_linear(scene.albedo)) * texel_map(head, TEXTURE_PX).interpolate(missed)
    )
    assert untouched > 0.05
    assert imbalance(linear_from_srgb_u8(texture.albedo_srgb)) < untouched / 3


def test_the_hidden_half_is_the_mirror_image(head):
    scene = make_scene(head, yaw=0.7)
    texture = scene.bake()
    hidden = (texture.skin_visibility < 0.05) & region(scene, "cheeks")
    mirrored = cv2.remap(
        texture.skin_visibility, texel_map(head, TEXTURE_PX).mirror_uv_px - 0.5, None, cv2.INTER_LINEAR
    )
    hidden &= mirrored > 0.95
    assert hidden.sum() > 300
    error = relative_error(texture, scene, hidden)
    assert np.abs(error.mean(0)).max() < 0.08
    fine = error.mean(1).std()
    truth = np.log(scene.albedo[hidden] + 0.004).mean(1).std()
    assert fine < 0.7 * truth  # freckles are there, at the right places


def test_no_step_across_the_seams_of_the_layout(front):
    """Vertices with several texture coordinates have the same colour at all of them."""
    scene, texture = front
    head = scene.head
    corners = np.stack([head.triangles.numpy().ravel(), head.uv_triangles.numpy().ravel()], 1)
    pairs = np.unique(corners[np.repeat(head.triangle_part.numpy() == 0, 3)], axis=0)
    vertices, count = np.unique(pairs[:, 0], return_counts=True)
    outside = (head.masks["inner_mouth"] + head.masks["eyelids"] + head.masks["lips"]).numpy() < 0.05
    smooth = cv2.GaussianBlur(texture.albedo_srgb, (0, 0), 1.5).astype(np.float32)
    steps = []
    for vertex in vertices[(count > 1) & outside[vertices]]:
        uv = head.uv.numpy()[pairs[pairs[:, 0] == vertex, 1]]
        places = np.stack([uv[:, 0] * TEXTURE_PX - 0.5, (1 - uv[:, 1]) * TEXTURE_PX - 0.5], -1)[None].astype(np.float32)
        steps.append(np.ptp(cv2.remap(smooth, places, None, cv2.INTER_LINEAR)[0], axis=0).max())
    assert len(steps) > 10
    assert np.quantile(steps, 0.9) < 16


def test_a_bar_across_the_forehead_is_kept_out(head, front):
    scene, _ = front
    pixels = scene.pixels.copy()
    forehead = scene.landmarks_px[[109, 338, 10, 151]]
    middle = int(forehead[:, 1].mean())
    pixels[middle - 12 : middle + 12] = (10, 10, 12)
    texture = scene.bake(pixels)
    there = region(scene, "forehead") & ~region(scene, "scalp")
    darkest = np.quantile(texture.albedo_srgb[there].mean(-1), 0.02)
    assert darkest > 0.6 * np.median(texture.albedo_srgb[there].mean(-1))


def test_eyes_and_teeth_of_the_photo_do_not_reach_the_skin(front):
    """Openings of eyes and mouth painted green in the photo: no skin turns green."""
    scene, _ = front
    pixels = scene.pixels.copy()
    for opening in (topology.LEFT_EYE, topology.RIGHT_EYE, topology.LIPS_INNER):
        cv2.fillPoly(pixels, [np.round(scene.landmarks_px[list(opening)]).astype(np.int32)], (0, 255, 0))
    texture = scene.bake(pixels)
    skin = texel_map(scene.head, TEXTURE_PX).part == 0
    red, green, _ = texture.albedo_srgb[skin].astype(int).T
    assert ((green > red + 20).sum()) < 20


def test_hair_goes_round_the_head_and_a_bald_head_stays_bald(head, front):
    scene, texture = front
    behind = region(scene, "scalp") & (texel_map(head, TEXTURE_PX).interpolate(head.skinned.template[:, 2].numpy()) < 0)
    haired = linear_from_srgb_u8(texture.albedo_srgb)[behind].mean()
    bald = linear_from_srgb_u8(make_scene(head, hair=False).bake().albedo_srgb)[behind].mean()
    assert haired < 0.08
    assert bald > 0.2


def with_irises(scene, colour: tuple[int, int, int]) -> np.ndarray:
    """The scene's photo with both irises of one colour, sRGB."""
    pixels = scene.pixels.copy()
    for centre, ring in ((468, (469, 470, 471, 472)), (473, (474, 475, 476, 477))):
        radius = np.linalg.norm(scene.landmarks_px[list(ring)] - scene.landmarks_px[centre], axis=1).mean()
        place = tuple(np.round(scene.landmarks_px[centre]).astype(int).tolist())
        cv2.circle(pixels, place, max(3, round(float(radius))), colour, -1, cv2.LINE_AA)
    return pixels


def test_a_dark_iris_under_the_sky_is_brown_and_not_violet(front):
    scene, _ = front
    facing = np.ones(3)
    read, readable = iris_colour(with_irises(scene, (68, 58, 74)), scene.landmarks_px, True, facing)
    assert readable > 0.5
    assert read[0] > read[1] > read[2]


def test_iris_colour_is_read_off_the_photo(front):
    scene, _ = front
    red, _, blue = scene.bake(with_irises(scene, (60, 90, 160))).part_colours["iris_left"]
    brown = scene.bake(srgb_u8_from_linear(linear_from_srgb_u8(scene.pixels)))
    assert blue > red
    assert brown.part_colours["iris_left"][2] < blue


def test_the_same_photo_gives_the_same_texture(front):
    scene, texture = front
    assert (scene.bake().albedo_srgb == texture.albedo_srgb).all()
