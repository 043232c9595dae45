"""A portrait studio for previews: a camera that looks at the head from a chosen side, and soft lights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Vector

from ..exchange.avatar_description import PERSPECTIVE, CameraDescription
from .photo_camera import PhotoView
from .shader_nodes import NodeBuilder, node_tree_of

# A portrait's distance: nearer, and noses grow.
_DISTANCE_M = 1.6
# share of the picture's height and width that the head fills
_FILL = 0.95
# about a hand's breadth under the chin
_BELOW_NECK_JOINT_M = 0.02
_AMBIENT_RADIANCE = (0.20, 0.205, 0.22)


@dataclass(frozen=True)
class SoftLight:
    """An area light that stands still beside the camera.

    Attributes:
        from_head_m: where it stands, seen from the middle of the head: right, up, towards the camera.
        power_w: its power; size_m: its width; colour: linear RGB.
    """

    from_head_m: tuple[float, float, float]
    power_w: float
    size_m: float
    colour: tuple[float, float, float]


# Classic three-point light. A white diffuse surface facing a light of power P at distance d has a radiance of about
# P / (pi d)^2: 1.0 for the key, a quarter of it for the fill.
THREE_POINT_LIGHT = (
    SoftLight((-0.9, 0.7, 1.1), 24.0, 0.7, (1.0, 0.96, 0.91)),
    SoftLight((1.2, 0.1, 1.0), 6.5, 1.0, (0.92, 0.96, 1.0)),
    SoftLight((0.7, 0.8, -1.1), 13.0, 0.6, (1.0, 1.0, 1.0)),
)


def studio_view(vertices: np.ndarray, joints: np.ndarray, turn_radians: float, size_px: tuple[int, int]) -> PhotoView:
    """The view of a camera that frames the head as a portrait: from the crown to below the neck's joint.

    Args:
        vertices: (V,3) metres, model space, neutral.
        joints: (5,3) metres, model space, in the order of JOINT_NAMES.
        turn_radians: how far the head is turned to its left for the camera; the head itself stays as it is.
        size_px: width and height of the picture.
    """
    bottom, top = float(joints[1, 1]) - _BELOW_NECK_JOINT_M, float(vertices[:, 1].max())
    in_frame = vertices[vertices[:, 1] > bottom]
    middle = (in_frame.min(0).astype(np.float64) + in_frame.max(0)) / 2
    width, height = size_px
    radius = float(np.linalg.norm(in_frame[:, [0, 2]] - middle[[0, 2]], axis=1).max())
    # the crown stands about above the neck, at the distance of the middle
    focal_px = _FILL * _DISTANCE_M * min(width / 2 / radius, height / (top - bottom))
    camera = CameraDescription(
        PERSPECTIVE,
        size_px,
        focal_px=focal_px,
        principal_px=(width / 2, height / 2),
        translation_m=(-middle[0], middle[1], middle[2] + _DISTANCE_M),
    )
    return PhotoView.of_photo(camera, np.array([0.0, turn_radians, 0.0]), middle)


def make_studio(scene: bpy.types.Scene, lights: Sequence[SoftLight] = THREE_POINT_LIGHT) -> bpy.types.Object:
    """Give a scene a camera with lights fixed to it, and an even world.

    Args:
        scene: without camera or lights of its own.
        lights: stand still beside the camera.

    Returns:
        The camera; aim it with `aim_camera`.
    """
    camera = bpy.data.objects.new("Studio camera", bpy.data.cameras.new("Studio camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    for number, light in enumerate(lights, start=1):
        _add_light(f"Studio light {number}", light, camera, scene)
    scene.world = bpy.data.worlds.new("Studio world")
    nodes = NodeBuilder(node_tree_of(scene.world))
    background = nodes.add("ShaderNodeBackground", (0, 0))
    nodes.set_input(background, "Color", (*_AMBIENT_RADIANCE, 1.0))
    nodes.link(background, "Background", nodes.add("ShaderNodeOutputWorld", (250, 0)), "Surface")
    return camera


def _add_light(name: str, light: SoftLight, camera: bpy.types.Object, scene: bpy.types.Scene) -> None:
    lamp = bpy.data.lights.new(name, "AREA")
    lamp.energy, lamp.size, lamp.color = light.power_w, light.size_m, light.colour
    lamp_object = bpy.data.objects.new(name, lamp)
    scene.collection.objects.link(lamp_object)
    lamp_object.parent = camera
    from_head = Vector(light.from_head_m)
    lamp_object.location = from_head + Vector((0.0, 0.0, -_DISTANCE_M))
    lamp_object.rotation_euler = from_head.to_track_quat("Z", "Y").to_euler()
