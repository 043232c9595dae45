"""Carries points of the open head's surface, and its regions, to a head that it is laid on."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from addon.exchange.errors import HeadFileError
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.transfer_registration import Registration
from ml_backend.head.transfer_surface import Surface, SurfacePosition
from ml_backend.head.triangle_geometry import vertex_normals

# A landmark that lies this far beside the target's surface is determined half as well as one that lies on it.
_DOUBTFUL_DISTANCE_M = 0.004
_MIDLINE_M = 1e-4


def carry_landmarks(
    flame: FlameArrays, open_head: dict[str, np.ndarray], registration: Registration
) -> dict[str, np.ndarray]:
    """The landmark arrays of a head file, for the target.

    Raises:
        HeadFileError: the open head has landmarks on a part that the target does not have.
    """
    result = {"contour_yaw": open_head["contour_yaw"]}
    for name in ("landmarks_68", "contour", "landmarks_478"):
        triangle, barycentric = open_head[f"{name}_triangle"], open_head[f"{name}_barycentric"]
        place = _carry_points(flame, open_head, registration, triangle.ravel(), barycentric.reshape(-1, 3))
        result[f"{name}_triangle"] = place.triangle.reshape(triangle.shape).astype(np.int32)
        result[f"{name}_barycentric"] = place.barycentric.reshape(barycentric.shape).astype(np.float32)
    doubt = 1 + (place.distance / _DOUBTFUL_DISTANCE_M) ** 2
    if "landmarks_478_view_bias" in open_head:  # the tracker's own habit, the same for all heads
        result["landmarks_478_view_bias"] = open_head["landmarks_478_view_bias"]
    result["landmarks_478_weight"] = (open_head["landmarks_478_weight"] / doubt).astype(np.float32)
    return result


def _carry_points(
    flame: FlameArrays,
    open_head: dict[str, np.ndarray],
    registration: Registration,
    triangle: np.ndarray,
    barycentric: np.ndarray,
) -> SurfacePosition:
    """Points (N) on the open head's triangles as points on the target's, part by part."""
    triangles = open_head["triangles"].astype(np.int64)
    normals = vertex_normals(registration.laid, triangles)
    corners = triangles[triangle]
    points, directions = (
        np.einsum("nk,nkc->nc", barycentric, values[corners]) for values in (registration.laid, normals)
    )
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    part = registration.open_part[triangle]
    if (part < 0).any():
        raise HeadFileError("head_file_landmarks", "The open head has landmarks on teeth or tongue.", "Rebuild it.")
    found = np.zeros(len(points), np.int64), np.zeros((len(points), 3)), np.zeros((len(points), 3))
    distance, alignment = np.zeros(len(points)), np.zeros(len(points))
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        surface = Surface(flame.template, flame.triangles, np.flatnonzero(registration.triangle_part == number))
        place = surface.closest(points[rows], directions[rows])
        found[0][rows], found[1][rows], found[2][rows] = place.triangle, place.barycentric, place.position
        distance[rows], alignment[rows] = place.distance, place.alignment
    return SurfacePosition(*found, distance, alignment)


def carry_masks(open_head: dict[str, np.ndarray], registration: Registration) -> dict[str, np.ndarray]:
    """The region masks of the target; vertices without a counterpart belong to the eyes or the inner mouth only."""
    triangles = open_head["triangles"].astype(np.int64)
    masks = {
        name: registration.places.interpolate(values.astype(np.float64), triangles)
        for name, values in open_head.items()
        if name.startswith("mask_")
    }
    hidden = ~registration.has_place
    behind_lips = hidden * masks["mask_lips"]
    for name in masks:
        if name not in ("mask_eye_region_left", "mask_eye_region_right", "mask_eyelids", "mask_boundary"):
            masks[name] = np.where(hidden, 0, masks[name])
    masks["mask_inner_mouth"] = np.maximum(masks["mask_inner_mouth"], behind_lips)
    return {name: np.clip(values, 0, 1).astype(np.float32) for name, values in masks.items()}


def mirror_vertices(flame: FlameArrays, triangle_part: np.ndarray) -> np.ndarray:
    """(V,) the vertex nearest to each vertex's mirror image; no exact pairing, for FLAME's mesh is not symmetric."""
    part = np.zeros(len(flame.template), np.int64)
    part[flame.triangles] = triangle_part[:, None]
    other_side = np.array([0, 2, 1])
    mirror = np.arange(len(flame.template))
    for number in range(3):
        own, other = np.flatnonzero(part == number), np.flatnonzero(part == other_side[number])
        mirror[own] = other[cKDTree(flame.template[other]).query(flame.template[own] * [-1, 1, 1])[1]]
    midline = np.abs(flame.template[:, 0]) < _MIDLINE_M
    mirror[midline] = np.flatnonzero(midline)
    return mirror.astype(np.int32)
