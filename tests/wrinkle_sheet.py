"""A flat sheet of skin with wrinkle maps of one value each: what it does under tension is known in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from addon.scene.mesh_object import UV_MAP_NAME, MeshArrays, make_mesh
from addon.scene.packed_images import DATA
from addon.scene.shader_nodes import NodeBuilder, node_tree_of
from addon.wrinkles.add_wrinkles import add_wrinkles, store_wrinkle_area
from addon.wrinkles.wrinkle_maps import WrinkleMaps
from addon.wrinkles.wrinkle_shader import shade_wrinkles

SIDE = 9
EDGE_M = 0.004
MAP_PX = 8
# what the maps hold everywhere, 0-1, and how they are read
NEUTRAL, COMPRESSED, EXPANDED = 0.75, 1.0, 0.25
NEUTRAL_SCALE_MM, WRINKLE_SCALE_MM = 1.0, 2.0
FULL_COMPRESSION, FULL_STRETCH = 0.4, 0.5
# the keys squeeze or stretch the sheet along both axes at value 1
SQUEEZE, STRETCH = "squeeze", "stretch"
FACTORS = {SQUEEZE: 0.8, STRETCH: 1.2}
NAME = "sheet"


def make_sheet(name: str = NAME, compressed: float = COMPRESSED) -> bpy.types.Object:
    """A sheet with flat maps, whose material shines what the tests measure."""
    maps = make_maps([flat_map(f"{name} {value}", value) for value in (NEUTRAL, compressed, EXPANDED)])
    return make_wrinkled_sheet(name, maps, _material(name, maps))


def make_maps(images: Sequence[bpy.types.Image]) -> WrinkleMaps:
    """Maps that are read by the figures above; `images`: neutral, compressed, expanded."""
    return WrinkleMaps(
        *images, 0.5, NEUTRAL_SCALE_MM, 0.5, WRINKLE_SCALE_MM, FULL_COMPRESSION, FULL_STRETCH
    )  # fmt: skip


def make_wrinkled_sheet(name: str, maps: WrinkleMaps, material: bpy.types.Material) -> bpy.types.Object:
    """A sheet in the x-y plane with two keys, wrinkle modifiers and a material, linked to the scene."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    grid = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    index = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    polygons = np.stack([item.ravel() for item in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])], -1)
    vertices = (grid - (SIDE - 1) / 2) * [EDGE_M, EDGE_M, 0]
    # "forehead" covers the half at larger x
    masks = {"forehead": (vertices[:, 0] > 0).astype(np.float32)}
    uv = grid[:, :2] / (SIDE - 1)
    arrays = MeshArrays(vertices.astype(np.float32), polygons, uv, polygons, np.zeros(len(polygons)), masks)
    mesh_object = bpy.data.objects.new(name, make_mesh(name, arrays))
    bpy.context.scene.collection.objects.link(mesh_object)
    mesh_object.shape_key_add(name="Basis")
    for key_name, factor in FACTORS.items():
        key = mesh_object.shape_key_add(name=key_name, from_mix=False)
        key.data.foreach_set("co", (vertices * factor).astype(np.float32).ravel())
        key.value = 0.0
    mesh_object.data.materials.append(material)
    store_wrinkle_area(mesh_object.data, skin_slot=0)
    add_wrinkles(mesh_object, maps)
    return mesh_object


def flat_map(name: str, value: float) -> bpy.types.Image:
    """A packed grey image of one value."""
    return grey_map(name, np.full((MAP_PX, MAP_PX), value))


def grey_map(name: str, values: np.ndarray) -> bpy.types.Image:
    """A packed grey image of (H,W) values, row 0 at the bottom."""
    image = bpy.data.images.new(name, values.shape[1], values.shape[0], float_buffer=True, is_data=True)
    image.colorspace_settings.name = DATA
    image.pixels.foreach_set(np.repeat(values.astype(np.float32).ravel(), 4))
    image.pack()
    return image


def height_mm(tension: np.ndarray, compressed: float = COMPRESSED) -> np.ndarray:
    """What the sheet's height shall be, written out from docs/architecture.md ("Wrinkles")."""
    neutral = (NEUTRAL - 0.5) * NEUTRAL_SCALE_MM
    full_compressed, full_expanded = ((value - 0.5) * WRINKLE_SCALE_MM for value in (compressed, EXPANDED))
    squeezed = np.clip(tension / FULL_COMPRESSION, 0, 1)
    stretched = np.clip(-tension / FULL_STRETCH, 0, 1)
    return neutral + squeezed * (full_compressed - neutral) + stretched * (full_expanded - neutral)


def evaluated(mesh_object: bpy.types.Object) -> bpy.types.Mesh:
    """The mesh after its modifiers, as the viewport has it."""
    bpy.context.view_layer.update()
    return mesh_object.evaluated_get(bpy.context.evaluated_depsgraph_get()).data


def positions(mesh: bpy.types.Mesh) -> np.ndarray:
    """(V,3)."""
    result = np.empty((len(mesh.vertices), 3), np.float32)
    mesh.vertices.foreach_get("co", result.ravel())
    return result


def point_values(mesh: bpy.types.Mesh, attribute: str) -> np.ndarray:
    """(V,) or (V,C) of a point attribute."""
    layer = mesh.attributes[attribute]
    assert layer.domain == "POINT"
    field, width = {"FLOAT": ("value", 1), "FLOAT_VECTOR": ("vector", 3), "FLOAT_COLOR": ("color", 4)}[layer.data_type]
    values = np.empty(len(mesh.vertices) * width, np.float32)
    layer.data.foreach_get(field, values)
    return values if width == 1 else values.reshape(-1, width)


def _material(name: str, maps: WrinkleMaps) -> bpy.types.Material:
    """Skin that shines what the tests measure: red = height of the surface, green = the shader's, in millimetres."""
    material = bpy.data.materials.new(f"{name} skin")
    nodes = NodeBuilder(node_tree_of(material))
    coordinates = nodes.add("ShaderNodeUVMap", (-900, 0))
    coordinates.uv_map = UV_MAP_NAME
    shader = nodes.add("ShaderNodeBsdfPrincipled", (0, 400))
    group = shade_wrinkles(nodes, coordinates, shader, maps)
    place = nodes.add("ShaderNodeNewGeometry", (-300, -200))
    split = nodes.add("ShaderNodeSeparateXYZ", (-100, -200))
    nodes.link(place, "Position", split, "Vector")
    millimetres = nodes.math("MULTIPLY", (100, -200), split.outputs["Z"], 1000.0)
    colour = nodes.add("ShaderNodeCombineXYZ", (300, -200))
    nodes.link_socket(millimetres, colour, "X")
    nodes.link(group, "Height (mm)", colour, "Y")
    emission = nodes.add("ShaderNodeEmission", (500, 0))
    nodes.link(colour, "Vector", emission, "Color")
    output = nodes.add("ShaderNodeOutputMaterial", (700, 0))
    nodes.link(emission, "Emission", output, "Surface")
    return material
