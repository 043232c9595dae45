"""The studio light of a 3D view that is nearest to the photo's: made pictures, whose light is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a Python module (pip install bpy)")

from addon.scene.viewport_light import (  # noqa: E402
    StudioLight,
    fit_studio_light,
    is_lit_by_picture,
    nearest_studio_light,
    studio_picture,
)

# a camera that looks along the world's +Y: x right, y up, z to the camera
FRONT = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
# constants of the bands 0 and 1 of spherical harmonics
BAND_0, BAND_1 = 0.282095, 0.488603
STEP = np.radians(3.0)


def directions(height: int, width: int) -> np.ndarray:
    """(H,W,3) where each pixel of a studio picture lies in the world, the lowest row first."""
    elevation = np.pi * ((np.arange(height) + 0.5) / height - 0.5)
    azimuth = 2 * np.pi * (0.5 - (np.arange(width) + 0.5) / width)
    elevation, azimuth = np.meshgrid(elevation, azimuth, indexing="ij")
    across = np.cos(elevation)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), np.sin(elevation)], -1)


def bright_towards(direction: tuple[float, float, float], level: float = 1.0) -> np.ndarray:
    """A picture, radiance 1 + cos of the angle to a direction: nothing but bands 0 and 1."""
    radiance = level * (1 + directions(128, 256) @ np.array(direction))
    return np.repeat(radiance[..., None], 3, -1)


def harmonics(level: float, towards: tuple[float, float, float]) -> np.ndarray:
    """(9,3) light of the radiance level + towards . normal on white diffuse skin."""
    light = np.zeros((9, 3))
    x, y, z = towards
    light[0] = level / BAND_0
    light[1:4] = np.array([[y], [z], [x]]) / BAND_1
    return light


def angle_between(first: float, second: float) -> float:
    return abs((first - second + np.pi) % (2 * np.pi) - np.pi)


def unit(vectors: list[list[float]]) -> np.ndarray:
    array = np.array(vectors, float)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


@pytest.mark.parametrize("size", [(128, 256), (33, 70), (512, 1024)])
def test_an_even_picture_lights_every_side_with_its_own_radiance(size):
    radiance = np.tile(np.array([0.5, 1.0, 2.0], np.float32), (*size, 1))
    shown = studio_picture(radiance).shade(unit([[1, 0, 0], [0, 0, 1], [1, 1, -1]]))
    np.testing.assert_allclose(shown, np.tile([0.5, 1.0, 2.0], (3, 1)), rtol=2e-3)


def test_bands_0_and_1_are_shown_by_the_cosine_law():
    # on diffuse skin a radiance of 1 + cos becomes 1 + 2/3 cos
    shown = studio_picture(bright_towards((0, 1, 0))).shade(unit([[0, 1, 0], [0, -1, 0], [1, 0, 0]]))
    np.testing.assert_allclose(shown[:, 0], [5 / 3, 1 / 3, 1.0], atol=3e-3)


def test_a_few_very_bright_pixels_are_a_sun():
    radiance = np.zeros((128, 256, 3), np.float32)
    row, column = 90, 40
    radiance[row, column] = 8000.0
    towards = directions(128, 256)[row, column]
    solid_angle = np.hypot(*towards[:2]) * (np.pi / 128) * (2 * np.pi / 256)
    picture = studio_picture(radiance)
    sideways = np.cross(towards, [0, 0, 1])
    shown = picture.shade(np.stack([towards, unit([sideways])[0], -towards]))[:, 0]
    expected = 8000.0 * solid_angle / np.pi
    np.testing.assert_allclose(shown, [expected, 0.0, 0.0], atol=0.01 * expected)


@pytest.mark.parametrize("azimuth", [-2.0, -0.5, 0.0, 1.3, 3.0])
def test_the_bright_side_comes_to_where_the_photo_was_bright(azimuth):
    # bright from the camera's right; the picture is bright towards an azimuth of its own
    picture = studio_picture(bright_towards((np.cos(azimuth), np.sin(azimuth), 0.0)))
    found = fit_studio_light(harmonics(1.2, (0.8, 0.0, 0.0)), FRONT, {"made": picture})
    # azimuth a of the world shows the picture's a + rotation, and the camera's right is azimuth 0
    assert angle_between(found.rotation, azimuth) < STEP
    # half a step off the true turn costs 1%
    assert found.intensity == pytest.approx(1.2, rel=0.02)


def test_a_camera_that_was_turned_takes_the_light_along():
    turned = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]) @ FRONT
    pictures = {"made": studio_picture(bright_towards((1, 0, 0)))}
    light = harmonics(1.0, (2 / 3, 0.0, 0.0))
    before, after = (fit_studio_light(light, camera, pictures) for camera in (FRONT, turned))
    assert angle_between(before.rotation, after.rotation + np.pi / 2) < STEP
    assert after.intensity == pytest.approx(before.intensity)


def test_the_likest_of_several_pictures_is_taken():
    even = studio_picture(np.ones((64, 128, 3)))
    red = studio_picture(np.tile([1.0, 0.2, 0.2], (64, 128, 1)))
    above = studio_picture(bright_towards((0, 0, 1)))
    pictures = {"even": even, "red": red, "above": above}
    assert fit_studio_light(harmonics(1.5, (0, 0, 0)), FRONT, pictures).name == "even"
    assert fit_studio_light(harmonics(1.5, (0, 0.9, 0)), FRONT, pictures).name == "above"
    assert fit_studio_light(harmonics(1.5, (0, 0, 0)) * [1.0, 0.3, 0.3], FRONT, pictures).name == "red"


@pytest.mark.parametrize(("level", "intensity"), [(0.7, 0.7), (1.9, 1.9), (5.0, 2.0), (-1.0, 0.0)])
def test_intensity_stays_within_what_blender_allows(level, intensity):
    pictures = {"even": studio_picture(np.ones((64, 128, 3)))}
    assert fit_studio_light(harmonics(level, (0, 0, 0)), FRONT, pictures).intensity == pytest.approx(
        intensity, rel=5e-3
    )


def test_blenders_own_pictures_leave_nothing_in_the_file():
    before = {kind: len(getattr(bpy.data, kind)) for kind in ("images", "worlds", "lights", "textures")}
    found = nearest_studio_light(harmonics(1.4, (0.2, 0.3, 0.4)), FRONT)
    assert before == {kind: len(getattr(bpy.data, kind)) for kind in before}
    assert found.name in {item.name for item in bpy.context.preferences.studio_lights if item.type == "WORLD"}
    assert 0.1 < found.intensity <= 2.0


def test_a_view_takes_the_light_and_tells_it():
    view = next(area.spaces.active for area in bpy.context.screen.areas if area.type == "VIEW_3D")
    settings = view.shading
    settings.type = "SOLID"
    assert not is_lit_by_picture(view)
    settings.type = "MATERIAL"
    settings.use_scene_lights = settings.use_scene_world = False
    assert is_lit_by_picture(view)
    light = StudioLight("studio.exr", -3.0, 1.5)
    light.put_into(view)
    assert StudioLight.of_view(view) == light
    settings.use_scene_world = True
    assert not is_lit_by_picture(view)
