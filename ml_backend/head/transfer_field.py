"""Carries values of the open head's vertices, such as displacements, to a head that it is laid on."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from addon.exchange.conventions import JOINT_NAMES
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.transfer_registration import PART_NAMES, Registration

_SOCKET_RADII = 1.3  # skin within so many radii of an eyeball's centre and without a counterpart is the eye's socket
# How much a socket's vertex holds on to zero, against one neighbour's pull: lids must not drag the socket through the
# eyeball. At 1 a displacement halves with every other ring of vertices.
_SOCKET_HOLD = 1.0


def carry_field(
    flame: FlameArrays, open_head: dict[str, np.ndarray], registration: Registration, values: np.ndarray
) -> np.ndarray:
    """Values of the open head's vertices at the target's vertices.

    Vertices without a counterpart take the mean of their neighbours, so that the back of the lips follows the lips;
    in the eye sockets values fade away.

    Args:
        values: (V_open, ...).

    Returns:
        (V, ...).
    """
    carried = registration.places.interpolate(values.astype(np.float64), open_head["triangles"].astype(np.int64))
    skin = np.unique(flame.triangles[registration.triangle_part == 0])
    hidden = skin[~registration.has_place[skin]]
    if not len(hidden):
        return carried
    neighbours = _neighbours(flame)[hidden]
    hold = np.where(_in_socket(flame, registration, hidden), _SOCKET_HOLD, 0.0)
    degree = np.asarray(neighbours.sum(1)).ravel()
    system = sparse.diags(degree + hold + 1e-9) - neighbours[:, hidden]
    flat = carried.reshape(len(carried), -1)
    flat[hidden] = 0
    flat[hidden] = splu(system.tocsc()).solve(neighbours @ flat)
    return flat.reshape(carried.shape)


def _neighbours(flame: FlameArrays) -> sparse.csr_matrix:
    """(V,V) 1 for each edge of the mesh."""
    corners = flame.triangles.astype(np.int64)
    start, end = corners.ravel(), np.roll(corners, -1, 1).ravel()
    count = len(flame.template)
    links = sparse.coo_matrix((np.ones(len(start)), (start, end)), (count, count)).tocsr()
    return ((links + links.T) > 0).astype(np.float64).tocsr()


def _in_socket(flame: FlameArrays, registration: Registration, vertices: np.ndarray) -> np.ndarray:
    """(N,) bool for vertices (N,)."""
    inside = np.zeros(len(vertices), bool)
    for name in ("left_eye", "right_eye"):
        centre = flame.joints[JOINT_NAMES.index(name)]
        ball = flame.template[np.unique(flame.triangles[registration.triangle_part == PART_NAMES.index(name)])]
        radius = np.linalg.norm(ball - centre, axis=1).mean()
        inside |= np.linalg.norm(flame.template[vertices] - centre, axis=1) < _SOCKET_RADII * radius
    return inside
