"""Makes the materials: one for each part of the head, all on the avatar's texture, for Eevee and Cycles alike."""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy

from ..exchange.avatar_description import DisplacementDescription
from ..wrinkles.wrinkle_maps import WrinkleMaps
from ..wrinkles.wrinkle_shader import shade_wrinkles
from .mesh_object import MASK_PREFIX, UV_MAP_NAME
from .shader_nodes import NodeBuilder, node_tree_of

INNER_MOUTH = "inner_mouth"
SKIN = "skin"
TEETH = ("upper_teeth", "lower_teeth")


@dataclass(frozen=True)
class Surface:
    """How one part of the head answers light.

    Attributes:
        roughness: of the whole part.
        roughness_change: region mask to what it adds where the mask is 1.
        specular: Principled's specular level, 0.5 = an index of refraction of 1.5.
        subsurface: share of the light that goes through the surface, 0-1.
        scatter_radius: relative to `scatter_scale_m`, for red, green and blue.
        scatter_scale_m: metres; how far red light spreads.
        coat: strength of a clear layer on top (tear film, saliva); coat_roughness: of that layer; coat_ior: its index
            of refraction.
        solid_colour: linear RGB in the viewport's solid mode.
    """

    roughness: float
    roughness_change: dict[str, float] = field(default_factory=dict)
    specular: float = 0.5
    subsurface: float = 0.0
    scatter_radius: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scatter_scale_m: float = 0.001
    coat: float = 0.0
    coat_roughness: float = 0.03
    coat_ior: float = 1.5
    solid_colour: tuple[float, float, float] = (0.5, 0.5, 0.5)


# Mean free paths of skin are 3.7, 1.4 and 0.7 mm (Jensen et al. 2001, table 1, skin1), somewhat less here, since the
# texture, taken from a photo, already shows light that went through skin. Skin's index of refraction is 1.4 (0.028
# reflected head-on, a level of 0.35). Regional roughness follows Weyrich et al. 2006: the forehead, nose and lips shine
# more than the cheeks; the scalp, mostly painted hair, would look like plastic. The rest was set by eye. Eyes shine by
# the tear film alone, whose index of 1.336 sends 2.1% back head-on: a base that shone as well would send back four
# times as much of the sky, and the pupil would look grey.
_FLESH_RADIUS = (1.0, 0.38, 0.19)
SURFACES: dict[str, Surface] = {
    SKIN: Surface(
        roughness=0.52,
        roughness_change={"lips": -0.16, "nose": -0.10, "forehead": -0.07, "neck": 0.05, "scalp": 0.24},
        specular=0.35,
        subsurface=0.5,
        scatter_radius=_FLESH_RADIUS,
        scatter_scale_m=0.0025,
        solid_colour=(0.60, 0.40, 0.31),
    ),
    INNER_MOUTH: Surface(
        roughness=0.4, subsurface=0.3, scatter_radius=_FLESH_RADIUS, scatter_scale_m=0.002, coat=0.3,
        coat_roughness=0.15, solid_colour=(0.25, 0.06, 0.06),
    ),
    "eye": Surface(
        roughness=0.5, specular=0.0, coat=1.0, coat_roughness=0.02, coat_ior=1.336, solid_colour=(0.75, 0.72, 0.70)
    ),
    "teeth": Surface(
        roughness=0.3, subsurface=0.25, scatter_scale_m=0.001, coat=0.4, coat_roughness=0.08,
        solid_colour=(0.70, 0.66, 0.55),
    ),
    "tongue": Surface(
        roughness=0.45, specular=0.25, subsurface=0.4, scatter_radius=_FLESH_RADIUS, scatter_scale_m=0.002, coat=0.1,
        coat_roughness=0.2, solid_colour=(0.45, 0.15, 0.14),
    ),
    "lashes": Surface(roughness=0.6, specular=0.2, solid_colour=(0.02, 0.015, 0.01)),
}  # fmt: skip
_SURFACE_OF_PART = {
    SKIN: SKIN, INNER_MOUTH: INNER_MOUTH, "left_eye": "eye", "right_eye": "eye", "upper_teeth": "teeth",
    "lower_teeth": "teeth", "tongue": "tongue", "lashes": "lashes",
}  # fmt: skip


def surface_of_part(part: str) -> Surface:
    """The surface of a part; a part that a later head model brings is treated as skin without its regions."""
    return SURFACES[_SURFACE_OF_PART.get(part, SKIN)]


@dataclass(frozen=True)
class SkinDisplacement:
    """The displacement map of the skin.

    Attributes:
        image: grey, without colour space.
        description: how it is read.
    """

    image: bpy.types.Image
    description: DisplacementDescription


def make_material(
    name: str,
    part: str,
    albedo: bpy.types.Image,
    masks: tuple[str, ...],
    displacement: SkinDisplacement | WrinkleMaps | None,
) -> bpy.types.Material:
    """Make the material of one part.

    Args:
        name: of the material.
        part: a part name of the head, or INNER_MOUTH.
        albedo: the texture, sRGB.
        masks: the region masks that the mesh carries.
        displacement: for the skin; with wrinkle maps the mesh's modifiers move the surface, and the material shades
            what is finer. None for everything else.
    """
    surface = surface_of_part(part)
    material = bpy.data.materials.new(name)
    material.diffuse_color = (*surface.solid_colour, 1.0)
    material.roughness = surface.roughness
    nodes = NodeBuilder(node_tree_of(material))
    shader = nodes.add("ShaderNodeBsdfPrincipled", (0, 0))
    output = nodes.add("ShaderNodeOutputMaterial", (600, 0))
    nodes.link(shader, "BSDF", output, "Surface")
    coordinates = nodes.add("ShaderNodeUVMap", (-1100, 0))
    coordinates.uv_map = UV_MAP_NAME
    texture = nodes.add("ShaderNodeTexImage", (-700, 200), "Albedo")
    texture.image = albedo
    nodes.link(coordinates, "UV", texture, "Vector")
    nodes.link(texture, "Color", shader, "Base Color")
    _set_surface(nodes, shader, surface)
    _vary_roughness(nodes, shader, surface, masks)
    if isinstance(displacement, WrinkleMaps):
        shade_wrinkles(nodes, coordinates, shader, displacement)
    elif displacement is not None:
        _displace(nodes, coordinates, output, displacement)
        # Cycles moves what the mesh can resolve and bumps the rest; so does Eevee
        material.displacement_method = "BOTH"
    return material


def _set_surface(nodes: NodeBuilder, shader: bpy.types.Node, surface: Surface) -> None:
    nodes.set_input(shader, "Roughness", surface.roughness)
    nodes.set_input(shader, "Specular IOR Level", surface.specular)
    nodes.set_input(shader, "Subsurface Weight", surface.subsurface)
    nodes.set_input(shader, "Subsurface Radius", surface.scatter_radius)
    nodes.set_input(shader, "Subsurface Scale", surface.scatter_scale_m)
    nodes.set_input(shader, "Coat Weight", surface.coat)
    nodes.set_input(shader, "Coat Roughness", surface.coat_roughness)
    nodes.set_input(shader, "Coat IOR", surface.coat_ior)


def _vary_roughness(nodes: NodeBuilder, shader: bpy.types.Node, surface: Surface, masks: tuple[str, ...]) -> None:
    """Roughness = the part's own + mask times change, over the regions that the mesh has."""
    changes = {mask: change for mask, change in surface.roughness_change.items() if mask in masks}
    total: bpy.types.NodeSocket | None = None
    for row, (mask, change) in enumerate(changes.items()):
        height = -250 - 180 * row
        attribute = nodes.add("ShaderNodeAttribute", (-900, height), mask)
        attribute.attribute_name = MASK_PREFIX + mask
        part_of_change = nodes.math("MULTIPLY", (-700, height), attribute.outputs["Fac"], change)
        base = surface.roughness if total is None else total
        total = nodes.math("ADD", (-500 + 40 * row, height), part_of_change, base)
    if total is not None:
        nodes.link_socket(total, shader, "Roughness")


def _displace(
    nodes: NodeBuilder, coordinates: bpy.types.Node, output: bpy.types.Node, displacement: SkinDisplacement
) -> None:
    texture = nodes.add("ShaderNodeTexImage", (-700, -1300), "Displacement")
    texture.image = displacement.image
    texture.interpolation = "Cubic"
    nodes.link(coordinates, "UV", texture, "Vector")
    node = nodes.add("ShaderNodeDisplacement", (-250, -1200))
    nodes.link(texture, "Color", node, "Height")
    nodes.set_input(node, "Midlevel", displacement.description.midlevel)
    # the map counts in millimetres, the scene in metres
    nodes.set_input(node, "Scale", displacement.description.scale_mm / 1000)
    nodes.link(node, "Displacement", output, "Displacement")
