"""The edge loops around the mouth, as rows of the open head: what expressions, rig, masks and landmarks refer to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets.recipes.open_head.mesh_topology import QuadTopology

_RIGHT_CORNER = 24  # column of the right corner in a lip loop; the upper lip has 23 vertices between, the lower 13
# Edges of hm08 that name the closed loops around the mouth, from inside the mouth to the skin around the lips.
_LIP_LOOP_EDGES = (
    (569, 570), (552, 553), (536, 535), (420, 421), (418, 419), (416, 417), (497, 498), (414, 415), (412, 413),
    (405, 406), (368, 363), (377, 378),
)  # fmt: skip
INNER_CONTACT, CONTACT, VERMILION_BORDER, SKIN_BORDER = 3, 4, 9, 11  # positions in LipLoops.rows


@dataclass(frozen=True)
class LipLoops:
    """Closed loops around the mouth.

    Attributes:
        rows: (12, 38) vertex rows; a column is a line of edges from the inside of the mouth to the skin around it.
            Column 0 is the left corner, 1-23 the upper lip from left to right, 24 the right corner, 25-37 the lower
            lip from right to left.
        across: (12, 38) metres, x of these vertices on the base mesh: which upper point lies over which lower one.
    """

    rows: np.ndarray
    across: np.ndarray

    @property
    def corners(self) -> np.ndarray:
        """Rows of the left and the right corner, (12, 2)."""
        return self.rows[:, [0, _RIGHT_CORNER]]

    @property
    def upper(self) -> np.ndarray:
        """Rows of the upper lip, (12, 23), from left to right."""
        return self.rows[:, 1:_RIGHT_CORNER]

    @property
    def lower(self) -> np.ndarray:
        """Rows of the lower lip, (12, 13), from right to left."""
        return self.rows[:, _RIGHT_CORNER + 1 :]

    def opposite(self, loop: int) -> tuple[np.ndarray, np.ndarray]:
        """Give matrices (23, V'), (13, V') that read, at each upper (lower) vertex of a loop, the other lip's height.

        V' are the loop's own 38 columns; linear between neighbours on the base mesh.
        """
        upper, lower = np.arange(1, _RIGHT_CORNER), np.arange(_RIGHT_CORNER + 1, self.rows.shape[1])
        x = self.across[loop]
        return _reads(x, upper, np.r_[0, lower[::-1], _RIGHT_CORNER]), _reads(x, lower, np.r_[0, upper, _RIGHT_CORNER])


def _reads(x: np.ndarray, at: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Interpolate along a chain whose x falls from left to right."""
    matrix = np.zeros((len(at), len(x)))
    falling = -x[chain]
    for row, column in enumerate(at):
        after = int(np.clip(np.searchsorted(falling, -x[column]), 1, len(chain) - 1))
        before = after - 1
        span = max(falling[after] - falling[before], 1e-9)
        share = float(np.clip((-x[column] - falling[before]) / span, 0, 1))
        matrix[row, chain[before]] += 1 - share
        matrix[row, chain[after]] += share
    return matrix


def find_lip_loops(topology: QuadTopology, source_positions: np.ndarray, row_of_source: np.ndarray) -> LipLoops:
    """Walk the loops around the mouth.

    Args:
        topology: of MakeHuman's body.
        source_positions: (19158, 3) MakeHuman's base mesh.
        row_of_source: (19158,) row of the open head, -1 where a vertex was cut off.
    """
    loops = [np.array(topology.edge_loop(*edge)) for edge in _LIP_LOOP_EDGES]
    contact = loops[CONTACT]
    contact = np.roll(contact, -int(np.argmax(source_positions[contact, 0])))  # begin at the left corner
    upper_first = source_positions[contact[5], 1] > source_positions[contact[-5], 1]
    ordered = {CONTACT: contact if upper_first else np.roll(contact[::-1], 1)}
    for position in (*range(CONTACT - 1, -1, -1), *range(CONTACT + 1, len(loops))):
        beside = ordered[position + 1 if position < CONTACT else position - 1]
        ordered[position] = _along(topology, beside, loops[position])
    stacked = np.stack([ordered[position] for position in range(len(loops))])
    return LipLoops(row_of_source[stacked], source_positions[stacked, 0])


def _along(topology: QuadTopology, ordered: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Order a loop like the one beside it, each vertex next to its neighbour."""
    members = set(loop.tolist())
    return np.array([next(iter(topology.neighbours(int(vertex)) & members)) for vertex in ordered])


def close_lips(loops: LipLoops, points: np.ndarray) -> np.ndarray:
    """Bring the lips together: hm08 and its targets leave about a millimetre between them.

    Linear in the points, so it may be applied to a mean and to a basis.

    Args:
        loops: around the mouth.
        points: (..., V, 3) positions or offsets, metres.

    Returns:
        (..., V, 3) with the upper and lower lip at the same height along the contact loops; the loops beside follow.
    """
    follow = (0.3, 0.6, 1.0, 1.0, 1.0, 0.85, 0.65, 0.4, 0.2)  # how far each loop goes along, from inside out
    closed = points.copy()
    for index, amount in enumerate(follow):
        contact = INNER_CONTACT if index <= INNER_CONTACT else CONTACT
        height = points[..., loops.rows[contact], 1]
        for own, opposite in zip((loops.upper, loops.lower), loops.opposite(contact), strict=True):
            gap = height @ opposite.T.astype(points.dtype) - points[..., own[contact], 1]
            closed[..., own[index], 1] += amount * gap / 2
    return closed
