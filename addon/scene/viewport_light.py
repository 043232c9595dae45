"""The studio light of a 3D view that is nearest to the photo's light; the scene gets no lights and no world.

Material Preview lights a scene with one of Blender's studio pictures, which may be turned about the vertical and made
brighter or darker. Column u of such a picture (0-1) lies at the azimuth 2 pi (1/2 - u); in a view with the turn r,
azimuth a of the world gets the picture's a + r.

Eevee does not light with the picture as it is: pixels above a threshold are cut down to it, what was cut off becomes a
sun, and of the rest the first two bands of spherical harmonics remain. A white sphere in the windows of Blender 4.3.2
and 5.2.2, each with pictures of its own, is lit as that model says up to a relative RMS of 1 to 14% (studio 1, sunrise,
sunset and night 1 to 6, interior 5, city 5 to 8, courtyard 4 to 14, forest 6 to 14). Without the sun, or with it in the
harmonics, studio is wrong by 35 to 70%. The level is 0.88 to 1.03 of the model's, and taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import bpy
import numpy as np

from .photo_light import shading

# Eevee's own default: the radiance beyond which a pixel of a world becomes part of its sun
_SUN_THRESHOLD = 10.0
# constants of the basis of `shading`, and the cosine kernel of band 1 by that of band 0 (Ramamoorthi and Hanrahan 2001)
_BAND_0, _BAND_1, _COSINE_BAND_1 = 0.282095, 0.488603, 2 / 3
# IEC 61966-2-1, each row by its sum: white is 1, 1, 1
_XYZ_FROM_RGB = np.array([[0.4339, 0.3763, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]])
# steps of 3 degrees
_NUM_ROTATIONS = 120
# what Blender allows
_MAX_INTENSITY = 2.0
# samples across the sphere that the camera sees, and how far out: normals turned by more than 72 degrees hardly show
_SAMPLES_ACROSS = 17
_DISC_RADIUS = 0.95


@dataclass(frozen=True)
class StudioPicture:
    """How Eevee lights white diffuse skin with a picture.

    Attributes:
        harmonics: (9,3) linear RGB radiance, the cosine kernel folded in, world axes; only bands 0 and 1.
        towards_sun: (3,) unit vector; sun: (3,) linear RGB radiance of skin that faces it.
    """

    harmonics: np.ndarray
    towards_sun: np.ndarray
    sun: np.ndarray

    def shade(self, normals: np.ndarray) -> np.ndarray:
        """(N,3) linear RGB radiance of white diffuse skin with unit normals (N,3), world axes."""
        facing = np.clip(normals @ self.towards_sun, 0.0, None)
        return shading(self.harmonics, normals) + facing[:, None] * self.sun


@dataclass(frozen=True)
class StudioLight:
    """What lights a 3D view: the picture's name, its turn about the vertical in radians, its intensity (0-2)."""

    name: str
    rotation: float
    intensity: float

    @classmethod
    def of_view(cls, view: bpy.types.SpaceView3D) -> StudioLight:
        """What lights a view in Material Preview now."""
        settings = view.shading
        return cls(settings.studio_light, settings.studiolight_rotate_z, settings.studiolight_intensity)

    def put_into(self, view: bpy.types.SpaceView3D) -> None:
        """Light a view in Material Preview."""
        settings = view.shading
        settings.studio_light = self.name
        settings.studiolight_rotate_z, settings.studiolight_intensity = self.rotation, self.intensity


def is_lit_by_picture(view: bpy.types.SpaceView3D) -> bool:
    """Whether a view is in Material Preview, and takes neither the scene's lights nor its world."""
    settings = view.shading
    return settings.type == "MATERIAL" and not settings.use_scene_lights and not settings.use_scene_world


def nearest_studio_light(light: np.ndarray, world_from_camera: np.ndarray) -> StudioLight | None:
    """Choose among the pictures that come with Blender; None where it has none.

    Args:
        light: (9,3) the photo's, the cosine kernel folded in, axes of the photo's camera (x right, y up, z to it).
        world_from_camera: (3,3) rotation of the photo's camera.
    """
    # an artist's own may be of any size, and reading them would take long
    own = [item for item in bpy.context.preferences.studio_lights if item.type == "WORLD" and not item.is_user_defined]
    pictures = {item.name: _picture_of_file(item.path) for item in own}
    return fit_studio_light(light, world_from_camera, pictures) if pictures else None


def fit_studio_light(
    light: np.ndarray, world_from_camera: np.ndarray, pictures: dict[str, StudioPicture]
) -> StudioLight:
    """Find the picture, turn and intensity that light what the camera sees of a white sphere as the photo's light does.

    As eyes see it: a tint of the whole face is worse than the same difference from one side of it to the other.

    Args:
        light: (9,3) the photo's, the cosine kernel folded in, axes of the photo's camera.
        world_from_camera: (3,3) rotation of the photo's camera.
        pictures: by name, at least one.

    Source: own derivation; least squares in CIELAB for every picture and turn. Without the straight piece near black,
        its differences are linear in the cube root of the intensity.
    """
    seen = _normals_seen()
    target = _lab(shading(np.asarray(light, np.float64), seen))
    normals = seen @ world_from_camera.T
    best, least = None, np.inf
    for rotation in np.linspace(-np.pi, np.pi, _NUM_ROTATIONS, endpoint=False):
        turned = normals @ _turn(rotation).T
        for name, picture in pictures.items():
            shown = _lab(picture.shade(turned))
            root = np.clip((shown * target).sum() / max((shown * shown).sum(), 1e-9), 0.0, np.cbrt(_MAX_INTENSITY))
            error = float(((root * shown - target) ** 2).sum())
            if error < least:
                best, least = StudioLight(name, float(rotation), min(float(root**3), _MAX_INTENSITY)), error
    return best


def studio_picture(radiance: np.ndarray) -> StudioPicture:
    """Find how Eevee lights with a picture.

    Args:
        radiance: (H,W,3) linear RGB, equirectangular, the lowest row first as Blender keeps pixels.

    Source: own derivation, see the module's text.
    """
    # five times as fast as the maximum over the last axis
    brightest = np.maximum(np.maximum(radiance[..., :1], radiance[..., 1:2]), radiance[..., 2:])
    kept = radiance * (_SUN_THRESHOLD / np.maximum(brightest, _SUN_THRESHOLD))
    (level, gradient), (sun, sun_gradient) = _moments(kept), _moments(radiance - kept)
    harmonics = np.zeros((9, 3))
    harmonics[0] = _BAND_0 * level
    # the order of the coefficients is y, z, x
    harmonics[1:4] = _COSINE_BAND_1 * _BAND_1 * gradient[[1, 2, 0]]
    direction = sun_gradient.sum(1)
    length = float(np.linalg.norm(direction))
    # without a sun any direction will do
    towards_sun = direction / length if length > 0.0 else np.array([0.0, 0.0, 1.0])
    return StudioPicture(harmonics, towards_sun, sun / np.pi)


@cache
def _picture_of_file(path: str) -> StudioPicture:
    """How Eevee lights with an image file, which is read once; nothing of it stays in the .blend."""
    image = bpy.data.images.load(path)
    try:
        width, height = image.size
        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return studio_picture(pixels.reshape(height, width, -1)[..., :3])


def _moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integrals of a picture over the sphere: (3,) by colour, and (3,3) of the direction's x, y, z by colour."""
    height, width = picture.shape[:2]
    elevation = np.pi * ((np.arange(height) + 0.5) / height - 0.5)
    azimuth = 2 * np.pi * (0.5 - (np.arange(width) + 0.5) / width)
    columns = np.stack([np.ones(width), np.cos(azimuth), np.sin(azimuth)]).astype(picture.dtype)
    # (3,H,3): every pixel counts, for a sun is a few of them
    even, across_x, across_y = np.tensordot(columns, picture, (1, 1)).astype(np.float64)
    solid_angle = np.cos(elevation) * (np.pi / height) * (2 * np.pi / width)
    inward, upward = solid_angle * np.cos(elevation), solid_angle * np.sin(elevation)
    return solid_angle @ even, np.stack([inward @ across_x, inward @ across_y, upward @ even])


def _lab(radiance: np.ndarray) -> np.ndarray:
    """(N,3) CIELAB of linear RGB radiance (N,3), the 16 of L* left out, which differences do not have."""
    x, y, z = np.cbrt(np.clip(radiance, 0.0, None) @ _XYZ_FROM_RGB.T).T
    return np.stack([116.0 * y, 500.0 * (x - y), 200.0 * (y - z)], -1)


def _normals_seen() -> np.ndarray:
    """(N,3) normals of a sphere, evenly over what the camera sees of it, axes of the camera."""
    steps = np.linspace(-_DISC_RADIUS, _DISC_RADIUS, _SAMPLES_ACROSS)
    x, y = (axis.ravel() for axis in np.meshgrid(steps, steps))
    inside = x * x + y * y <= _DISC_RADIUS**2
    x, y = x[inside], y[inside]
    return np.stack([x, y, np.sqrt(1 - x * x - y * y)], -1)


def _turn(angle: float) -> np.ndarray:
    """(3,3) rotation about the vertical, radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
