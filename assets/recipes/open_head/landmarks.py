"""The 68 iBUG landmarks on the open head, and its contour for turned heads.

Lips and eyes lie on edge loops of the mesh, brows and nose where a ray from the front meets the mean face, the contour
where the outline of the turned face lies. Checked by eye on renders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.face_loops import CONTACT, VERMILION_BORDER

CONTOUR_YAWS_DEG = tuple(range(-60, 61, 5))
_LID_EDGE_RING = 3  # ring in BaseMesh.eye_rings on the front edge of the lids

# Right brow from the outer end inwards and the nose, metres from the eye midpoint on the mean head. The brow is where
# the tracker sees its own brow points on renders of random heads (left and right averaged); bone does not fix it.
_BROW_XY = ((-0.0592, 0.0134), (-0.0526, 0.0184), (-0.0428, 0.0210), (-0.0300, 0.0199), (-0.0155, 0.0184))
_NOSE_BRIDGE_Y = (0.0010, -0.0125, -0.0255, -0.0385)
_NOSE_BASE_XY = ((-0.0140, -0.0465), (-0.0075, -0.0485), (0.0, -0.0498))
# Shares of the half width of the mouth, iBUG's spacing.
_LIP_SHARES = (0.62, 0.27)
_INNER_LIP_SHARE = 0.42
_CORNER_LOOP = 8  # in LipLoops: where the red ends at the corners
_LID_SHARES = (0.32, 0.68)  # of the way from the outer to the inner corner
_CONTOUR_TOP_Y = 0.001  # the contour begins at the height of the eyes
_OUTLINE_BACK_M = -0.060  # people mark the contour just in front of the ears; the cheek there lies this far back
# The chin's underside: a frontal view sees the outline on it, a little behind the chin's point.
_CHIN_HALF_WIDTH_M, _CHIN_UNDERSIDE_Y = 0.04, (-0.135, -0.085)
_CONTOUR_CENTRE = np.array([0.0, -0.035, -0.010])


@dataclass(frozen=True)
class Embedding:
    """Points on triangles.

    Attributes:
        triangle: (N,) int32.
        barycentric: (N, 3).
    """

    triangle: np.ndarray
    barycentric: np.ndarray

    def points(self, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Give the points (N, 3) on posed vertices (V, 3)."""
        return np.einsum("nk,nkc->nc", self.barycentric, vertices[triangles[self.triangle]])


@dataclass(frozen=True)
class Landmarks:
    """The 68 points at yaw 0 and the contour per yaw.

    Attributes:
        ibug68: 68 points.
        contour_yaw: (Y,) radians, + = the head turned to its left.
        contours: one Embedding of 17 points for each yaw.
    """

    ibug68: Embedding
    contour_yaw: np.ndarray
    contours: tuple[Embedding, ...]


def build_landmarks(base: BaseMesh, mean: np.ndarray, triangles: np.ndarray, triangle_polygon: np.ndarray) -> Landmarks:
    """Find the landmarks on the mean head.

    Args:
        base: topology.
        mean: (V, 3) metres.
        triangles: (F, 3) of the whole head.
        triangle_polygon: (F,).
    """
    finder = _SurfaceFinder(base, mean, triangles, triangle_polygon)
    contours = _contours(base, mean, triangles, finder)
    front = contours[CONTOUR_YAWS_DEG.index(0)]
    places = np.concatenate([_brow_and_nose(finder), _eyes(base, mean), _mouth(base, mean)])
    inner = finder.nearest(places)
    ibug68 = Embedding(
        np.concatenate([front.triangle, inner.triangle]).astype(np.int32),
        np.concatenate([front.barycentric, inner.barycentric]),
    )
    return Landmarks(ibug68, np.radians(np.array(CONTOUR_YAWS_DEG, float)), contours)


class _SurfaceFinder:
    """Finds points on the outer skin."""

    def __init__(self, base: BaseMesh, mean: np.ndarray, triangles: np.ndarray, triangle_polygon: np.ndarray) -> None:
        skin = base.polygon_part[triangle_polygon] == base.part_names.index("skin")
        hidden = base.inner_mouth | base.lid_inner
        self._rows = np.flatnonzero(skin & ~hidden[triangles].all(axis=1))
        self._corners = mean[triangles[self._rows]]

    def from_front(self, x: float, y: float) -> np.ndarray:
        """Give the foremost skin point (3,) at a place of the frontal view."""
        weights = _planar_barycentrics(self._corners[:, :, :2], np.array([x, y]))
        z = np.where((weights >= -1e-9).all(axis=1), (weights * self._corners[:, :, 2]).sum(axis=1), -np.inf)
        return np.array([x, y, z.max()])

    def nearest(self, places: np.ndarray) -> Embedding:
        """Embed the skin points nearest to places (N, 3)."""
        triangle, barycentric = [], []
        for place in places:
            weights = _closest_barycentrics(self._corners, place)
            distance = np.linalg.norm(np.einsum("fk,fkc->fc", weights, self._corners) - place, axis=1)
            best = int(np.argmin(distance))
            triangle.append(self._rows[best])
            barycentric.append(weights[best])
        return Embedding(np.array(triangle, np.int32), np.array(barycentric))


def _planar_barycentrics(corners: np.ndarray, place: np.ndarray) -> np.ndarray:
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]

    def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]

    area = cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-14, np.inf, area)
    weights = np.stack([cross(b - place, c - place), cross(c - place, a - place), cross(a - place, b - place)], axis=1)
    return np.where(np.isinf(area)[:, None], -1.0, weights / area[:, None])


def _closest_barycentrics(corners: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Give the barycentrics (F, 3) of each triangle's point closest to a place: inside, else on the closest edge."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, place - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    scale = np.maximum(d00 * d11 - d01 * d01, 1e-20)
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    best = np.stack([1 - v - w, v, w], axis=1)
    inside = (best >= 0).all(axis=1)
    best_distance = np.where(inside, np.linalg.norm(np.einsum("fk,fkc->fc", best, corners) - place, axis=1), np.inf)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        start, along = corners[:, first], corners[:, second] - corners[:, first]
        t = np.clip(((place - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-20), 0, 1)
        distance = np.linalg.norm(start + t[:, None] * along - place, axis=1)
        weights = np.zeros_like(best)
        weights[:, first], weights[:, second] = 1 - t, t
        closer = distance < best_distance
        best = np.where(closer[:, None], weights, best)
        best_distance = np.minimum(distance, best_distance)
    return best


def _brow_and_nose(finder: _SurfaceFinder) -> np.ndarray:
    """Give iBUG 17-35, (19, 3)."""
    brow = [finder.from_front(x, y) for x, y in _BROW_XY]
    left_brow = [finder.from_front(-x, y) for x, y in reversed(_BROW_XY)]
    bridge = [finder.from_front(0.0, y) for y in _NOSE_BRIDGE_Y]
    base = [finder.from_front(x, y) for x, y in _NOSE_BASE_XY]
    left_base = [finder.from_front(-x, y) for x, y in reversed(_NOSE_BASE_XY[:-1])]
    return np.array(brow + left_brow + bridge + base + left_base)


def _eyes(base: BaseMesh, mean: np.ndarray) -> np.ndarray:
    """Give iBUG 36-47, (12, 3), clockwise in the image: right eye from its outer corner, left from its inner corner."""
    right = _eye_points(mean[base.eye_rings[1][_LID_EDGE_RING]] * [-1, 1, 1]) * [-1, 1, 1]
    left = _eye_points(mean[base.eye_rings[0][_LID_EDGE_RING]])
    return np.concatenate([right[[0, 1, 2, 3, 4, 5]], left[[3, 2, 1, 0, 5, 4]]])


def _eye_points(ring: np.ndarray) -> np.ndarray:
    """Give outer corner, two upper points inwards, inner corner, two lower points outwards of a left eye's lid edge."""
    outer, inner = ring[np.argmax(ring[:, 0])], ring[np.argmin(ring[:, 0])]
    line = np.interp(ring[:, 0], [inner[0], outer[0]], [inner[1], outer[1]])
    points = []
    for above, shares in ((True, _LID_SHARES), (False, _LID_SHARES[::-1])):
        lid = ring[(ring[:, 1] >= line) == above]
        lid = lid[np.argsort(lid[:, 0])]
        for share in shares:
            x = outer[0] + share * (inner[0] - outer[0])
            points.append([x, np.interp(x, lid[:, 0], lid[:, 1]), np.interp(x, lid[:, 0], lid[:, 2])])
    return np.array([outer, *points[:2], inner, *points[2:]])


def _mouth(base: BaseMesh, mean: np.ndarray) -> np.ndarray:
    """Give iBUG 48-67, (20, 3)."""
    loops = base.lip_loops
    outer_corner = mean[loops.corners[_CORNER_LOOP]]
    upper, lower = mean[loops.upper[VERMILION_BORDER]], mean[loops.lower[VERMILION_BORDER]]
    wide, near = (share * outer_corner[0, 0] for share in _LIP_SHARES)
    outer = [outer_corner[1], *_at(upper, (-wide, -near, 0, near, wide)), outer_corner[0]]
    outer += _at(lower, (wide, near, 0, -near, -wide))
    inner_corner = mean[loops.corners[CONTACT]]
    third = _INNER_LIP_SHARE * inner_corner[0, 0]
    inner = [inner_corner[1], *_at(mean[loops.upper[CONTACT]], (-third, 0, third)), inner_corner[0]]
    inner += _at(mean[loops.lower[CONTACT]], (third, 0, -third))
    return np.array([*outer, *inner])


def _at(chain: np.ndarray, xs: tuple[float, ...]) -> list[np.ndarray]:
    """Interpolate a chain of points (N, 3) at given x."""
    chain = chain[np.argsort(chain[:, 0])]
    return [np.array([x, np.interp(x, chain[:, 0], chain[:, 1]), np.interp(x, chain[:, 0], chain[:, 2])]) for x in xs]


def _contours(base: BaseMesh, mean: np.ndarray, triangles: np.ndarray, finder: _SurfaceFinder) -> tuple[Embedding, ...]:
    """Follow the face's outline: the far side of a turned head moves along it, the near side stays where it was."""
    edges = _outline_edges(base, mean, triangles)
    angles = _even_angles(mean, edges)
    front = _outline(mean, edges, angles, 0.0)
    contours = []
    for degrees in CONTOUR_YAWS_DEG:
        turned = _outline(mean, edges, angles, np.radians(degrees))
        far = np.arange(17) > 8 if degrees > 0 else np.arange(17) < 8
        contours.append(finder.nearest(np.where(far[:, None], turned, front)))
    return tuple(contours)


def _outline_edges(base: BaseMesh, mean: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """List the edges (N, 2) that can be the outline: the face proper without nose and lips, which stick out of it."""
    nose_or_lips = (np.abs(mean[:, 0]) < 0.026) & (mean[:, 1] < -0.005) & (mean[:, 1] > -0.088)
    low, high = _CHIN_UNDERSIDE_Y
    under_chin = (np.abs(mean[:, 0]) < _CHIN_HALF_WIDTH_M) & (mean[:, 1] > low) & (mean[:, 1] < high) & (mean[:, 2] > 0)
    under_chin &= ~base.inner_mouth
    usable = ((base.face_mask > 0.5) | under_chin) & (mean[:, 2] > _OUTLINE_BACK_M) & ~nose_or_lips
    inside = triangles[usable[triangles].all(axis=1)]
    return np.unique(np.sort(inside[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)


def _even_angles(mean: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Give 17 directions that divide the frontal outline evenly from one side at eye height to the other."""
    dense = np.linspace(-np.pi * 1.25, np.pi * 0.25, 500)
    points = _outline(mean, edges, dense, 0.0)
    kept = points[:, 1] < _CONTOUR_TOP_Y
    dense, points = dense[kept], points[kept]
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1))]
    angles = np.interp(np.linspace(0, length[-1], 17), length, dense)
    return (angles - (np.pi + angles[::-1])) / 2  # symmetric about straight down (-pi / 2)


def _outline(mean: np.ndarray, edges: np.ndarray, angles: np.ndarray, yaw: float) -> np.ndarray:
    """Give the outermost point (N, 3) of the edges in each direction around the centre, seen after a turn."""
    turned = Rotation.from_rotvec([0.0, yaw, 0.0]).apply(mean - _CONTOUR_CENTRE)[:, :2]
    start, along = turned[edges[:, 0]], turned[edges[:, 1]] - turned[edges[:, 0]]
    points = []
    for angle in angles:
        ray = np.array([np.cos(angle), np.sin(angle)])
        across = along[:, 0] * ray[1] - along[:, 1] * ray[0]
        across = np.where(np.abs(across) < 1e-12, 1e-12, across)
        t = -(start[:, 0] * ray[1] - start[:, 1] * ray[0]) / across
        reach = (start + t[:, None] * along) @ ray
        best = int(np.argmax(np.where((t >= 0) & (t <= 1), reach, -np.inf)))
        first, second = mean[edges[best]]
        points.append(first + t[best] * (second - first))
    return np.array(points)
