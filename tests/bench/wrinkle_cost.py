"""What wrinkles cost in a frame: tension by nodes, the whole set-up, and the same tension by Python in two ways."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import bpy
import numpy as np

from addon.exchange.tension import TENSION_ATTRIBUTE, TENSION_PER_M, vertex_tension
from addon.scene.mesh_object import MeshArrays, make_mesh
from addon.scene.scene_settings import empty_scene
from addon.wrinkles.add_wrinkles import TENSION_GROUP, add_wrinkles, store_wrinkle_area
from addon.wrinkles.tension_group import tension_group
from addon.wrinkles.wrinkle_maps import WrinkleMaps

SIZES = (5_000, 80_000)
MAP_PX = 1024
# Frames are timed for so long at least: a short run on a busy machine finds no undisturbed one.
MIN_SECONDS = 3.0
EDGE_M = 0.004
REGIONS = ("forehead", "eye_region_left", "eye_region_right", "nose", "cheeks", "lips", "chin", "neck", "brows")


@dataclass(frozen=True)
class FrameCost:
    """Milliseconds of a frame, the least of several: the scene alone, and what each way adds to it."""

    num_vertices: int
    scene_ms: float
    tension_nodes_ms: float
    all_nodes_ms: float
    numpy_handler_ms: float
    python_loop_ms: float


def frame_cost(num_vertices: int, frames: int = 60) -> FrameCost:
    """Measure a sheet with one animated shape key.

    Args:
        num_vertices: about so many.
        frames: how many are timed in each way at least; fewer of the Python loop, which is slow.
    """
    alone = _least_ms(_sheet(num_vertices), frames)
    tension = _least_ms(_with_tension(_sheet(num_vertices)), frames)
    everything = _least_ms(_with_wrinkles(_sheet(num_vertices)), max(frames // 4, 5))
    with_numpy = _least_ms(_sheet(num_vertices), frames, _numpy_handler)
    with_loop = _least_ms(_sheet(num_vertices), max(frames // 12, 3), _loop_handler)
    added = [value - alone for value in (tension, everything, with_numpy, with_loop)]
    return FrameCost(num_vertices, alone, *added)


def _sheet(num_vertices: int) -> bpy.types.Object:
    """A square sheet that a shape key squeezes over 20 frames, alone in a new file."""
    empty_scene()
    side = round(math.sqrt(num_vertices))
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    vertices = (EDGE_M * np.stack([x, y, 0 * x], -1).reshape(-1, 3)).astype(np.float32)
    index = np.arange(side * side).reshape(side, side)
    polygons = np.stack([item.ravel() for item in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])], -1)
    masks = {name: np.linspace(0, 1, len(vertices), dtype=np.float32) for name in REGIONS}
    uv = vertices[:, :2] / vertices[:, :2].max()
    mesh = make_mesh("sheet", MeshArrays(vertices, polygons, uv, polygons, np.zeros(len(polygons)), masks))
    sheet = bpy.data.objects.new("sheet", mesh)
    bpy.context.scene.collection.objects.link(sheet)
    sheet.shape_key_add(name="Basis")
    key = sheet.shape_key_add(name="squeeze", from_mix=False)
    key.data.foreach_set("co", (0.8 * vertices).ravel())
    for frame, value in ((1, 0.0), (20, 1.0)):
        key.value = value
        key.keyframe_insert("value", frame=frame)
    return sheet


def _with_tension(sheet: bpy.types.Object) -> bpy.types.Object:
    sheet.add_rest_position_attribute = True
    sheet.modifiers.new(TENSION_GROUP, "NODES").node_group = tension_group()
    return sheet


def _with_wrinkles(sheet: bpy.types.Object) -> bpy.types.Object:
    """Tension, subdivision as the viewport has it by default, and displacement from three maps."""
    images = []
    for name in ("neutral", "compressed", "expanded"):
        image = bpy.data.images.new(name, MAP_PX, MAP_PX, float_buffer=True, is_data=True)
        image.pixels.foreach_set(np.random.default_rng(0).random(MAP_PX * MAP_PX * 4, np.float32))
        images.append(image)
    store_wrinkle_area(sheet.data, 0)
    add_wrinkles(sheet, WrinkleMaps(*images, 0.5, 1.0, 0.5, 1.0, 0.4, 0.4))
    return sheet


def _least_ms(
    sheet: bpy.types.Object, frames: int, make_handler: Callable[[bpy.types.Object], Callable] | None = None
) -> float:
    scene = bpy.context.scene
    handlers = bpy.app.handlers.frame_change_post
    handler = None if make_handler is None else make_handler(sheet)
    if handler is not None:
        handlers.append(handler)
    least = math.inf
    try:
        # the first frame warms
        scene.frame_set(20)
        begun, number = time.perf_counter(), 0
        while number < frames or time.perf_counter() - begun < MIN_SECONDS:
            start = time.perf_counter()
            scene.frame_set(1 + number % 20)
            least = min(least, time.perf_counter() - start)
            number += 1
    finally:
        if handler is not None:
            handlers.remove(handler)
    return 1000 * least


def _numpy_handler(sheet: bpy.types.Object) -> Callable:
    """Tension by numpy after each frame, stored on the mesh as an add-on would."""
    mesh = sheet.data
    edges = np.empty((len(mesh.edges), 2), np.int32)
    mesh.edges.foreach_get("vertices", edges.ravel())
    neutral, current = (np.empty((len(mesh.vertices), 3), np.float32) for _ in range(2))
    mesh.vertices.foreach_get("co", neutral.ravel())
    mesh.attributes.new(TENSION_ATTRIBUTE, "FLOAT", "POINT")

    def handler(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
        sheet.evaluated_get(depsgraph).data.vertices.foreach_get("co", current.ravel())
        mesh.attributes[TENSION_ATTRIBUTE].data.foreach_set("value", vertex_tension(neutral, current, edges))

    return handler


def _loop_handler(sheet: bpy.types.Object) -> Callable:
    """Tension vertex by vertex in Python, the way it is usually written."""
    mesh = sheet.data
    neighbours: list[list[int]] = [[] for _ in mesh.vertices]
    for edge in mesh.edges:
        first, second = edge.vertices
        neighbours[first].append(second)
        neighbours[second].append(first)
    mesh.attributes.new(TENSION_ATTRIBUTE, "FLOAT", "POINT")

    def handler(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
        now, rest = sheet.evaluated_get(depsgraph).data.vertices, mesh.vertices
        stored = mesh.attributes[TENSION_ATTRIBUTE].data
        for vertex, around in enumerate(neighbours):
            total = 0.0
            for other in around:
                at_rest = (rest[vertex].co - rest[other].co).length
                total += math.tanh(0.5 * TENSION_PER_M * (at_rest - (now[vertex].co - now[other].co).length))
            stored[vertex].value = total / len(around)

    return handler
