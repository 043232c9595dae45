"""Neighbourhoods on a quad mesh: edge loops, what lies on one side of a loop, rings around a vertex, mirror images."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.spatial import cKDTree


class QuadTopology:
    """Edges and faces around each vertex of a quad mesh.

    Args:
        quads: (Q, 4) vertex indices.
    """

    def __init__(self, quads: np.ndarray) -> None:
        self.quads = quads
        self._edge_faces: dict[frozenset[int], list[int]] = defaultdict(list)
        self._neighbours: dict[int, set[int]] = defaultdict(set)
        self._vertex_faces: dict[int, list[int]] = defaultdict(list)
        for face, corners in enumerate(quads.tolist()):
            for here, there in zip(corners, corners[1:] + corners[:1], strict=True):
                self._edge_faces[frozenset((here, there))].append(face)
                self._neighbours[here].add(there)
                self._neighbours[there].add(here)
                self._vertex_faces[here].append(face)

    def neighbours(self, vertex: int) -> set[int]:
        """Give the vertices that share an edge with one."""
        return self._neighbours[vertex]

    def edge_loop(self, start: int, towards: int) -> list[int]:
        """Walk the closed edge loop through an edge, straight on at each vertex of four edges.

        Raises:
            ValueError: the loop does not close.
        """
        loop = [start, towards]
        while len(loop) <= len(self._neighbours):
            onward = self._straight_on(loop[-2], loop[-1])
            if onward is None:
                break
            if onward == start:
                return loop
            loop.append(onward)
        raise ValueError(f"the edge loop through {start}-{towards} does not close")

    def faces_within(self, loop: list[int], seed_vertex: int) -> np.ndarray:
        """List the faces on the seed's side of a closed loop, ascending."""
        fence = {frozenset(edge) for edge in zip(loop, loop[1:] + loop[:1], strict=True)}
        waiting = [self._vertex_faces[seed_vertex][0]]
        found = set(waiting)
        while waiting:
            corners = self.quads[waiting.pop()].tolist()
            for edge in map(frozenset, zip(corners, corners[1:] + corners[:1], strict=True)):
                for face in self._edge_faces[edge] if edge not in fence else ():
                    if face not in found:
                        found.add(face)
                        waiting.append(face)
        return np.array(sorted(found))

    def rings(self, centre: int, count: int) -> list[list[int]]:
        """List the vertices 0, 1, ... `count` faces away from a vertex, each ring sorted."""
        rings, seen = [[centre]], {centre}
        for _ in range(count):
            faces = {face for vertex in rings[-1] for face in self._vertex_faces[vertex]}
            ring = {vertex for face in faces for vertex in self.quads[face].tolist()} - seen
            seen |= ring
            rings.append(sorted(ring))
        return rings

    def _straight_on(self, previous: int, here: int) -> int | None:
        if len(self._neighbours[here]) != 4:
            return None
        faces = self._edge_faces[frozenset((previous, here))]
        beside = {corner for face in faces for corner in self.quads[face].tolist()}
        onward = self._neighbours[here] - beside
        return onward.pop() if len(onward) == 1 else None


def mirror_vertices(vertices: np.ndarray, tolerance_m: float = 5e-4) -> np.ndarray:
    """Find each vertex's counterpart across x = 0 by position.

    Args:
        vertices: (V, 3) metres, model space.
        tolerance_m: largest distance between a mirrored vertex and its counterpart.

    Returns:
        (V,) int32, an involution; vertices on the midline are their own.

    Raises:
        ValueError: the vertices are not symmetric.
    """
    distance, partner = cKDTree(vertices).query(vertices * [-1.0, 1.0, 1.0])
    if distance.max() > tolerance_m or np.any(partner[partner] != np.arange(len(vertices))):
        raise ValueError(f"the mesh is not symmetric: {distance.max() * 1000:.3f} mm off")
    return partner.astype(np.int32)


def triangulate(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each quad by the diagonal from its first corner to its third.

    Args:
        polygons: (Q, 4) corner indices; -1 as the fourth corner of a triangle.

    Returns:
        triangles (F, 3) int32 and the polygon of each (F,) int32, in the order of the polygons.
    """
    both = np.stack([polygons[:, [0, 1, 2]], polygons[:, [0, 2, 3]]], axis=1)
    kept = np.stack([np.ones(len(polygons), bool), polygons[:, 3] >= 0], axis=1)
    owner = np.repeat(np.arange(len(polygons))[:, None], 2, axis=1)
    return both[kept].astype(np.int32), owner[kept].astype(np.int32)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Average the normals of the triangles at each vertex, weighted by area.

    Args:
        vertices: (V, 3).
        triangles: (F, 3), counter-clockwise from outside.

    Returns:
        (V, 3) unit vectors, outward.
    """
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face_normals)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
