"""The shader group "Likeness Wrinkle Shading": bends the shading normal by the same blend of maps that moves the mesh.

The weights come as attributes from the geometry's group, so that the modifier's inputs reach the material without
drivers. The bump stands on the normal before the displacement: whatever the mesh already resolves is not counted twice.
"""

from __future__ import annotations

import bpy

from ..scene.mesh_object import UV_MAP_NAME
from ..scene.shader_nodes import NodeBuilder, socket
from .group_builder import FLOAT, VECTOR, GroupBuilder, GroupInput, find_group, new_group
from .map_blend import MAP_FIGURES, ExactHeight, blend_heights
from .wrinkle_group import (
    COMPRESSED_MAP,
    EXACT_ATTRIBUTE,
    EXACT_IMAGES,
    EXPANDED_MAP,
    NEUTRAL_MAP,
    NORMAL_ATTRIBUTE,
    WEIGHTS_ATTRIBUTE,
)
from .wrinkle_maps import WrinkleMaps

SHADING_GROUP = "Likeness Wrinkle Shading"
# in millimetres, unlike the maps: the image's own values
EXACT_HEIGHT = "Exact Height (mm)"
_TREE_TYPE = "ShaderNodeTree"
_VERSION = 2
_MM_PER_M = 1000.0
_SAMPLES = (NEUTRAL_MAP, COMPRESSED_MAP, EXPANDED_MAP)
_INTERPOLATION, _EXTENSION = "Cubic", "EXTEND"


def shading_group() -> bpy.types.NodeTree:
    """The group, built when this file has none."""
    found = find_group(SHADING_GROUP, _TREE_TYPE, _VERSION)
    if found is not None:
        return found
    group = new_group(SHADING_GROUP, _TREE_TYPE, _VERSION)
    nodes = GroupBuilder(group)
    for name in _SAMPLES:
        nodes.add_input(GroupInput(name, FLOAT, 0.5, (0.0, 1.0), "What the map holds here"))
    for item in MAP_FIGURES:
        nodes.add_input(GroupInput(item.name, FLOAT, item.default, item.limits, item.text))
    nodes.add_output("Normal", VECTOR)
    nodes.add_output("Height (mm)", FLOAT)
    # behind the outputs, so that the identifiers of version 1 stay
    nodes.add_input(GroupInput(EXACT_HEIGHT, FLOAT, 0.0, None, "What the frame's exact image holds here"))
    nodes.frame("Blend of the maps by tension, in millimetres")
    weights = _attribute(nodes, WEIGHTS_ATTRIBUTE, (-1500, 400))
    start = nodes.group_input((-1500, 0), (*_SAMPLES, *(item.name for item in MAP_FIGURES), EXACT_HEIGHT))
    samples = [start.outputs[name] for name in _SAMPLES]
    is_exact = _attribute(nodes, EXACT_ATTRIBUTE, (-1500, 620))
    exact = ExactHeight(start.outputs[EXACT_HEIGHT], is_exact.outputs["Fac"])
    height_mm = blend_heights(nodes, (-1260, 0), weights.outputs["Vector"], start, samples, exact)
    normal = _undisplaced_normal(nodes)
    bump = _bump(nodes, height_mm, normal)
    nodes.leave_frame()
    end = nodes.add("NodeGroupOutput", (900, 0))
    nodes.link_socket(bump, end, "Normal")
    nodes.link_socket(height_mm, end, "Height (mm)")
    return group


def shade_wrinkles(
    nodes: NodeBuilder, coordinates: bpy.types.Node, shader: bpy.types.Node, maps: WrinkleMaps
) -> bpy.types.Node:
    """Bend the normal of a Principled shader by an avatar's maps.

    Args:
        nodes: of the material.
        coordinates: the UV Map node; shader: the Principled node.
        maps: the avatar's.

    Returns:
        The node of the group.
    """
    group = nodes.add("ShaderNodeGroup", (-350, -1300), SHADING_GROUP)
    group.node_tree = shading_group()
    for row, (name, image) in enumerate(zip(_SAMPLES, (maps.neutral, maps.compressed, maps.expanded), strict=True)):
        texture = nodes.add("ShaderNodeTexImage", (-700, -1300 - 300 * row), name)
        texture.image = image
        texture.interpolation, texture.extension = _INTERPOLATION, _EXTENSION
        nodes.link(coordinates, "UV", texture, "Vector")
        nodes.link(texture, "Color", group, name)
    for name, value in maps.figures().items():
        nodes.set_input(group, name, value)
    nodes.link(group, "Normal", shader, "Normal")
    return group


def find_shading(material: bpy.types.Material | None) -> bpy.types.ShaderNodeGroup | None:
    """The node of the group in a material; None where it has none."""
    tree = material.node_tree if material is not None else None
    for node in tree.nodes if tree is not None else ():
        # appending into a file that has such a group puts a number behind the name
        if node.type == "GROUP" and node.node_tree and node.node_tree.name.split(".")[0] == SHADING_GROUP:
            return node
    return None


def new_exact_texture(tree: bpy.types.NodeTree, shading: bpy.types.ShaderNodeGroup) -> bpy.types.ShaderNodeTexImage:
    """Add the image node of the exact wrinkles, read as the maps are, and link it.

    Args:
        tree: of the material.
        shading: the group's node in it.
    """
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.label = EXACT_IMAGES
    texture.location = (shading.location.x - 350, shading.location.y - 300 * len(_SAMPLES))
    texture.interpolation, texture.extension = _INTERPOLATION, _EXTENSION
    tree.links.new(_coordinates(tree, shading), texture.inputs["Vector"])
    tree.links.new(texture.outputs["Color"], socket(shading.inputs, EXACT_HEIGHT))
    return texture


def _coordinates(tree: bpy.types.NodeTree, shading: bpy.types.ShaderNodeGroup) -> bpy.types.NodeSocket:
    """The coordinates on which the maps lie; new ones where an artist has taken the maps away."""
    for name in _SAMPLES:
        for link in socket(shading.inputs, name).links:
            vector = link.from_node.inputs.get("Vector")
            if vector is not None and vector.is_linked:
                return vector.links[0].from_socket
    layout = tree.nodes.new("ShaderNodeUVMap")
    layout.uv_map = UV_MAP_NAME
    return layout.outputs["UV"]


def _attribute(nodes: GroupBuilder, name: str, location: tuple[float, float]) -> bpy.types.Node:
    node = nodes.add("ShaderNodeAttribute", location, name)
    node.attribute_type, node.attribute_name = "GEOMETRY", name
    return node


def _undisplaced_normal(nodes: GroupBuilder) -> bpy.types.NodeSocket:
    """The normal before the displacement, in world space; the surface's own where nothing was displaced."""
    nodes.frame("Normal before the displacement")
    kept = _attribute(nodes, NORMAL_ATTRIBUTE, (-1100, -900))
    length = nodes.vector_math("LENGTH", (-880, -1080), kept.outputs["Vector"])
    is_kept = nodes.calculate("GREATER_THAN", (-680, -1080), length.outputs["Value"], 0.0, label="Was displaced")
    own = nodes.add("ShaderNodeNewGeometry", (-880, -1260))
    own_of_object = _transform_normal(nodes, own.outputs["Normal"], "WORLD", "OBJECT", (-680, -1260))
    # chosen before it is transformed: a normal of length 0 would become undefined, and no mix heals that
    choice = nodes.add("ShaderNodeMix", (-460, -900), "Normal")
    choice.data_type = "VECTOR"
    nodes.link_socket(is_kept, choice, "Factor")
    nodes.link_socket(own_of_object, choice, "A")
    nodes.link(kept, "Vector", choice, "B")
    in_world = _transform_normal(nodes, socket(choice.outputs, "Result"), "OBJECT", "WORLD", (-260, -900))
    return nodes.vector_math("NORMALIZE", (-60, -900), in_world).outputs["Vector"]


def _transform_normal(
    nodes: GroupBuilder, normal: bpy.types.NodeSocket, space: str, target: str, location: tuple[float, float]
) -> bpy.types.NodeSocket:
    node = nodes.add("ShaderNodeVectorTransform", location)
    node.vector_type, node.convert_from, node.convert_to = "NORMAL", space, target
    nodes.link_socket(normal, node, "Vector")
    return node.outputs["Vector"]


def _bump(nodes: GroupBuilder, height_mm: bpy.types.NodeSocket, normal: bpy.types.NodeSocket) -> bpy.types.NodeSocket:
    nodes.frame("Bump in metres, larger where the object is scaled up")
    # the length of an object's unit vector in the world is its scale
    unit = nodes.add("ShaderNodeVectorTransform", (140, 300))
    unit.vector_type, unit.convert_from, unit.convert_to = "VECTOR", "OBJECT", "WORLD"
    nodes.set_input(unit, "Vector", (0.0, 0.0, 1.0))
    scale = nodes.vector_math("LENGTH", (320, 300), unit.outputs["Vector"])
    metres = nodes.calculate("DIVIDE", (140, 100), height_mm, _MM_PER_M, label="Metres")
    height = nodes.calculate("MULTIPLY", (500, 200), metres, scale.outputs["Value"], label="In the world")
    bump = nodes.add("ShaderNodeBump", (680, 0))
    nodes.set_input(bump, "Distance", 1.0)
    nodes.link_socket(height, bump, "Height")
    nodes.link_socket(normal, bump, "Normal")
    return bump.outputs["Normal"]
