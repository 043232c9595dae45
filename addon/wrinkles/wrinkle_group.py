"""The node group "Likeness Wrinkles": tension chooses between three displacement maps, and the surface moves.

It stands after the tension's group and after the subdivision. What it computes for the shader (`wrinkle_weights`) and
what it moves are the same wrinkles: the shader draws what is finer than the mesh.

D = strength * (static * D_neutral + region * dynamic * sum of weight * (D_map - D_neutral)), in millimetres; the
weights are those of `wrinkle_weights` in `addon/exchange/tension.py`. In frames that have an exact image, the sum is
D_exact - D_neutral, whatever the tension.
"""

from __future__ import annotations

import bpy

from ..exchange.expression_states import LAST_FRAME
from ..exchange.tension import COMPRESS_ATTRIBUTE, STRETCH_ATTRIBUTE
from ..scene.mesh_object import MASK_PREFIX, UV_MAP_NAME
from ..scene.shader_nodes import socket
from .group_builder import BOOLEAN, FLOAT, GEOMETRY, IMAGE, INTEGER, GroupBuilder, GroupInput, find_group, new_group
from .map_blend import MAP_FIGURES, ExactHeight, blend_heights

WRINKLE_GROUP = "Likeness Wrinkles"
STRENGTH = "Strength"
STATIC_DETAIL = "Static Detail"
DYNAMIC_WRINKLES = "Dynamic Wrinkles"
REAL_DISPLACEMENT = "Real Displacement"
NEUTRAL_MAP, COMPRESSED_MAP, EXPANDED_MAP = "Neutral Map", "Compressed Map", "Expanded Map"
# Region inputs and the masks of the mesh that they weigh.
REGIONS = {
    "Forehead": ("forehead",),
    "Glabella": ("glabella",),
    "Crow's Feet": ("eye_region_left", "eye_region_right"),
    "Nose": ("nose",),
    "Nasolabial and Cheeks": ("cheeks",),
    "Mouth": ("lips",),
    "Chin": ("chin",),
    "Neck": ("neck",),
}
# Vector on points for the shader: weight of the neutral map, weight of the wrinkles, tension after strength and bias.
WEIGHTS_ATTRIBUTE = "wrinkle_weights"
# Vector on points: the normal before the displacement, on which the shader bends its own.
NORMAL_ATTRIBUTE = "wrinkle_normal"
# Float on points: 0 where nothing shall be displaced (eyes, teeth, inside of the mouth).
AREA_ATTRIBUTE = "wrinkle_area"
# Float on points, only while exact wrinkles are on: 1 where this frame has an exact image.
EXACT_ATTRIBUTE = "wrinkle_exact"
EXACT_WRINKLES = "Exact Wrinkles"
EXACT_IMAGES, FIRST_EXACT_FRAME, LAST_EXACT_FRAME = "Exact Images", "First Exact Frame", "Last Exact Frame"
_TREE_TYPE = "GeometryNodeTree"
_VERSION = 2
_MM_PER_M = 1000.0

_MAPS_PANEL, _EXACT_PANEL = "Maps", "Exact"
_FRAME_LIMITS = (0, LAST_FRAME)
_INPUTS = (
    GroupInput("Geometry", GEOMETRY),
    GroupInput(STRENGTH, FLOAT, 1.0, (0.0, 4.0), "Factor on everything that the maps do"),
    GroupInput(STATIC_DETAIL, FLOAT, 1.0, (0.0, 4.0), "How much of the skin's detail at rest shows"),
    GroupInput(DYNAMIC_WRINKLES, FLOAT, 1.0, (0.0, 4.0), "How much of the wrinkles that come with expressions shows"),
    GroupInput(REAL_DISPLACEMENT, BOOLEAN, True, None, "Move the subdivided surface; off: the shader's bump alone"),
    *(GroupInput(name, FLOAT, 1.0, (0.0, 4.0), "Factor on the wrinkles of this region", "Regions") for name in REGIONS),
    GroupInput(NEUTRAL_MAP, IMAGE, None, None, "Displacement at rest", _MAPS_PANEL),
    GroupInput(COMPRESSED_MAP, IMAGE, None, None, "Displacement at full compression", _MAPS_PANEL),
    GroupInput(EXPANDED_MAP, IMAGE, None, None, "Displacement at full stretch", _MAPS_PANEL),
    *(GroupInput(item.name, FLOAT, item.default, item.limits, item.text, _MAPS_PANEL) for item in MAP_FIGURES),
)
# Added behind the output, which version 1 had last: the identifiers of all others stay, and with them what a modifier
# of that version has keyed, driven and set.
_EXACT_INPUTS = (
    GroupInput(
        EXACT_WRINKLES, BOOLEAN, False, None,
        "Show the baked images in place of maps and tension; frames without an image play as before", _EXACT_PANEL,
    ),
    GroupInput(EXACT_IMAGES, IMAGE, None, None, "Displacement of each frame, millimetres", _EXACT_PANEL),
    GroupInput(FIRST_EXACT_FRAME, INTEGER, 0, _FRAME_LIMITS, "The first frame that has an image", _EXACT_PANEL),
    GroupInput(LAST_EXACT_FRAME, INTEGER, 0, _FRAME_LIMITS, "The last frame that has an image", _EXACT_PANEL),
)  # fmt: skip


def wrinkle_group() -> bpy.types.NodeTree:
    """The group, built when this file has none."""
    found = find_group(WRINKLE_GROUP, _TREE_TYPE, _VERSION)
    if found is not None:
        return found
    group = new_group(WRINKLE_GROUP, _TREE_TYPE, _VERSION)
    nodes = GroupBuilder(group)
    for item in _INPUTS:
        nodes.add_input(item)
    nodes.add_output("Geometry", GEOMETRY)
    for item in _EXACT_INPUTS:
        nodes.add_input(item)
    group.is_modifier = True
    region = _region_weight(nodes)
    weights = _weights(nodes, region)
    start = nodes.group_input((1000, 700), ("Geometry",))
    nodes.frame("Store the weights for the shader")
    stored = nodes.store(start.outputs["Geometry"], weights, WEIGHTS_ATTRIBUTE, "FLOAT_VECTOR", (1240, 700))
    nodes.leave_frame()
    place = _place_on_map(nodes)
    exact = _exact_image(nodes, place)
    stored = _store_exact(nodes, stored, exact.weight)
    height_mm = _height_mm(nodes, place, exact.height_mm)
    moved = _displace(nodes, stored, height_mm)
    settings = nodes.group_input((4200, 900), (REAL_DISPLACEMENT,))
    choice = nodes.add("GeometryNodeSwitch", (4420, 700), REAL_DISPLACEMENT)
    choice.input_type = "GEOMETRY"
    nodes.link(settings, REAL_DISPLACEMENT, choice, "Switch")
    nodes.link_socket(stored, choice, "False")
    nodes.link_socket(moved, choice, "True")
    end = nodes.add("NodeGroupOutput", (4640, 700))
    nodes.link(choice, "Output", end, "Geometry")
    return group


def _region_weight(nodes: GroupBuilder) -> bpy.types.NodeSocket:
    """Product over the regions of 1 + mask * (weight - 1); a mask that the mesh lacks changes nothing."""
    nodes.frame("Regions: the product of 1 + mask (weight - 1)")
    settings = nodes.group_input((-1400, 0), tuple(REGIONS))
    product: bpy.types.NodeSocket | None = None
    row = 0
    for name, masks in REGIONS.items():
        change = nodes.calculate("SUBTRACT", (-1100, -340 * row), settings.outputs[name], 1.0, label=name)
        for mask in masks:
            height = -340 * row
            value = nodes.attribute(MASK_PREFIX + mask, "FLOAT", (-1100, height - 160))
            factor = nodes.add("ShaderNodeMath", (-860, height), f"1 + {mask} (weight - 1)")
            factor.operation = "MULTIPLY_ADD"
            nodes.connect(factor, change, value.outputs["Attribute"], 1.0)
            if product is None:
                product = factor.outputs[0]
            else:
                product = nodes.calculate("MULTIPLY", (-640 + 30 * row, height), product, factor.outputs[0])
            row += 1
    return product


def _weights(nodes: GroupBuilder, region: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    """(weight of the neutral map, weight of the wrinkles, signed tension)."""
    nodes.frame("Weights: at rest, of the wrinkles, and the tension that the masks tell")
    settings = nodes.group_input((60, 300), (STRENGTH, STATIC_DETAIL, DYNAMIC_WRINKLES))
    area = nodes.attribute(AREA_ATTRIBUTE, "FLOAT", (60, 60))
    everywhere = nodes.calculate("SUBTRACT", (300, -100), 1.0, area.outputs["Exists"], label="1 without the attribute")
    within = nodes.calculate("ADD", (500, 60), area.outputs["Attribute"], everywhere, label="Area")
    strong = nodes.calculate("MULTIPLY", (500, 300), settings.outputs[STRENGTH], within)
    at_rest = nodes.calculate("MULTIPLY", (720, 380), strong, settings.outputs[STATIC_DETAIL], label="At rest")
    dynamic = nodes.calculate("MULTIPLY", (720, 200), strong, settings.outputs[DYNAMIC_WRINKLES])
    dynamic = nodes.calculate("MULTIPLY", (920, 200), dynamic, region, label="Of the wrinkles")
    compress = nodes.attribute(COMPRESS_ATTRIBUTE, "FLOAT", (500, -160))
    stretch = nodes.attribute(STRETCH_ATTRIBUTE, "FLOAT", (500, -320))
    # the difference is linear between vertices, where each mask alone has a kink at 0
    tension = nodes.calculate(
        "SUBTRACT", (720, -160), compress.outputs["Attribute"], stretch.outputs["Attribute"], label="Tension"
    )
    combine = nodes.add("ShaderNodeCombineXYZ", (1020, 380))
    for name, value in (("X", at_rest), ("Y", dynamic), ("Z", tension)):
        nodes.link_socket(value, combine, name)
    return combine.outputs[0]


def _place_on_map(nodes: GroupBuilder) -> bpy.types.NodeSocket:
    """Texture coordinates of a vertex."""
    nodes.frame("Place on the maps; on a seam, one of the vertex's places")
    layout = nodes.attribute(UV_MAP_NAME, "FLOAT_VECTOR", (1240, -300))
    corner = nodes.add("GeometryNodeCornersOfVertex", (1240, -460))
    # an average over the corners of a seam would point somewhere else on the texture
    place = nodes.add("GeometryNodeFieldAtIndex", (1480, -300), "Texture coordinates")
    place.data_type, place.domain = "FLOAT_VECTOR", "CORNER"
    nodes.link(layout, "Attribute", place, "Value")
    nodes.link(corner, "Corner Index", place, "Index")
    return socket(place.outputs, "Value")


def _map_at(
    nodes: GroupBuilder,
    settings: bpy.types.Node,
    name: str,
    place: bpy.types.NodeSocket,
    location: tuple[float, float],
) -> bpy.types.Node:
    """The image of an input, read at a place."""
    texture = nodes.add("GeometryNodeImageTexture", location, name)
    texture.interpolation, texture.extension = "Linear", "EXTEND"
    nodes.link(settings, name, texture, "Image")
    nodes.link_socket(place, texture, "Vector")
    return texture


def _exact_image(nodes: GroupBuilder, place: bpy.types.NodeSocket) -> ExactHeight:
    """This frame's exact image, and 1 where there is one."""
    nodes.frame("Exact image of the frame nearest in time (motion blur looks between frames)")
    settings = nodes.group_input((1240, -900), (EXACT_IMAGES, FIRST_EXACT_FRAME, LAST_EXACT_FRAME))
    time = nodes.add("GeometryNodeInputSceneTime", (1240, -1120))
    nearest = nodes.calculate("ROUND", (1440, -1120), socket(time.outputs, "Frame"), label="Frame")
    held = nodes.calculate("MAXIMUM", (1640, -1040), nearest, settings.outputs[FIRST_EXACT_FRAME])
    held = nodes.calculate("MINIMUM", (1840, -1040), held, settings.outputs[LAST_EXACT_FRAME], label="Frame baked")
    texture = _map_at(nodes, settings, EXACT_IMAGES, place, (2060, -900))
    nodes.link_socket(held, texture, "Frame")
    inside = nodes.add("ShaderNodeMath", (2060, -1160), "1 within the baked frames")
    inside.operation = "COMPARE"
    nodes.connect(inside, nearest, held, 0.5)
    # alpha is 1 in every image, and 0 where none can be read
    weight = nodes.calculate(
        "MULTIPLY", (2320, -1080), inside.outputs[0], texture.outputs["Alpha"], label="Has an image"
    )
    return ExactHeight(texture.outputs["Color"], weight)


def _store_exact(
    nodes: GroupBuilder, geometry: bpy.types.NodeSocket, weight: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """Store whether the frame has an exact image, while exact wrinkles are on; without the attribute it counts as 0."""
    nodes.frame("Exact wrinkles on or off, for the blend and for the shader")
    settings = nodes.group_input((2560, 900), (EXACT_WRINKLES,))
    stored = nodes.store(geometry, weight, EXACT_ATTRIBUTE, "FLOAT", (2560, 760))
    choice = nodes.add("GeometryNodeSwitch", (2800, 760), EXACT_WRINKLES)
    choice.input_type = "GEOMETRY"
    nodes.link(settings, EXACT_WRINKLES, choice, "Switch")
    nodes.link_socket(geometry, choice, "False")
    nodes.link_socket(stored, choice, "True")
    return socket(choice.outputs, "Output")


def _height_mm(
    nodes: GroupBuilder, place: bpy.types.NodeSocket, exact_mm: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    """Displacement of a vertex in millimetres."""
    nodes.frame("Maps at the vertex")
    settings = nodes.group_input((1480, 60), (NEUTRAL_MAP, COMPRESSED_MAP, EXPANDED_MAP))
    samples = [
        _map_at(nodes, settings, name, place, (1720, 100 - 260 * row)).outputs["Color"]
        for row, name in enumerate((NEUTRAL_MAP, COMPRESSED_MAP, EXPANDED_MAP))
    ]
    nodes.frame("Blend of the maps by tension, or the exact image, in millimetres")
    weights = nodes.attribute(WEIGHTS_ATTRIBUTE, "FLOAT_VECTOR", (2040, 400))
    figures = nodes.group_input((2040, 200), tuple(item.name for item in MAP_FIGURES))
    weight = nodes.attribute(EXACT_ATTRIBUTE, "FLOAT", (2040, -760))
    exact = ExactHeight(exact_mm, weight.outputs["Attribute"])
    return blend_heights(nodes, (2280, 0), weights.outputs["Attribute"], figures, samples, exact)


def _displace(
    nodes: GroupBuilder, geometry: bpy.types.NodeSocket, height_mm: bpy.types.NodeSocket
) -> bpy.types.NodeSocket:
    nodes.frame("Move along the normal, and keep the normal for the shader")
    normal = nodes.add("GeometryNodeInputNormal", (3500, 100))
    kept = nodes.store(geometry, socket(normal.outputs, "Normal"), NORMAL_ATTRIBUTE, "FLOAT_VECTOR", (3740, 500))
    metres = nodes.calculate("DIVIDE", (3500, -60), height_mm, _MM_PER_M, label="Metres")
    before = nodes.attribute(NORMAL_ATTRIBUTE, "FLOAT_VECTOR", (3500, 300))
    offset = nodes.vector_math("SCALE", (3740, 100), before.outputs["Attribute"], metres, label="Offset")
    # maps are read for moved vertices only: a quarter of a head's belong to eyes, teeth and the inside of the mouth
    weights = nodes.attribute(WEIGHTS_ATTRIBUTE, "FLOAT_VECTOR", (3300, 800))
    of_maps = nodes.vector_math("MULTIPLY", (3540, 800), weights.outputs["Attribute"], (1.0, 1.0, 0.0))
    moving = nodes.vector_math("LENGTH", (3740, 800), of_maps.outputs["Vector"], label="Where the maps count")
    move = nodes.add("GeometryNodeSetPosition", (3980, 500))
    nodes.link_socket(kept, move, "Geometry")
    nodes.link(moving, "Value", move, "Selection")
    nodes.link(offset, "Vector", move, "Offset")
    return socket(move.outputs, "Geometry")
