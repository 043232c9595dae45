"""The photo's camera and light in Blender."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from bpy_extras.object_utils import world_to_camera_view  # noqa: E402
from mathutils import Vector  # noqa: E402

from addon.scene.build_avatar import build_avatar  # noqa: E402
from addon.scene.photo_light import fit_photo_light, shading  # noqa: E402
from addon.scene.scene_settings import empty_scene  # noqa: E402
from addon.scene.visible_edges import evaluated_positions, visible_edges  # noqa: E402
from tests.scene_small_avatar import (  # noqa: E402
    CAMERAS,
    PHOTO_EXPRESSION,
    PHOTO_POSE,
    PHOTO_SIZE_PX,
    skinned,
    small_head,
    small_package,
)


def photo_pixels(camera: str) -> np.ndarray:
    """(V,2) where the posed head lies in the photo, by the formulas of docs/architecture.md."""
    points = skinned(small_head(), np.array(list(PHOTO_EXPRESSION.values())), PHOTO_POSE)
    description = CAMERAS[camera]
    if camera == "orthographic":
        return description.scale_px_per_m * points[:, :2] * [1, -1] + description.centre_px
    seen = points * [1, -1, -1] + description.translation_m
    return description.focal_px * seen[:, :2] / seen[:, 2:] + description.principal_px


@pytest.mark.parametrize("camera", CAMERAS)
def test_camera_sees_the_head_where_the_photo_has_it(tmp_path, camera):
    empty_scene()
    avatar = build_avatar(small_package(tmp_path, camera))
    positions = evaluated_positions(avatar.mesh)
    scene = bpy.context.scene
    width, height = PHOTO_SIZE_PX
    assert (scene.render.resolution_x, scene.render.resolution_y) == (width, height)
    world = np.stack([positions[:, 0], -positions[:, 2], positions[:, 1]], -1)
    seen = np.array([world_to_camera_view(scene, avatar.camera, Vector(point))[:2] for point in world.tolist()])
    pixels = np.stack([seen[:, 0] * width, (1 - seen[:, 1]) * height], -1)
    np.testing.assert_allclose(pixels, photo_pixels(camera), atol=1e-3)
    np.testing.assert_allclose(avatar.photo_view.project(positions), photo_pixels(camera), atol=1e-3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_render_covers_the_photos_pixels(tmp_path, camera):
    """Blender's own renderer, not its Python: the silhouette's box is that of the projected vertices."""
    empty_scene()
    avatar = build_avatar(small_package(tmp_path, camera))
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.render.threads = 4, False, 1
    avatar.mesh.data.materials["Zoë small skin"].displacement_method = "BUMP"
    scene.render.filepath = str(tmp_path / "view.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    width, height = PHOTO_SIZE_PX
    alpha = np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, 3] > 0.5
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    expected = photo_pixels(camera)
    low, high = np.clip(expected.min(0), 0, PHOTO_SIZE_PX), np.clip(expected.max(0), 0, PHOTO_SIZE_PX)
    np.testing.assert_allclose([columns[0], rows[0]], low, atol=1.2)
    np.testing.assert_allclose([columns[-1] + 1, rows[-1] + 1], high, atol=1.2)


def test_photo_is_the_cameras_background(tmp_path):
    empty_scene()
    avatar = build_avatar(small_package(tmp_path, "orthographic"))
    background = avatar.camera.data.background_images[0]
    assert avatar.camera.data.show_background_images
    assert tuple(background.image.size) == PHOTO_SIZE_PX
    assert background.image.packed_file is not None
    assert bpy.context.scene.camera == avatar.camera


def _light_of(*lamps: tuple[tuple[float, float, float], float], ambient: float) -> np.ndarray:
    """(9,3) spherical harmonics, to degree 2, of lamps (direction, radiance facing it) and an even light.

    The clamped cosine's factors are 1/4, 1/2 and 5/16 on Legendre's polynomials of degree 0, 1 and 2.
    """
    normals = np.random.default_rng(5).normal(size=(400, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    values = np.full(400, ambient)
    for towards, radiance in lamps:
        cosine = normals @ (np.array(towards) / np.linalg.norm(towards))
        values += radiance * (1 / 4 + cosine / 2 + 5 / 16 * (3 * cosine**2 - 1) / 2)
    basis = shading(np.eye(9), normals)
    return np.repeat(np.linalg.lstsq(basis, values, rcond=None)[0][:, None], 3, 1) * [1.0, 0.9, 0.8]


@pytest.mark.parametrize(
    "light",
    [
        _light_of(((0.5, 0.4, 0.8), 0.7), ambient=0.2),
        _light_of(((-0.9, 0.3, 0.3), 0.8), ((0.9, 0.4, 0.2), 0.5), ambient=0.1),
        # from behind: the face is darker than its rims
        _light_of(((0.8, 0.3, -0.5), 0.9), ((-0.8, 0.3, -0.5), 0.9), ambient=0.4),
        _light_of(ambient=0.6),
    ],
)
def test_suns_and_world_light_the_visible_side_as_the_photo(light):
    turned = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    found = fit_photo_light(light, turned)
    directions = np.random.default_rng(6).normal(size=(500, 3))
    normals = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    normals = normals[normals[:, 2] > 0.3]
    expected = shading(light, normals)
    lit = np.repeat(found.world_radiance[None], len(normals), 0)
    for sun in found.suns:
        lit += np.clip(normals @ (turned @ sun.towards), 0, None)[:, None] * sun.irradiance / np.pi
    # degree 2 cannot follow the edge of a lamp's light, which is why even the right answer leaves some error
    assert np.sqrt(np.mean((lit - expected) ** 2)) < 0.1 * expected.mean()
    assert (found.world_radiance > 0).all()


def test_lamp_and_world_have_the_one_colour_of_the_light():
    light = _light_of(((0.5, 0.4, 0.8), 0.7), ambient=0.4)
    light[1:, 2] *= 1.6
    light[0, 1] *= 1.1
    found = fit_photo_light(light, np.eye(3))
    colours = np.stack([found.world_radiance, *(sun.irradiance for sun in found.suns)])
    colours /= colours[:, :1]
    np.testing.assert_allclose(colours, np.broadcast_to(colours[0], colours.shape))


def test_visible_edges_are_those_of_the_near_side(tmp_path):
    empty_scene()
    avatar = build_avatar(small_package(tmp_path, "orthographic"))
    positions = small_head()["vertices"]
    towards = np.broadcast_to([0.0, 0.0, 1.0], positions.shape)
    seen = np.unique(visible_edges(avatar.mesh, positions, towards))
    skin = np.arange(262)
    assert set(skin[positions[:262, 2] < -0.005]).isdisjoint(seen)
    # in front of the equator everything is seen but what the eyes stand before
    covered = (np.abs(np.abs(positions[:262, 0]) - 0.03) < 0.016) & (np.abs(positions[:262, 1] - 0.02) < 0.016)
    assert set(skin[(positions[:262, 2] > 0.02) & ~covered]) <= set(seen.tolist())


def test_package_folder_is_not_named_in_the_file(tmp_path: Path):
    from addon.scene.blend_file import save_blend

    empty_scene()
    build_avatar(small_package(tmp_path / "secret_place", "orthographic"))
    save_blend(tmp_path / "out" / "avatar.blend")
    assert b"secret_place" not in (tmp_path / "out" / "avatar.blend").read_bytes()
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["avatar.blend"]
