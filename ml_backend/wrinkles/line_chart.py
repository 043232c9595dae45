"""Coordinates along and across a family's lines, grown over the surface from the directions in which it is compressed.

Wrinkles run across the direction of greatest compression. The head's own expressions say which that is at each place;
two coordinates are then fitted whose gradients follow it, and lines are curves of nearly constant cross coordinate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from addon.exchange.arkit import ARKIT_NAMES
from ml_backend.head.triangle_geometry import triangle_areas
from ml_backend.texture.photo_projection import smooth_step
from ml_backend.wrinkles.line_systems import LineSystem
from ml_backend.wrinkles.strain import (
    PrincipalStrains,
    TangentFrames,
    cauchy_green,
    lowest_strain,
    principal_strains,
    strain_along,
    tangent_frames,
)
from ml_backend.wrinkles.wrinkle_surface import WrinkleSurface, triangle_normals

# the patch reaches this far beyond the family's area, so that the coordinates are good at its border
PATCH_MARGIN = 1.35
# rounds in which a value is averaged with its neighbours': about 10 mm on a head of 5,000 vertices. Skin slides over
# what moves it, so that folds are felt beyond the place of the strongest strain.
DIRECTION_ROUNDS = 6
STRAIN_ROUNDS = 5
# pull of every vertex towards the plain coordinates, against the gradient's: keeps the equations solvable only
PLAIN_PULL_PER_M2 = 25.0
# A family folds when its own muscles are at work: when the strain of its patch, as a multiple of what one of its
# expressions does there (least squares), lies beyond these. Frowning and raised brows compress the glabella alike, and
# only the one folds it upright.
AT_WORK = (0.05, 0.25)


@dataclass(frozen=True)
class LineChart:
    """Coordinates of a family's area and how its compression is measured.

    Attributes:
        vertex: (P,) int64, the head's vertices of the patch.
        triangles: (F, 3) int64, indices into `vertex`.
        along_m, across_m: (P,) metres from the middle of the area; at a fan's origin, metres too.
        metres_per_across: (P,) how much longer a step is on the surface than in `across_m` (1 but in a fan).
        across_direction: (F, 3) unit direction in which the family is compressed.
        own_strains: (K, F, 3) what the family's own expressions do to the patch, as `_strain_vectors`.
        averaging: (P, F) weights that carry triangle values to vertices; neighbours: (P, P) one round of smoothing.
    """

    vertex: np.ndarray
    triangles: torch.Tensor
    along_m: np.ndarray
    across_m: np.ndarray
    metres_per_across: np.ndarray
    across_direction: torch.Tensor
    own_strains: torch.Tensor
    averaging: sparse.csr_matrix
    neighbours: sparse.csr_matrix

    def shortening(self, posed: torch.Tensor, frames: TangentFrames, system: LineSystem) -> np.ndarray:
        """How strongly the surface is shortened across the lines.

        Args:
            posed: (B, P, 3) metres, the patch's vertices; frames: of the neutral patch.
            system: the family that the chart was made for.

        Returns:
            (B, P) relative, smooth; negative where it is stretched.
        """
        tensors = cauchy_green(posed, self.triangles, frames)
        strain = strain_along(tensors, frames, self.across_direction)
        if system.amount_weight:
            strain = (1 - system.amount_weight) * strain + system.amount_weight * lowest_strain(tensors)
        at_vertices = self.averaging @ (-strain).numpy().astype(np.float64).T
        shortening = smoothed_on_patch(self.neighbours, at_vertices, STRAIN_ROUNDS).T
        return np.where(shortening > 0, shortening * self._at_work(tensors)[:, None], shortening)

    def _at_work(self, tensors: torch.Tensor) -> np.ndarray:
        """(B,) 0-1: whether the family's own muscles strain the patch, and not others that compress it too."""
        strain = _strain_vectors(tensors)
        squared = self.own_strains.square().sum((1, 2)).clamp(min=1e-12)
        share = torch.einsum("bfi,kfi->bk", strain, self.own_strains) / squared
        return smooth_step(share.amax(1).numpy().astype(np.float64), *AT_WORK)


def line_chart(system: LineSystem, surface: WrinkleSurface) -> LineChart | None:
    """Lay coordinates over a family's area; None where the head has no surface there."""
    origin = surface.place(system.origin)
    along = surface.place(system.along_to) - surface.place(system.along_from)
    vertices = surface.neutral.numpy().astype(np.float64)
    vertex, triangles, normal = _patch(system, surface, origin, along)
    if len(triangles) == 0:
        return None
    patch = vertices[vertex]
    averaging = _vertex_means(patch, triangles)
    neighbours = _neighbour_means(len(vertex), triangles)
    normals = triangle_normals(patch, triangles)
    flat, across = _anatomy_directions(system, surface, patch, triangles, along, normal)
    tensors, frames = _own_tensors(system, surface, vertex, triangles)
    strains = principal_strains(tensors, frames)
    across = _strain_directions(system, strains, triangles, across, averaging, neighbours)
    across = _in_plane(across, normals)
    along_field = system.side * np.cross(across, normals)
    length = _across_length(system, surface, patch[triangles].mean(1), origin)
    gradients = np.stack([along_field, across / length[:, None]], -1)
    along_m, across_m = _integrated(patch, triangles, gradients, flat).T
    weights = _near(patch, origin)
    return LineChart(
        vertex=vertex,
        triangles=torch.from_numpy(triangles),
        along_m=along_m - weights @ along_m,
        across_m=across_m - weights @ across_m,
        metres_per_across=averaging @ length,
        across_direction=torch.from_numpy(across).float(),
        own_strains=_strain_vectors(tensors),
        averaging=averaging,
        neighbours=neighbours,
    )


def patch_frames(chart: LineChart, surface: WrinkleSurface) -> TangentFrames:
    """Frames of the neutral patch's triangles."""
    return tangent_frames(surface.neutral[torch.from_numpy(chart.vertex)], chart.triangles)


def _patch(
    system: LineSystem, surface: WrinkleSurface, origin: np.ndarray, along: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (P,), triangles (F, 3) into them, and the area's mean normal (3,)."""
    centres, normals = surface.centres, surface.normals
    reach = max(min(system.half_along_m, system.half_across_m), 0.008)
    weight = np.exp(-0.5 * ((centres - origin) ** 2).sum(1) / reach**2)
    # the surface may be doubled (inner lips, nostrils): outward is away from the middle of the head
    weight = weight * ((normals * (centres - surface.middle)).sum(1) > 0)
    normal = (weight[:, None] * normals).sum(0)
    normal = normal / max(np.linalg.norm(normal), 1e-12)
    first = along - (along @ normal) * normal
    first = first / np.linalg.norm(first)
    offset = centres - origin
    inside = (np.abs(offset @ first) < PATCH_MARGIN * system.half_along_m + 0.004) & (
        np.abs(offset @ np.cross(normal, first)) < PATCH_MARGIN * system.half_across_m + 0.004
    )
    inside &= (np.abs(offset @ normal) < system.reach_depth_m) & (normals @ normal > -0.05)
    triangles = surface.triangles.numpy()
    chosen = _largest_piece(triangles, inside, centres, origin)
    vertex, renumbered = np.unique(triangles[chosen], return_inverse=True)
    return vertex, renumbered.reshape(-1, 3), normal


def _largest_piece(triangles: np.ndarray, inside: np.ndarray, centres: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Indices of the chosen triangles that hang together with the one nearest to the origin."""
    chosen = np.flatnonzero(inside)
    if len(chosen) == 0:
        return chosen
    corners = triangles[chosen].reshape(-1)
    rows = np.repeat(np.arange(len(chosen)), 3)
    incidence = sparse.csr_matrix((np.ones(len(corners)), (rows, corners)))
    _, piece = connected_components(incidence @ incidence.T, directed=False)
    nearest = ((centres[chosen] - origin) ** 2).sum(1).argmin()
    return chosen[piece == piece[nearest]]


def _in_plane(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Unit vectors (F, 3) in the planes of unit normals."""
    flat = vectors - (vectors * normals).sum(-1, keepdims=True) * normals
    return flat / np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)


def _anatomy_directions(
    system: LineSystem,
    surface: WrinkleSurface,
    patch: np.ndarray,
    triangles: np.ndarray,
    along: np.ndarray,
    normal: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Plain coordinates (2, P) along and across, and the direction across (F, 3), by anatomy alone."""
    origin = surface.place(system.origin)
    first = _in_plane(along[None], normal[None])[0]
    second = system.side * np.cross(normal, first)
    flat = np.stack([(patch - origin) @ first, (patch - origin) @ second])
    directions = np.broadcast_to(first, (len(triangles), 3))
    if system.fan_centre is not None:
        directions = patch[triangles].mean(1) - surface.place(system.fan_centre)
    normals = triangle_normals(patch, triangles)
    return flat, system.side * np.cross(normals, _in_plane(directions, normals))


def _own_tensors(
    system: LineSystem, surface: WrinkleSurface, vertex: np.ndarray, triangles: np.ndarray
) -> tuple[torch.Tensor, TangentFrames]:
    """(K, F, 2, 2) Cauchy-Green tensors of the family's expressions, and the frames they stand in."""
    index = torch.tensor([ARKIT_NAMES.index(name) for name in system.expressions])
    chosen, corners = torch.from_numpy(vertex), torch.from_numpy(triangles)
    neutral = surface.neutral[chosen]
    frames = tangent_frames(neutral, corners)
    return cauchy_green(neutral + surface.arkit_keys[index][:, chosen], corners, frames), frames


def _strain_vectors(tensors: torch.Tensor) -> torch.Tensor:
    """(..., 3) the entries of C - I, so that the dot product is that of the tensors."""
    shear = 2**0.5 * tensors[..., 0, 1]
    return torch.stack([tensors[..., 0, 0] - 1, shear, tensors[..., 1, 1] - 1], -1)


def _strain_directions(
    system: LineSystem,
    strains: PrincipalStrains,
    triangles: np.ndarray,
    anatomy: np.ndarray,
    averaging: sparse.csr_matrix,
    neighbours: sparse.csr_matrix,
) -> np.ndarray:
    """(F, 3) direction across the lines: the greatest compression's, drawn towards anatomy's, smooth."""
    weight = strains.low.clamp(-0.5, 0) ** 2
    evidence = torch.einsum("bf,bfi,bfj->fij", weight, strains.low_direction, strains.low_direction).numpy()
    strength = max(float(np.trace(evidence, axis1=1, axis2=2).mean()), 1e-6)
    prior = system.anatomy_weight * strength * anatomy[:, :, None] * anatomy[:, None, :]
    tensors = averaging @ (evidence + prior).reshape(len(triangles), 9)
    tensors = smoothed_on_patch(neighbours, tensors, DIRECTION_ROUNDS)[triangles].mean(1).reshape(-1, 3, 3)
    direction = np.linalg.eigh(tensors)[1][:, :, 2]
    return direction * np.where((direction * anatomy).sum(1, keepdims=True) < 0, -1.0, 1.0)


def _across_length(system: LineSystem, surface: WrinkleSurface, centres: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(F,) metres on the surface for one in the chart across the lines: grows with the distance in a fan."""
    if system.fan_centre is None:
        return np.ones(len(centres))
    centre = surface.place(system.fan_centre)
    distance = np.linalg.norm(centres - centre, axis=1) / np.linalg.norm(origin - centre)
    return np.clip(distance, 0.35, 3.0)


def _integrated(patch: np.ndarray, triangles: np.ndarray, gradient: np.ndarray, plain: np.ndarray) -> np.ndarray:
    """(P, 2) the coordinates whose gradients come closest to the given ones (F, 3, 2) by least squares.

    Args:
        patch, triangles: the surface; plain: (2, P) plain coordinates, which hold what the gradients leave open.
    """
    a, b, c = (patch[triangles[:, corner]] for corner in range(3))
    normals = triangle_normals(patch, triangles)
    area = np.maximum(triangle_areas(patch, triangles), 1e-12)
    # gradient of each corner's hat function: the opposite edge turned by a right angle, over twice the area
    hats = np.stack([np.cross(normals, edge) for edge in (c - b, a - c, b - a)], 1) / (2 * area)[:, None, None]
    rows = np.repeat(np.arange(3 * len(triangles)), 3)
    columns = np.repeat(triangles[:, None, :], 3, 1).reshape(-1)
    shape = (3 * len(triangles), len(patch))
    operator = sparse.csr_matrix((hats.transpose(0, 2, 1).reshape(-1), (rows, columns)), shape)
    weighted = operator.copy()
    weighted.data *= np.repeat(area, 9)
    mass = np.bincount(triangles.reshape(-1), np.repeat(area / 3, 3), len(patch)) * PLAIN_PULL_PER_M2
    matrix = operator.T @ weighted + sparse.diags(mass)
    right = weighted.T @ gradient.reshape(-1, 2) + mass[:, None] * plain.T
    return splu(matrix.tocsc()).solve(right)


def _vertex_means(patch: np.ndarray, triangles: np.ndarray) -> sparse.csr_matrix:
    """(P, F) area-weighted means of the triangles around each vertex."""
    area = np.repeat(np.maximum(triangle_areas(patch, triangles), 1e-12), 3)
    rows, columns = triangles.reshape(-1), np.repeat(np.arange(len(triangles)), 3)
    total = np.bincount(rows, area, len(patch))
    return sparse.csr_matrix((area / total[rows], (rows, columns)), (len(patch), len(triangles)))


def _neighbour_means(count: int, triangles: np.ndarray) -> sparse.csr_matrix:
    """(P, P) one round of averaging: a vertex and its neighbours, itself as heavy as all of them."""
    rows = np.concatenate([triangles[:, k] for k in (0, 1, 2, 1, 2, 0)])
    columns = np.concatenate([triangles[:, k] for k in (1, 2, 0, 0, 1, 2)])
    share = 0.5 / np.bincount(rows, minlength=count)
    itself = np.arange(count)
    data = np.concatenate([share[rows], np.full(count, 0.5)])
    places = (np.concatenate([rows, itself]), np.concatenate([columns, itself]))
    return sparse.csr_matrix((data, places), (count, count))


def smoothed_on_patch(neighbours: sparse.csr_matrix, values: np.ndarray, rounds: int) -> np.ndarray:
    """Values (P, C) after rounds of averaging with their neighbours'."""
    for _ in range(rounds):
        values = neighbours @ values
    return values


def _near(patch: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """(P,) weights of the vertices nearest to a point, summing to 1."""
    squared = ((patch - origin) ** 2).sum(1)
    weights = np.exp(-0.5 * squared / max(0.003, 1.2 * np.sqrt(squared.min())) ** 2)
    return weights / weights.sum()
