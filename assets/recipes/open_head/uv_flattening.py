"""Flattens a disc-shaped piece of surface into the plane without flips and with little distortion.

The start is Tutte's embedding (every inner vertex the mean of its neighbours, the boundary on a convex outline), which
never overlaps. From there a projected Newton method lowers the symmetric Dirichlet energy |J|² + |J⁻¹|² of every
triangle; the energy is infinite where a triangle degenerates, so a line search that only goes down keeps every triangle
upright. Each triangle has its own target scale, which is how the face gets more texture than the back of the head.

Sources: W. Tutte, "How to draw a graph" (1963) for the start; the symmetric Dirichlet energy of J. Smith and
S. Schaefer, "Bijective parameterization with free boundaries" (2015); derivatives and Newton steps are own derivation.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

# Every quad is measured as its four corner triangles (both diagonals), each counted half: no diagonal is preferred, and
# a quad whose four corner triangles are upright is convex, so it stays unflipped however it is split later.
QUAD_CORNER_TRIANGLES = ((0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1))


@dataclass(frozen=True)
class Outline:
    """A box that some of the points may not leave, held by a logarithmic barrier.

    Attributes:
        lower, upper: the box; a side without limit is infinite.
        vertices: (B,) the points it holds; frozen coordinates are left alone.
        stiffness: weight of the barrier against the energy, whose weights add up to about 1.
    """

    lower: tuple[float, float]
    upper: tuple[float, float]
    vertices: NDArray[np.int64]
    stiffness: float


@dataclass(frozen=True)
class FlatteningProblem:
    """Triangles with their flattened rest shapes, in metres times target scale.

    Attributes:
        triangles: (T, 3) vertex indices.
        rest_inverse: (T, 2, 2) inverse of the rest triangle's edge matrix [p1 - p0, p2 - p0].
        weights: (T,) share of the energy.
        frozen: (N, 2) bool, coordinates that stay as they start.
        outline: where points may be, or None.
    """

    triangles: NDArray[np.int64]
    rest_inverse: NDArray[np.float64]
    weights: NDArray[np.float64]
    frozen: NDArray[np.bool_]
    outline: Outline | None = None


def corner_triangles(polygons: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Splits polygons into corner triangles.

    Args:
        polygons: (Q, 4) vertex indices, -1 as the fourth of a triangle.

    Returns:
        (T, 3) triangles: four overlapping ones of a quad, one of a triangle; (T,) the polygon each belongs to.
    """
    index = np.arange(len(polygons))
    is_quad = polygons[:, 3] >= 0
    triangles = [polygons[is_quad][:, list(corners)] for corners in QUAD_CORNER_TRIANGLES]
    triangles.append(polygons[~is_quad][:, :3])
    owners = [index[is_quad]] * len(QUAD_CORNER_TRIANGLES) + [index[~is_quad]]
    return np.concatenate(triangles), np.concatenate(owners)


def rest_triangles(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lays each 3-D triangle into the plane.

    Args:
        points: (N, 3).
        triangles: (T, 3).

    Returns:
        (T, 2, 2) matrices with the columns p1 - p0 and p2 - p0, the first along +x, counter-clockwise.
    """
    first = points[triangles[:, 1]] - points[triangles[:, 0]]
    second = points[triangles[:, 2]] - points[triangles[:, 0]]
    length = np.linalg.norm(first, axis=1)
    along = (first * second).sum(1) / length
    across = np.linalg.norm(np.cross(first, second), axis=1) / length
    return np.stack([np.stack([length, along], 1), np.stack([np.zeros_like(length), across], 1)], 1)


def tutte_embedding(
    polygons: NDArray[np.int64], boundary: NDArray[np.int64], boundary_uv: NDArray[np.float64], num_vertices: int
) -> NDArray[np.float64]:
    """Puts every inner vertex at the mean of its neighbours.

    Args:
        polygons: (Q, 4), -1 as the fourth of a triangle.
        boundary: (B,) vertices of the outline.
        boundary_uv: (B, 2) their places, a convex polygon.
        num_vertices: N; every vertex must be used by a polygon.

    Returns:
        (N, 2); every face is convex and none overlap, where the mesh is a 3-connected disc.

    Source: Tutte 1963.
    """
    edges = polygon_edges(polygons)
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacency = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(num_vertices, num_vertices))
    adjacency.data[:] = 1.0
    laplacian = (sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()
    uv = np.zeros((num_vertices, 2))
    uv[boundary] = boundary_uv
    inner = np.setdiff1d(np.arange(num_vertices), boundary)
    if len(inner):
        pull = -laplacian[inner][:, boundary] @ boundary_uv
        uv[inner] = spsolve(laplacian[inner][:, inner].tocsc(), pull).reshape(-1, 2)
    return uv


def polygon_edges(polygons: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lists the directed edges of polygons, each as often as a polygon walks along it.

    Args:
        polygons: (Q, 4), -1 as the fourth of a triangle.

    Returns:
        (E, 2).
    """
    is_quad = polygons[:, 3] >= 0
    quads, others = polygons[is_quad], polygons[~is_quad]
    edges = [quads[:, [i, (i + 1) % 4]] for i in range(4)] + [others[:, [i, (i + 1) % 3]] for i in range(3)]
    return np.concatenate(edges)


def minimise_distortion(
    problem: FlatteningProblem, start: NDArray[np.float64], iterations: int = 300, tolerance: float = 1e-12
) -> NDArray[np.float64]:
    """Lowers the weighted symmetric Dirichlet energy by projected Newton steps.

    Args:
        problem: rest shapes, weights, frozen coordinates and outline.
        start: (N, 2) without flipped triangles and inside the outline.
        iterations: the most steps.
        tolerance: stops when a step lowers the energy by less than this share.

    Returns:
        (N, 2), with every triangle still counter-clockwise.

    Raises:
        ValueError: the start has a flipped triangle or lies outside the outline.
    """
    uv = start.copy()
    energy = _energy(problem, uv)
    if not np.isfinite(energy):
        raise ValueError("the start of the flattening has a flipped triangle or leaves the outline")
    free = np.flatnonzero(~problem.frozen.ravel())
    for _ in range(iterations):
        gradient, hessian = _derivatives(problem, uv)
        step = np.zeros(uv.size)
        step[free] = spsolve(hessian[free][:, free].tocsc(), -gradient[free])
        step = step.reshape(uv.shape)
        slope = float(gradient @ step.ravel())
        length = min(1.0, 0.9 * _largest_upright_step(problem, uv, step))
        while True:
            candidate = uv + length * step
            candidate_energy = _energy(problem, candidate)
            if candidate_energy <= energy + 1e-4 * length * slope:
                break
            length *= 0.5
            if length < 1e-9:
                return uv
        gained = energy - candidate_energy
        uv, energy = candidate, candidate_energy
        if gained < tolerance * abs(energy):
            break
    return uv


def _jacobians(problem: FlatteningProblem, uv: NDArray[np.float64]) -> NDArray[np.float64]:
    corners = uv[problem.triangles]
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2)
    return edges @ problem.rest_inverse


def _determinants(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    return matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]


def _energy(problem: FlatteningProblem, uv: NDArray[np.float64]) -> float:
    jacobians = _jacobians(problem, uv)
    determinants = _determinants(jacobians)
    if determinants.min() <= 0:
        return np.inf
    squares = (jacobians**2).sum((1, 2))
    energy = float((problem.weights * squares * (1 + determinants**-2)).sum())
    for distance, _, _ in _distances_to_outline(problem, uv):
        if distance.min(initial=np.inf) <= 0:
            return np.inf
        energy -= problem.outline.stiffness * float(np.log(distance).sum())
    return energy


def _distances_to_outline(
    problem: FlatteningProblem, uv: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.int64], int]]:
    """For each finite side: distances inwards, indices into the flat variables, the sign of the inward direction."""
    outline = problem.outline
    sides = []
    for axis in range(2) if outline is not None else ():
        held = outline.vertices[~problem.frozen[outline.vertices, axis]]
        for limit, inward in ((outline.lower[axis], 1), (outline.upper[axis], -1)):
            if np.isfinite(limit):
                sides.append((inward * (uv[held, axis] - limit), 2 * held + axis, inward))
    return sides


def _derivatives(problem: FlatteningProblem, uv: NDArray[np.float64]) -> tuple[NDArray[np.float64], sparse.csr_matrix]:
    """Gradient (2N,) and a positive definite Hessian (2N, 2N): every triangle's 4 by 4 block is clamped to be so."""
    jacobians = _jacobians(problem, uv)
    flat = jacobians.reshape(-1, 4)  # f = (J00, J01, J10, J11)
    det = _determinants(jacobians)[:, None]
    squares = (flat**2).sum(1, keepdims=True)
    cofactor = flat[:, [3, 2, 1, 0]] * np.array([1.0, -1.0, -1.0, 1.0])  # the derivative of det by f
    slope = 2 * flat * (1 + det**-2) - 2 * squares * det**-3 * cofactor
    det, squares = det[:, :, None], squares[:, :, None]
    mixed = flat[:, :, None] * cofactor[:, None, :]
    det_hessian = np.fliplr(np.diag([1.0, -1.0, -1.0, 1.0]))
    blocks = (
        2 * (1 + det**-2) * np.eye(4)
        - 4 * det**-3 * (mixed + mixed.transpose(0, 2, 1))
        + 6 * squares * det**-4 * cofactor[:, :, None] * cofactor[:, None, :]
        - 2 * squares * det**-3 * det_hessian
    )
    values, vectors = np.linalg.eigh(blocks)
    blocks = (vectors * np.maximum(values, 1e-8)[:, None, :]) @ vectors.transpose(0, 2, 1)
    return _assemble(problem, slope, blocks, uv)


def _assemble(
    problem: FlatteningProblem, slope: NDArray[np.float64], blocks: NDArray[np.float64], uv: NDArray[np.float64]
) -> tuple[NDArray[np.float64], sparse.csr_matrix]:
    num_triangles = len(problem.triangles)
    # f depends on the corners linearly: J = [p1 - p0, p2 - p0] R, so dJ/dp_k = c_k R with the rows c_k below
    corner_rows = np.array([[-1.0, -1.0], [1.0, 0.0], [0.0, 1.0]]) @ problem.rest_inverse  # (T, 3, 2)
    chain = np.zeros((num_triangles, 4, 6))
    for axis in range(2):
        for corner in range(3):
            chain[:, 2 * axis : 2 * axis + 2, 2 * corner + axis] = corner_rows[:, corner]
    weights = problem.weights[:, None, None]
    local_gradient = (problem.weights[:, None] * np.einsum("tfc,tf->tc", chain, slope)).ravel()
    local_hessian = weights * (chain.transpose(0, 2, 1) @ blocks @ chain)
    variables = (2 * problem.triangles[:, :, None] + np.arange(2)).reshape(num_triangles, 6)
    gradient = np.bincount(variables.ravel(), local_gradient, minlength=uv.size)
    rows = np.repeat(variables, 6, axis=1).ravel()
    columns = np.tile(variables, (1, 6)).ravel()
    hessian = sparse.coo_matrix((local_hessian.ravel(), (rows, columns)), shape=(uv.size, uv.size)).tocsr()
    diagonal = np.zeros(uv.size)
    for distance, variables, inward in _distances_to_outline(problem, uv):
        gradient[variables] -= problem.outline.stiffness * inward / distance
        diagonal[variables] += problem.outline.stiffness / distance**2
    return gradient, (hessian + sparse.diags(diagonal)).tocsr()


def _largest_upright_step(problem: FlatteningProblem, uv: NDArray[np.float64], step: NDArray[np.float64]) -> float:
    """The largest step length before a triangle degenerates: the smallest positive root of det(J + a·dJ) = 0."""
    jacobians, changes = _jacobians(problem, uv), _jacobians(problem, step)
    constant, square = _determinants(jacobians), _determinants(changes)
    linear = _determinants(jacobians + changes) - constant - square
    discriminant = linear**2 - 4 * square * constant
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(discriminant)
        pivot = -0.5 * (linear + np.where(linear >= 0, root, -root))
        roots = np.concatenate([pivot / square, constant / pivot])
    roots = roots[np.isfinite(roots) & (roots > 0)]
    return float(roots.min(initial=np.inf))
