"""Areas and normals of triangle meshes in numpy; `head_model.vertex_normals` is the one for tensors."""

from __future__ import annotations

import numpy as np
import torch

from ml_backend.head import head_model


def triangle_areas(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) areas of triangles (F,3) on vertices (V,3), in the vertices' unit squared."""
    corners = vertices[triangles]
    return 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V,3) unit normals, area-weighted; zero for vertices without triangles.

    Args:
        vertices: (V,3); triangles: (F,3), counter-clockwise from outside.
    """
    corners = torch.tensor(triangles, dtype=torch.long)
    return head_model.vertex_normals(torch.tensor(vertices)[None], corners)[0].numpy()
