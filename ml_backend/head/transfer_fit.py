"""Brings one head close to another: a similarity and shape coefficients, by closest points with normals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_backend.head.transfer_surface import Surface
from ml_backend.head.triangle_geometry import vertex_normals

# Rounds of (iterations, reach): closest points further off than the reach count for little. The first reach covers
# what the eyes alone leave open (tilt, depth); the last is the model's own accuracy on other heads (DESIGN section 3).
_ROUNDS = ((6, 0.020), (6, 0.010), (8, 0.005))
_NOISE_M = 0.002  # expected point-to-plane distance of a good fit, so that shape coefficients stay near 1
_SLIDE_WEIGHT = 0.05  # of the distance along the surface against that across it: corresponding points may slide
_ANCHOR_WEIGHT = 300.0  # an eye centre counts as much as this many points of the surface
_MIN_ALIGNMENT = 0.5  # normals further apart than 60 degrees are no correspondence


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def points(self, points: np.ndarray) -> np.ndarray:
        """Move (..., 3) points."""
        return self.scale * points @ self.rotation.T + self.translation

    def offsets(self, offsets: np.ndarray) -> np.ndarray:
        """Turn and scale (..., 3) differences of points."""
        return self.scale * offsets @ self.rotation.T


@dataclass(frozen=True)
class HeadFit:
    """A head brought close to a target.

    Attributes:
        similarity: from the head's frame to the target's.
        shape: (S,) coefficients in standard deviations.
        vertices: (V,3) in the target's frame.
    """

    similarity: Similarity
    shape: np.ndarray
    vertices: np.ndarray


@dataclass(frozen=True)
class MovingHead:
    """The head that is fitted.

    Attributes:
        template: (V,3); shape_basis: (V,3,S); triangles: (F,3).
        weights: (V,) how much each vertex should meet the target's surface.
        anchors: (A,3) points that must meet given points of the target; anchor_basis: (A,3,S) their change by shape.
    """

    template: np.ndarray
    shape_basis: np.ndarray
    triangles: np.ndarray
    weights: np.ndarray
    anchors: np.ndarray
    anchor_basis: np.ndarray


def fit_head(head: MovingHead, target: Surface, target_anchors: np.ndarray) -> HeadFit:
    """Fit similarity and shape of a head to a surface.

    Args:
        head: what moves; both heads look along +Z with +Y up.
        target: the surface to meet.
        target_anchors: (A,3) where the head's anchors belong.

    Source: own derivation; iterated closest points with a point-to-plane distance and Gauss-Newton steps.
    """
    similarity = _from_anchors(head.anchors, target_anchors)
    shape = np.zeros(head.shape_basis.shape[2])
    used = np.flatnonzero(head.weights > 0)
    for iterations, reach in _ROUNDS:
        for _ in range(iterations):
            similarity, shape = _step(head, used, similarity, shape, target, target_anchors, reach)
    return HeadFit(similarity, shape, similarity.points(head.template + head.shape_basis @ shape))


def _from_anchors(anchors: np.ndarray, target_anchors: np.ndarray) -> Similarity:
    """Scale and place by the anchors' spread; both heads already look the same way."""
    spread, target_spread = (np.linalg.norm(points - points.mean(0)) for points in (anchors, target_anchors))
    scale = float(target_spread / spread)
    return Similarity(scale, np.eye(3), target_anchors.mean(0) - scale * anchors.mean(0))


def _step(
    head: MovingHead,
    used: np.ndarray,
    similarity: Similarity,
    shape: np.ndarray,
    target: Surface,
    target_anchors: np.ndarray,
    reach: float,
) -> tuple[Similarity, np.ndarray]:
    """One Gauss-Newton step with fresh closest points."""
    shaped = head.template + head.shape_basis @ shape
    placed = similarity.points(shaped)
    normals = vertex_normals(placed, head.triangles)
    match = target.closest(placed[used], normals[used])
    smooth = match.interpolate(target.vertex_normals, target.triangles)
    weight = head.weights[used] * (match.alignment > _MIN_ALIGNMENT)
    weight = weight / (1 + (match.distance / reach) ** 2) ** 2  # Geman-McClure
    jacobian = _jacobian(placed[used], head.shape_basis[used], similarity)
    across = np.einsum("nc,nck->nk", smooth, jacobian)
    gap = match.position - placed[used]
    normal_matrix = across.T @ (across * weight[:, None])
    right_side = across.T @ (weight * (gap * smooth).sum(1))
    slide = np.concatenate(
        [
            (jacobian * np.sqrt(_SLIDE_WEIGHT * weight)[:, None, None]).reshape(-1, jacobian.shape[2]),
            _anchor_rows(head, similarity, shape),
        ]
    )
    anchor_gap = target_anchors - similarity.points(head.anchors + head.anchor_basis @ shape)
    slide_gap = np.concatenate(
        [(gap * np.sqrt(_SLIDE_WEIGHT * weight)[:, None]).ravel(), np.sqrt(_ANCHOR_WEIGHT) * anchor_gap.ravel()]
    )
    normal_matrix += slide.T @ slide
    right_side += slide.T @ slide_gap
    # the prior of the shape: coefficients are standard deviations, a few hundred independent measurements speak against
    prior = np.zeros(len(normal_matrix))
    prior[7:] = _NOISE_M**2 * weight.sum() / len(shape)
    right_side[7:] -= prior[7:] * shape
    change = np.linalg.solve(normal_matrix + np.diag(prior + 1e-12), right_side)
    return _moved(similarity, change[:7]), shape + change[7:]


def _jacobian(placed: np.ndarray, basis: np.ndarray, similarity: Similarity) -> np.ndarray:
    """(N,3,7+S): translation, rotation vector, log scale, shape."""
    count = len(placed)
    centred = placed - similarity.translation
    x, y, z = centred.T
    zero = np.zeros(count)
    turn = np.stack([zero, z, -y, -z, zero, x, y, -x, zero], 1).reshape(count, 3, 3)
    shape = similarity.scale * np.einsum("ac,ncs->nas", similarity.rotation, basis)
    return np.concatenate([np.broadcast_to(np.eye(3), (count, 3, 3)), turn, centred[:, :, None], shape], 2)


def _anchor_rows(head: MovingHead, similarity: Similarity, shape: np.ndarray) -> np.ndarray:
    placed = similarity.points(head.anchors + head.anchor_basis @ shape)
    rows = _jacobian(placed, head.anchor_basis, similarity)
    return np.sqrt(_ANCHOR_WEIGHT) * rows.reshape(-1, rows.shape[2])


def _moved(similarity: Similarity, change: np.ndarray) -> Similarity:
    """Apply (translation, rotation vector, log scale) to a similarity."""
    angle = np.linalg.norm(change[3:6])
    axis = change[3:6] / max(angle, 1e-12)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return Similarity(
        similarity.scale * float(np.exp(change[6])), turn @ similarity.rotation, similarity.translation + change[:3]
    )
