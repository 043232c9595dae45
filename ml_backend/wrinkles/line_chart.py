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
# Muscles are at work beyond these strengths, as least squares find them; below, others are mistaken for them.
AT_WORK = (0.05, 0.25)
# Shapes that move a patch by less than this take no part in explaining its strain.
MOVES_M = 0.0005
# Ridge of the least squares for the strengths, as part of each shape's own squared strain: smaller, and shapes that
# strain a patch alike are told apart by noise; larger, and they share what one of them does.
STRENGTH_RIDGE = 0.002
# the strength that least squares may find of a shape at a half, where its strain grows like a line (1/2) to a square
# (1/4) and noise lets it seem a little more
HALF_FOUND = (0.25, 0.65)


@dataclass(frozen=True)
class LineChart:
    """Coordinates of a family's area and how its compression is measured.

    Attributes:
        vertex: (P,) int64, the head's vertices of the patch.
        triangles: (F, 3) int64, indices into `vertex`.
        along_m, across_m: (P,) metres from the middle of the area; at a fan's origin, metres too.
        metres_per_across: (P,) how much longer a step is on the surface than in `across_m` (1 but in a fan).
        across_direction: (F, 3) unit direction in which the family is compressed.
        own_shortening: (K, P) how much the family's own expressions, in its order, shorten the surface across the
            lines, relative, smooth, >= 0; the more of what they do at a half and at 1, for a linear key that turns the
            surface shortens it on its way and stretches it at its end (by the square of the turn).
        strengths_of_strain: (K, 3 F) from the patch's strain to the strengths of those expressions, exact at 0 and 1.
        strength_exponent: (K,) makes them exact at a half too: strain is not linear in a key.
        averaging: (P, F) weights that carry triangle values to vertices; neighbours: (P, P) one round of smoothing.
    """

    vertex: np.ndarray
    triangles: torch.Tensor
    along_m: np.ndarray
    across_m: np.ndarray
    metres_per_across: np.ndarray
    across_direction: torch.Tensor
    own_shortening: np.ndarray
    strengths_of_strain: torch.Tensor
    strength_exponent: np.ndarray
    averaging: sparse.csr_matrix
    neighbours: sparse.csr_matrix

    def shortening(self, posed: torch.Tensor, frames: TangentFrames, system: LineSystem) -> Shortening:
        """How strongly the surface is shortened across the lines, and what of it the family's own muscles do.

        Args:
            posed: (B, P, 3) metres, the patch's vertices; frames: of the neutral patch.
            system: the family that the chart was made for.
        """
        tensors = cauchy_green(posed, self.triangles, frames)
        found = _strengths(tensors, self.strengths_of_strain)
        at_work = found**self.strength_exponent * smooth_step(found, *AT_WORK)
        measured = _across_shortening(tensors, frames, self.across_direction, system.amount_weight)
        smooth = smoothed_on_patch(self.neighbours, self.averaging @ measured.T, STRAIN_ROUNDS).T
        return Shortening(at_work @ self.own_shortening, smooth)


@dataclass(frozen=True)
class Shortening:
    """Relative shortening across a family's lines, smooth.

    Attributes:
        by_muscles: (B, P) >= 0, what the family's own muscles do: their strengths times what each does alone.
        measured: (B, P) of the surface, whatever moves it; negative where it is stretched.
    """

    by_muscles: np.ndarray
    measured: np.ndarray


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
    moving, own = _moving_shapes(system, surface, vertex)
    chosen = torch.from_numpy(vertex)
    neutral, keys = surface.neutral[chosen], surface.arkit_keys[torch.from_numpy(moving)][:, chosen]
    frames = tangent_frames(neutral, torch.from_numpy(triangles))
    tensors = cauchy_green(neutral + keys, torch.from_numpy(triangles), frames)
    strains = principal_strains(tensors[own], frames)
    across = _strain_directions(system, strains, triangles, across, averaging, neighbours)
    across = _in_plane(across, normals)
    along_field = system.side * np.cross(across, normals)
    length = _across_length(system, surface, patch[triangles].mean(1), origin)
    gradients = np.stack([along_field, across / length[:, None]], -1)
    along_m, across_m = _integrated(patch, triangles, gradients, flat).T
    weights = _near(patch, origin)
    direction = torch.from_numpy(across).float()
    strengths_of_strain = _strengths_of_strain(_strain_vectors(tensors).flatten(1), own)
    half = cauchy_green(neutral + 0.5 * keys[own], torch.from_numpy(triangles), frames)
    found = _strengths(half, strengths_of_strain).diagonal().clip(*HALF_FOUND)
    own_shortening = np.zeros((len(own), len(vertex)))
    for on_the_way in (half, tensors[own]):
        shortening = averaging @ _across_shortening(on_the_way, frames, direction, system.amount_weight).T
        own_shortening = np.maximum(own_shortening, smoothed_on_patch(neighbours, shortening, STRAIN_ROUNDS).T)
    return LineChart(
        vertex=vertex,
        triangles=torch.from_numpy(triangles),
        along_m=along_m - weights @ along_m,
        across_m=across_m - weights @ across_m,
        metres_per_across=averaging @ length,
        across_direction=direction,
        own_shortening=own_shortening,
        strengths_of_strain=strengths_of_strain,
        strength_exponent=np.log(0.5) / np.log(found),
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
    offset = centres - origin
    # the surface may be doubled (inner lips, nostrils): outward is away from the middle of the head
    weight = np.exp(-0.5 * np.einsum("fi,fi->f", offset, offset) / reach**2) * surface.outward
    normal = weight @ normals
    normal = normal / max(np.linalg.norm(normal), 1e-12)
    first = along - (along @ normal) * normal
    first = first / np.linalg.norm(first)
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


def _moving_shapes(system: LineSystem, surface: WrinkleSurface, vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(M,) ARKit shapes that move the patch, and where among them the family's own ones stand, in its order."""
    own = [ARKIT_NAMES.index(name) for name in system.expressions]
    moves = surface.key_lengths[:, torch.from_numpy(vertex)].amax(1).numpy() > MOVES_M
    moves[own] = True
    moving = np.flatnonzero(moves)
    return moving, np.searchsorted(moving, own)


def _across_shortening(
    tensors: torch.Tensor, frames: TangentFrames, direction: torch.Tensor, amount_weight: float
) -> np.ndarray:
    """(B, F) relative shortening of Cauchy-Green tensors (B, F, 2, 2) across the lines; < 0: stretch."""
    strain = strain_along(tensors, frames, direction)
    if amount_weight:
        strain = (1 - amount_weight) * strain + amount_weight * lowest_strain(tensors)
    return (-strain).numpy().astype(np.float64)


def _strengths(tensors: torch.Tensor, strengths_of_strain: torch.Tensor) -> np.ndarray:
    """(B, K) >= 0, the strengths of the family's own shapes in Cauchy-Green tensors (B, F, 2, 2)."""
    return (_strain_vectors(tensors).flatten(1) @ strengths_of_strain.T).numpy().astype(np.float64).clip(min=0)


def _strengths_of_strain(strains: torch.Tensor, own: np.ndarray) -> torch.Tensor:
    """(K, 3 F) the part of the least squares' solution that gives the strengths of the family's own shapes.

    Every shape that moves the patch takes part, so that none is mistaken for another: frowning and raised brows both
    compress the glabella, and only the one folds it upright.

    Args:
        strains: (M, 3 F) of the shapes at 1; own: (K,) of them the family's.
    """
    sizes = strains.double().norm(dim=1, keepdim=True).clamp(min=1e-6)
    unit = strains.double() / sizes
    solution = torch.linalg.solve(unit @ unit.T + STRENGTH_RIDGE * torch.eye(len(unit)), unit)[own] / sizes[own]
    # the ridge makes them too small: a shape alone at 1 has the strength 1
    alone = (solution * strains[own].double()).sum(1, keepdim=True)
    return (solution / alone.clamp(min=1e-3)).float()


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
