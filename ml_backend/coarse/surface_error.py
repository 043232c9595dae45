"""How far one neutral head lies from another: the measure of a reconstruction."""

from __future__ import annotations

import numpy as np
import torch

from ml_backend.head.closest_point import closest_points
from ml_backend.head.head_model import HeadModel


def neutral_vertices(head: HeadModel, shape: torch.Tensor) -> torch.Tensor:
    """(V,3) the neutral head of a shape (S,), metres."""
    return head.vertices(shape[None], shape.new_zeros(1, head.num_expression), shape.new_zeros(1, 15))[0]


def surface_distances(head: HeadModel, truth: np.ndarray, fitted: np.ndarray, with_scale: bool = False) -> np.ndarray:
    """Distance (N,) in metres of the face's vertices of one head (V,3) to the aligned surface of another (V,3).

    Args:
        with_scale: whether size is aligned too, which an orthographic camera cannot see.
    """
    region = (head.masks["face"] > 0.5).cpu().numpy() & (head.masks["inner_mouth"] < 0.5).cpu().numpy()
    aligned = align(fitted, fitted[region], truth[region], with_scale)
    skin = head.triangles[head.triangle_part == head.part_names.index("skin")].cpu().numpy()
    return closest_points(truth[region], aligned, skin).distance


def align(points: np.ndarray, source: np.ndarray, target: np.ndarray, with_scale: bool) -> np.ndarray:
    """Move points (V,3) by the least-squares motion from source to target (N,3).

    Source: Umeyama (1991).
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    u, singular, vh = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vh))])
    rotation = u @ np.diag(sign) @ vh
    scale = (singular * sign).sum() / ((source - source_mean) ** 2).sum() if with_scale else 1.0
    return scale * (points - source_mean) @ rotation.T + target_mean
