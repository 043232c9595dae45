"""Makes the head's mesh: vertices, polygons, texture coordinates, material slots, region masks."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

UV_MAP_NAME = "UVMap"
MASK_PREFIX = "mask_"
# faces that meet at a larger angle than this are shaded apart on parts that keep their edges; radians
_SHARP_ANGLE = 0.6
# triangles subdivide into a knobbly surface; a head of quads has few of them (at the poles of the eyes, for instance)
_FEWEST_QUADS_TO_SUBDIVIDE = 0.9


@dataclass(frozen=True)
class MeshArrays:
    """A mesh of quads and triangles, in Blender space.

    Attributes:
        vertices: (V,3) metres.
        polygons: (Q,4) vertex indices, counter-clockwise from outside; a triangle has -1 as its fourth.
        uv: (U,2) origin bottom left; uv_polygons: (Q,4) indices into it, parallel to polygons.
        material_index: (Q,) slot of each polygon.
        masks: region name to (V,) 0-1.
    """

    vertices: np.ndarray
    polygons: np.ndarray
    uv: np.ndarray
    uv_polygons: np.ndarray
    material_index: np.ndarray
    masks: dict[str, np.ndarray]


def make_mesh(name: str, arrays: MeshArrays) -> bpy.types.Mesh:
    """Make a smooth-shaded mesh with one UV map and one float attribute for each mask.

    Args:
        name: of the mesh data.
        arrays: what to make.

    Returns:
        The mesh, not yet in any object.
    """
    mesh = bpy.data.meshes.new(name)
    corners = arrays.polygons >= 0
    loop_vertices = arrays.polygons[corners]
    corner_counts = corners.sum(1)
    mesh.vertices.add(len(arrays.vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(arrays.vertices, np.float32).ravel())
    mesh.loops.add(len(loop_vertices))
    mesh.loops.foreach_set("vertex_index", loop_vertices.astype(np.int32))
    mesh.polygons.add(len(arrays.polygons))
    mesh.polygons.foreach_set("loop_start", (np.cumsum(corner_counts) - corner_counts).astype(np.int32))
    mesh.polygons.foreach_set("material_index", arrays.material_index.astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(arrays.polygons), bool))
    loop_uv = np.ascontiguousarray(arrays.uv[arrays.uv_polygons[corners]], np.float32)
    mesh.uv_layers.new(name=UV_MAP_NAME).data.foreach_set("uv", loop_uv.ravel())
    for mask_name, values in arrays.masks.items():
        attribute = mesh.attributes.new(MASK_PREFIX + mask_name, "FLOAT", "POINT")
        attribute.data.foreach_set("value", np.ascontiguousarray(values, np.float32))
    mesh.update(calc_edges=True)
    # drops what would make Blender unstable (a polygon that names a vertex twice); vertices are never touched
    mesh.validate(clean_customdata=False)
    return mesh


def add_vertex_groups(
    mesh_object: bpy.types.Object, group_names: tuple[str, ...], skinning_weights: np.ndarray
) -> None:
    """Give an object one vertex group for each joint.

    Args:
        mesh_object: gets the groups.
        group_names: J names.
        skinning_weights: (V,J), rows sum to 1.
    """
    for column, group_name in enumerate(group_names):
        group = mesh_object.vertex_groups.new(name=group_name)
        weights = skinning_weights[:, column]
        whole = np.flatnonzero(weights == 1)
        if len(whole):
            group.add(whole.tolist(), 1.0, "REPLACE")
        for vertex in np.flatnonzero((weights > 0) & (weights != 1)).tolist():
            group.add((vertex,), float(weights[vertex]), "REPLACE")


def keep_edges(mesh: bpy.types.Mesh, material_slots: list[int]) -> None:
    """Crease every edge of some polygons, so that subdivision keeps their form, and shade sharply across the bent ones.

    The rows of teeth are few quads with open ends: smoothed, they would draw back behind the lips, and their biting
    edges, shaded as if round, would look dark.

    Args:
        mesh: with its material indices set.
        material_slots: whose polygons.
    """
    slot = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slot)
    corner_counts = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_total", corner_counts)
    edge_of_corner = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("edge_index", edge_of_corner)
    normals = np.empty(3 * len(mesh.polygons), np.float32)
    mesh.polygons.foreach_get("normal", normals)
    kept = edge_of_corner[np.repeat(np.isin(slot, material_slots), corner_counts)]
    crease = np.zeros(len(mesh.edges), np.float32)
    crease[kept] = 1.0
    mesh.attributes.new("crease_edge", "FLOAT", "EDGE").data.foreach_set("value", crease)
    # the normals of an edge's faces add up to a short vector where they disagree
    total = np.zeros((len(mesh.edges), 3), np.float32)
    np.add.at(total, edge_of_corner, np.repeat(normals.reshape(-1, 3), corner_counts, axis=0))
    faces = np.bincount(edge_of_corner, minlength=len(mesh.edges))
    bent = np.linalg.norm(total, axis=1) < 2 * np.cos(_SHARP_ANGLE / 2)
    sharp = (crease > 0) & (faces == 2) & bent
    mesh.attributes.new("sharp_edge", "BOOLEAN", "EDGE").data.foreach_set("value", sharp)


def smooth_in_renders(mesh_object: bpy.types.Object) -> bpy.types.SubsurfModifier | None:
    """Subdivide a head of quads once when it is rendered; the viewport, and what the fit measured, stay as they are.

    Returns:
        The modifier; None for a head of triangles.
    """
    polygons = mesh_object.data.polygons
    corner_counts = np.empty(len(polygons), np.int32)
    polygons.foreach_get("loop_total", corner_counts)
    if np.mean(corner_counts == 4) < _FEWEST_QUADS_TO_SUBDIVIDE:
        return None
    modifier = mesh_object.modifiers.new("Subdivision", "SUBSURF")
    modifier.levels = modifier.render_levels = 1
    modifier.show_viewport = False
    return modifier
