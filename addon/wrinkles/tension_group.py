"""The node group "Likeness Tension": stores the tension of a mesh against its Basis as point attributes.

It computes on the mesh that it is given, so it stands before any subdivision; a rigid motion changes no edge's length,
so it may stand after the bones. The definition is told in `addon/exchange/tension.py`.
"""

from __future__ import annotations

import bpy

from ..exchange.tension import COMPRESS_ATTRIBUTE, STRETCH_ATTRIBUTE, TENSION_ATTRIBUTE, TENSION_PER_M
from ..scene.shader_nodes import socket
from .group_builder import BOOLEAN, FLOAT, GEOMETRY, INTEGER, GroupBuilder, GroupInput, find_group, new_group

TENSION_GROUP = "Likeness Tension"
STRENGTH = "Mask Strength"
BIAS = "Mask Bias"
SMOOTHING = "Smoothing"
SHOW_AS_COLOUR = "Show as Colour"
COLOUR_ATTRIBUTE = "tension_color"
# what Blender stores for "Add Rest Position": the mesh before its shape keys, which is the Basis
_REST_ATTRIBUTE = "rest_position"
_TREE_TYPE = "GeometryNodeTree"
_VERSION = 1

_INPUTS = (
    GroupInput("Geometry", GEOMETRY),
    GroupInput(STRENGTH, FLOAT, 1.0, (0.0, 10.0), "Factor on both masks, and so on the wrinkles"),
    GroupInput(BIAS, FLOAT, 0.0, (-1.0, 1.0), "Added to the tension before the masks: above 0, more is compressed"),
    GroupInput(SMOOTHING, INTEGER, 0, (0, 20), "How often the masks are averaged with their neighbours"),
    GroupInput(SHOW_AS_COLOUR, BOOLEAN, False, None, "Colour layer tension_color: red compress, green stretch"),
)


def tension_group() -> bpy.types.NodeTree:
    """The group, built when this file has none."""
    found = find_group(TENSION_GROUP, _TREE_TYPE, _VERSION)
    if found is not None:
        return found
    group = new_group(TENSION_GROUP, _TREE_TYPE, _VERSION)
    nodes = GroupBuilder(group)
    for item in _INPUTS:
        nodes.add_input(item)
    nodes.add_output("Geometry", GEOMETRY)
    group.is_modifier = True
    start = nodes.group_input((700, 500), ("Geometry",))
    tension = _mean_tension(nodes)
    nodes.frame("Store the tension")
    stored = nodes.store(start.outputs["Geometry"], tension, TENSION_ATTRIBUTE, "FLOAT", (980, 500))
    masked, compress, stretch = _masks(nodes, stored)
    shown = _colour(nodes, masked, compress, stretch)
    nodes.leave_frame()
    end = nodes.add("NodeGroupOutput", (3900, 500))
    nodes.link_socket(shown, end, "Geometry")
    return group


def _mean_tension(nodes: GroupBuilder) -> bpy.types.NodeSocket:
    """t(v), a field on points; 0 everywhere when the object has no rest position."""
    nodes.frame("Edge lengths at rest (Basis) and now")
    ends = nodes.add("GeometryNodeInputMeshEdgeVertices", (-1200, 0))
    rest = nodes.attribute(_REST_ATTRIBUTE, "FLOAT_VECTOR", (-1200, 260))
    at_ends = []
    for number, height in ((1, 320), (2, 140)):
        at_end = nodes.add("GeometryNodeFieldAtIndex", (-940, height), f"Rest position {number}")
        at_end.data_type, at_end.domain = "FLOAT_VECTOR", "POINT"
        nodes.link(rest, "Attribute", at_end, "Value")
        nodes.link(ends, f"Vertex Index {number}", at_end, "Index")
        at_ends.append(at_end.outputs["Value"])
    neutral = nodes.vector_math("DISTANCE", (-680, 240), *at_ends, label="Length at rest")
    now = (ends.outputs["Position 1"], ends.outputs["Position 2"])
    current = nodes.vector_math("DISTANCE", (-680, 20), *now, label="Length now")
    nodes.frame("Tension of an edge: tanh(k (rest - now) / 2)")
    shorter = nodes.calculate("SUBTRACT", (-420, 140), neutral.outputs["Value"], current.outputs["Value"])
    scaled = nodes.calculate("MULTIPLY", (-220, 140), shorter, 0.5 * TENSION_PER_M, label="k / 2, for each metre")
    of_edge = nodes.calculate("TANH", (-20, 140), scaled)
    nodes.frame("Mean over the edges at a vertex")
    on_edges = nodes.add("GeometryNodeFieldOnDomain", (220, 140), "Edges to points")
    on_edges.data_type, on_edges.domain = "FLOAT", "EDGE"
    nodes.link_socket(of_edge, on_edges, "Value")
    return nodes.calculate(
        "MULTIPLY", (440, 240), on_edges.outputs["Value"], rest.outputs["Exists"], label="0 without a rest position"
    )


def _masks(
    nodes: GroupBuilder, geometry: bpy.types.NodeSocket
) -> tuple[bpy.types.NodeSocket, bpy.types.NodeSocket, bpy.types.NodeSocket]:
    """Store both masks; returns the geometry and the fields of compression and stretch."""
    nodes.frame("Masks: strength * (smoothed tension + bias), cut to 0-1")
    settings = nodes.group_input((1260, -60), (STRENGTH, BIAS, SMOOTHING))
    tension = nodes.attribute(TENSION_ATTRIBUTE, "FLOAT", (1260, 200))
    smooth = nodes.add("GeometryNodeBlurAttribute", (1500, 140))
    smooth.data_type = "FLOAT"
    nodes.link(tension, "Attribute", smooth, "Value")
    nodes.link(settings, SMOOTHING, smooth, "Iterations")
    raised = nodes.calculate("ADD", (1720, 140), smooth.outputs["Value"], settings.outputs[BIAS])
    shaped = nodes.calculate("MULTIPLY", (1920, 140), raised, settings.outputs[STRENGTH])
    compress = nodes.calculate("MAXIMUM", (2120, 220), shaped, 0.0, label="Compress", clamp=True)
    stretch = nodes.calculate("MULTIPLY", (2120, 40), shaped, -1.0, label="Stretch", clamp=True)
    with_compress = nodes.store(geometry, compress, COMPRESS_ATTRIBUTE, "FLOAT", (2360, 500))
    with_both = nodes.store(with_compress, stretch, STRETCH_ATTRIBUTE, "FLOAT", (2600, 500))
    return with_both, compress, stretch


def _colour(
    nodes: GroupBuilder,
    geometry: bpy.types.NodeSocket,
    compress: bpy.types.NodeSocket,
    stretch: bpy.types.NodeSocket,
) -> bpy.types.NodeSocket:
    nodes.frame("Colour layer for the viewport: red = compress, green = stretch")
    settings = nodes.group_input((3340, 700), (SHOW_AS_COLOUR,))
    colour = nodes.add("FunctionNodeCombineColor", (2900, 200))
    nodes.link_socket(compress, colour, "Red")
    nodes.link_socket(stretch, colour, "Green")
    coloured = nodes.store(geometry, colour.outputs["Color"], COLOUR_ATTRIBUTE, "FLOAT_COLOR", (3140, 360))
    choice = nodes.add("GeometryNodeSwitch", (3560, 500))
    choice.input_type = "GEOMETRY"
    nodes.link(settings, SHOW_AS_COLOUR, choice, "Switch")
    nodes.link_socket(geometry, choice, "False")
    nodes.link_socket(coloured, choice, "True")
    return socket(choice.outputs, "Output")
