"""Lights that stand for the photo's spherical-harmonics light: a sun for its direction, the world for the rest.

Own derivation. A sun of irradiance E adds E/pi max(0, cos) to the radiance of white diffuse skin, a world of radiance L
adds L. In spherical harmonics max(0, cos) is 1/4 + cos/2 + smaller terms, so a linear band of amplitude a in the sun's
direction asks for E = 2 pi a, of which a/2 is already part of the constant band.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector

from ..exchange.conventions import MODEL_TO_BLENDER
from .shader_nodes import NodeBuilder, node_tree_of

# constants of the real spherical harmonics of degree 0 and 1
_CONSTANT_BAND = 0.282095
_LINEAR_BAND = 0.488603
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# so that no side of the head is black when one lamp explains the whole light
_SMALLEST_AMBIENT = 0.15
# the angle under which a soft window or a softbox is seen, radians
_SUN_SIZE = 0.35


@dataclass(frozen=True)
class SunAndWorld:
    """A directional light and an even one.

    Attributes:
        towards_sun: (3,) unit vector, model space of the upright head.
        sun_irradiance: (3,) linear RGB, W/m².
        world_radiance: (3,) linear RGB.
    """

    towards_sun: np.ndarray
    sun_irradiance: np.ndarray
    world_radiance: np.ndarray


def sun_and_world(light: np.ndarray, head_rotation: np.ndarray) -> SunAndWorld:
    """Split spherical-harmonics light into a sun and a world.

    Args:
        light: (9,3) the cosine kernel folded in, normals in model space as in the photo.
        head_rotation: (3,3) the photo's rotation of the head, model space.

    Source: own derivation, see the module's text.
    """
    constant = _CONSTANT_BAND * light[0].astype(np.float64)
    # the basis has its linear terms in the order y, z, x
    linear = _LINEAR_BAND * light[[3, 1, 2]].astype(np.float64)
    direction = linear @ _LUMINANCE
    length = float(np.linalg.norm(direction))
    towards_in_photo = direction / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
    amplitude = np.clip(towards_in_photo @ linear, 0.0, None)
    ambient = np.maximum(constant - amplitude / 2, _SMALLEST_AMBIENT * np.clip(constant, 0.0, None))
    return SunAndWorld(head_rotation.T @ towards_in_photo, 2 * np.pi * amplitude, ambient)


def make_photo_light(
    name: str, light: SunAndWorld, collection: bpy.types.Collection, scene: bpy.types.Scene
) -> bpy.types.Object:
    """Light the scene as the photo was lit.

    Args:
        name: of the sun object and, with " world" behind it, of the world.
        light: from `sun_and_world`.
        collection: gets the sun.
        scene: gets the world.

    Returns:
        The sun object.
    """
    sun = bpy.data.lights.new(name, "SUN")
    sun.angle = _SUN_SIZE
    strength = float(light.sun_irradiance.max())
    sun.energy = strength
    sun.color = light.sun_irradiance / strength if strength > 0 else (1.0, 1.0, 1.0)
    sun_object = bpy.data.objects.new(name, sun)
    collection.objects.link(sun_object)
    towards_sun = Vector(MODEL_TO_BLENDER @ light.towards_sun)
    # lamps shine along their -Z
    sun_object.rotation_mode = "QUATERNION"
    sun_object.rotation_quaternion = towards_sun.to_track_quat("Z", "Y")
    sun_object.location = towards_sun
    scene.world = _make_world(f"{name} world", light.world_radiance)
    return sun_object


def _make_world(name: str, radiance: np.ndarray) -> bpy.types.World:
    world = bpy.data.worlds.new(name)
    nodes = NodeBuilder(node_tree_of(world))
    background = nodes.add("ShaderNodeBackground", (0, 0))
    nodes.set_input(background, "Color", (*radiance.tolist(), 1.0))
    nodes.set_input(background, "Strength", 1.0)
    output = nodes.add("ShaderNodeOutputWorld", (250, 0))
    nodes.link(background, "Background", output, "Surface")
    return world
