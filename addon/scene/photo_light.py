"""Lights that stand for the photo's spherical-harmonics light: up to three suns and an even world.

Own derivation. White diffuse skin has the radiance E/pi max(0, cos) under a sun of irradiance E, and L under a world of
radiance L. The photo only tells how normals that face the camera are lit, so the lights are fitted to the spherical
harmonics there; on the far side those are extrapolation, and often say that the light comes from behind the head.

All lights have one colour, the mean over what the camera sees. The harmonics' colours differ from place to place by
what the albedo left over: lights of their own colours, fitted channel by channel, were a bluish sun and a green world,
and eyes, teeth and whatever the sun does not reach turned green.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector

from ..exchange.conventions import MODEL_TO_BLENDER
from .shader_nodes import NodeBuilder, node_tree_of

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
# key, fill and rim, as photographers light; more follow the last error of the harmonics and crowd the scene
_NUM_SUNS = 3
# about 14 degrees apart, less than the width of a sun's lobe
_NUM_CANDIDATES = 200
# normals turned further than this from the camera (the cosine) are hardly seen
_LEAST_FACING = 0.15
# of the mean brightness; so that no side of the head is black where lamps alone explain what is seen
_SMALLEST_AMBIENT = 0.15
# the angle under which a soft window or a softbox is seen, radians
_SUN_SIZE = 0.35


@dataclass(frozen=True)
class Sun:
    """A directional light.

    Attributes:
        towards: (3,) unit vector to the light, model space of the upright head.
        irradiance: (3,) linear RGB, W/m².
    """

    towards: np.ndarray
    irradiance: np.ndarray


@dataclass(frozen=True)
class PhotoLight:
    """Directional lights, the strongest first, and an even one of (3,) linear RGB radiance."""

    suns: tuple[Sun, ...]
    world_radiance: np.ndarray


def shading(light: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Radiance of white diffuse skin under spherical-harmonics light.

    Args:
        light: (9,3) the cosine kernel folded in.
        normals: (N,3) unit vectors, in the space of the light.

    Returns:
        (N,3) linear RGB.

    Source: Ramamoorthi and Hanrahan 2001, eq. 3; the order of docs/architecture.md.
    """
    x, y, z = normals.T
    basis = [
        np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x,
        1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return np.stack(basis, -1) @ light


def fit_photo_light(light: np.ndarray, head_rotation: np.ndarray) -> PhotoLight:
    """Find suns and a world that light the visible side of the head as spherical harmonics do.

    Args:
        light: (9,3) the cosine kernel folded in, normals in model space as in the photo.
        head_rotation: (3,3) the photo's rotation of the head, model space.

    Source: own derivation, see the module's text; the suns are chosen one after the other, each the best of the
        candidate directions beside those chosen before.
    """
    candidates = _sphere_points(_NUM_CANDIDATES)
    normals = candidates[candidates[:, 2] > _LEAST_FACING]
    # as many pixels show a normal as it faces the camera
    weights = np.sqrt(normals[:, 2:])
    colours = np.clip(shading(light.astype(np.float64), normals), 0.0, None)
    target = colours @ _LUMINANCE
    tint = (weights * colours).sum(0) / max(float((weights[:, 0] * target).sum()), 1e-9)
    ambient = _SMALLEST_AMBIENT * target.mean()
    remainder = weights[:, 0] * (target - ambient)
    lobes = weights * np.clip(normals @ candidates.T, 0.0, None)
    chosen: list[int] = []
    for _ in range(_NUM_SUNS):
        columns = [np.concatenate([weights, lobes[:, [*chosen, new]]], 1) for new in range(len(candidates))]
        errors = _non_negative_fit(np.stack(columns), remainder)[1]
        chosen.append(int(np.argmin(errors)))
    design = np.concatenate([weights, lobes[:, chosen]], 1)[None]
    strengths = _non_negative_fit(design, remainder)[0][0]
    suns = [
        Sun(head_rotation.T @ candidates[index], np.pi * strength * tint)
        for index, strength in zip(chosen, strengths[1:], strict=True)
        if strength > 0
    ]
    suns.sort(key=lambda sun: -float(sun.irradiance @ _LUMINANCE))
    return PhotoLight(tuple(suns), (ambient + strengths[0]) * tint)


def _sphere_points(count: int) -> np.ndarray:
    """(count,3) unit vectors spread evenly (a Fibonacci spiral)."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    angle = np.pi * (1 + np.sqrt(5)) * index
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1)


def _non_negative_fit(designs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares with coefficients from zero up, for many designs of few columns: every set of columns is tried.

    Args:
        designs: (K,N,M); target: (N,).

    Returns:
        (K,M) coefficients and (K,) squared errors.
    """
    count, _, width = designs.shape
    # a trace of damping, where two columns are one
    gram = np.einsum("kni,knj->kij", designs, designs) + 1e-9 * np.eye(width)
    moment = np.einsum("kni,n->ki", designs, target)
    best, least = np.zeros((count, width)), np.full(count, float(target @ target))
    for size in range(1, width + 1):
        for columns in itertools.combinations(range(width), size):
            used = list(columns)
            found = np.linalg.solve(gram[:, used][:, :, used], moment[:, used, None])[..., 0]
            # of a least-squares solution x the error is t.t - x.m
            errors = float(target @ target) - (found * moment[:, used]).sum(1)
            better = (found >= 0).all(1) & (errors < least)
            best[better] = 0.0
            best[np.ix_(better, used)] = found[better]
            least[better] = errors[better]
    return best, least


def make_photo_light(
    name: str, light: PhotoLight, collection: bpy.types.Collection, scene: bpy.types.Scene
) -> tuple[bpy.types.Object, ...]:
    """Light the scene as the photo was lit.

    Args:
        name: of the sun objects and, with " world" behind it, of the world.
        light: from `fit_photo_light`.
        collection: gets the suns.
        scene: gets the world.

    Returns:
        The sun objects.
    """
    scene.world = _make_world(f"{name} world", light.world_radiance)
    return tuple(_make_sun(name, sun, collection) for sun in light.suns)


def _make_sun(name: str, light: Sun, collection: bpy.types.Collection) -> bpy.types.Object:
    sun = bpy.data.lights.new(name, "SUN")
    sun.angle = _SUN_SIZE
    sun.energy = float(light.irradiance.max())
    sun.color = light.irradiance / light.irradiance.max()
    sun_object = bpy.data.objects.new(name, sun)
    collection.objects.link(sun_object)
    towards = Vector(MODEL_TO_BLENDER @ light.towards)
    # lamps shine along their -Z
    sun_object.rotation_mode = "QUATERNION"
    sun_object.rotation_quaternion = towards.to_track_quat("Z", "Y")
    # a sun lights the same from everywhere; here it is out of the way and still seen
    sun_object.location = towards
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
