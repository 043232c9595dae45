"""Lays the open head on another head once, so that everything known of the one can be said of the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from addon.exchange.conventions import JOINT_NAMES
from addon.exchange.errors import HeadFileError
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.transfer_deformation import lay_skin, match_loops, neck_loop
from ml_backend.head.transfer_fit import HeadFit, MovingHead, Similarity, fit_head
from ml_backend.head.transfer_surface import Surface, SurfacePosition
from ml_backend.head.transfer_uv import largest_island
from ml_backend.head.triangle_geometry import vertex_normals

PART_NAMES = ("skin", "left_eye", "right_eye")
# How much each region of the open head speaks for where the head lies; what is not named counts for nothing.
_FIT_WEIGHT = {"face": 1.0, "forehead": 1.0, "scalp": 0.5, "ears": 0.5, "neck": 0.2, "boundary": 0.0}
# Beyond this distance or angle a vertex has no counterpart on the open head: eye sockets, the back of the lips.
_MAX_DISTANCE_M = 0.004
_MIN_ALIGNMENT = 0.2


@dataclass(frozen=True)
class Registration:
    """The open head laid on a target.

    Attributes:
        triangle_part: (F,) part of each of the target's triangles, as in PART_NAMES.
        open_part: (F_open,) the same for the open head's triangles, -1 for teeth, tongue and lashes.
        similarity: from the open head's frame to the target's; offsets travel with it.
        shape: (S,) the open head's coefficients that come closest to the target.
        laid: (V_open,3) the open head's vertices on the target; teeth and tongue only moved along.
        charts: for each part, the open head's triangles that the target's part may refer to.
        places: where each of the target's V vertices lies on the laid open head.
        has_place: (V,) bool: the vertex has a counterpart.
    """

    triangle_part: np.ndarray
    open_part: np.ndarray
    similarity: Similarity
    shape: np.ndarray
    laid: np.ndarray
    charts: tuple[np.ndarray, ...]
    places: SurfacePosition
    has_place: np.ndarray


def register(flame: FlameArrays, open_head: dict[str, np.ndarray], part_names: list[str]) -> Registration:
    """Lay the open head on a FLAME template.

    Args:
        flame: the target.
        open_head: arrays of the open head's file; part_names: its parts.

    Raises:
        HeadFileError: the target has no eyeballs.
    """
    triangle_part = flame_parts(flame)
    triangles = open_head["triangles"].astype(np.int64)
    number = np.array([PART_NAMES.index(name) if name in PART_NAMES else -1 for name in part_names])
    open_part = number[open_head["polygon_part"][open_head["triangle_polygon"]]]
    of_part = [np.flatnonzero(open_part == part) for part in range(len(PART_NAMES))]
    skin = Surface(flame.template, flame.triangles, np.flatnonzero(triangle_part == 0))
    fit = fit_head(_moving_head(open_head, triangles, of_part), skin, flame.joints[3:])
    laid = _lay_parts(fit, flame, triangle_part, triangles, of_part, open_head, skin)
    outer = largest_island(laid, triangles[of_part[0]], open_head["uv_triangles"][of_part[0]])
    charts = (of_part[0][outer], of_part[1], of_part[2])
    places = _places(flame, triangle_part, laid, triangles, charts)
    has_place = (places.distance < _MAX_DISTANCE_M) & (places.alignment > _MIN_ALIGNMENT)
    return Registration(triangle_part, open_part, fit.similarity, fit.shape, laid, charts, places, has_place)


def flame_parts(flame: FlameArrays) -> np.ndarray:
    """(F,) 0 for skin, 1 for the left and 2 for the right eyeball: connected pieces that move with an eye joint.

    Raises:
        HeadFileError: there is no piece for an eye.
    """
    corners = flame.triangles.astype(np.int64)
    count = len(flame.template)
    links = sparse.coo_matrix(
        (np.ones(corners.size), (corners.ravel(), np.roll(corners, 1, 1).ravel())), (count, count)
    )
    label = connected_components(links, directed=False)[1]
    part = np.zeros(count, np.int64)
    for piece in np.unique(label[corners]):
        members = label == piece
        joint = JOINT_NAMES[flame.skinning_weights[members].mean(0).argmax()]
        if joint in PART_NAMES:
            part[members] = PART_NAMES.index(joint)
    if not {1, 2} <= set(part.tolist()):
        raise HeadFileError("not_flame", f"{flame.file_name} has no eyeballs of its own.", "Choose FLAME's model file.")
    return part[corners[:, 0]]


def _moving_head(open_head: dict[str, np.ndarray], triangles: np.ndarray, of_part: list[np.ndarray]) -> MovingHead:
    weights = _contact_weights(open_head, triangles[of_part[0]], _FIT_WEIGHT)
    regressor = open_head["joint_regressor"][3:].astype(np.float64)
    basis = open_head["shape_basis"].astype(np.float64)
    template = open_head["template"].astype(np.float64)
    return MovingHead(
        template, basis, triangles, weights, regressor @ template, np.einsum("av,vcs->acs", regressor, basis)
    )


def _contact_weights(open_head: dict[str, np.ndarray], skin: np.ndarray, by_region: dict[str, float]) -> np.ndarray:
    """(V,) how much each vertex must meet the target: none for the inner mouth and for all but skin."""
    weights = np.zeros(len(open_head["template"]))
    for region, weight in by_region.items():
        np.maximum(weights, weight * open_head[f"mask_{region}"], out=weights)
    weights *= 1 - open_head["mask_inner_mouth"]
    outside = np.ones(len(weights), bool)
    outside[skin] = False
    weights[outside] = 0
    return weights


def _lay_parts(
    fit: HeadFit,
    flame: FlameArrays,
    triangle_part: np.ndarray,
    triangles: np.ndarray,
    of_part: list[np.ndarray],
    open_head: dict[str, np.ndarray],
    skin: Surface,
) -> np.ndarray:
    """The open head's vertices, skin and eyes on the target's."""
    own_skin = triangles[of_part[0]]
    contact = (_contact_weights(open_head, own_skin, dict.fromkeys(_FIT_WEIGHT, 1.0)) > 0).astype(np.float64)
    own_loop = neck_loop(fit.vertices, own_skin)
    loop = neck_loop(flame.template, flame.triangles[triangle_part == 0])
    pins = match_loops(fit.vertices, own_loop, flame.template, loop)
    laid = lay_skin(fit.vertices, own_skin, contact, skin, own_loop, pins)
    for part in (1, 2):
        own = np.unique(triangles[of_part[part]])
        ball = np.flatnonzero(triangle_part == part)
        laid[own] = _lay_ball(open_head["template"][own], flame.template[np.unique(flame.triangles[ball])], flame, ball)
    return laid


def _lay_ball(own: np.ndarray, target: np.ndarray, flame: FlameArrays, ball: np.ndarray) -> np.ndarray:
    """An eyeball on another one: the same direction from the centre; both look straight ahead at rest."""
    own_centre, centre = ((points.min(0) + points.max(0)) / 2 for points in (own, target))
    direction = own - own_centre
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = np.linalg.norm(target - centre, axis=1).mean()
    return Surface(flame.template, flame.triangles, ball).closest(centre + radius * direction).position


def _places(
    flame: FlameArrays,
    triangle_part: np.ndarray,
    laid: np.ndarray,
    triangles: np.ndarray,
    charts: tuple[np.ndarray, ...],
) -> SurfacePosition:
    """Where each vertex of the target lies on the laid open head, part by part."""
    count = len(flame.template)
    normals = vertex_normals(flame.template, flame.triangles)
    triangle, barycentric = np.zeros(count, np.int64), np.zeros((count, 3))
    position, distance, alignment = np.zeros((count, 3)), np.full(count, np.inf), np.zeros(count)
    for part, chart in enumerate(charts):
        members = np.unique(flame.triangles[triangle_part == part])
        found = Surface(laid, triangles, chart).closest(flame.template[members], normals[members])
        triangle[members], barycentric[members] = found.triangle, found.barycentric
        position[members], distance[members], alignment[members] = found.position, found.distance, found.alignment
    return SurfacePosition(triangle, barycentric, position, distance, alignment)
