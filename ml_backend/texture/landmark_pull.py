"""Small errors of a fit drawn out of the picture, so that painted lips and lids lie on the head's lips and lids."""

from __future__ import annotations

import numpy as np
import torch

from ml_backend.head.head_model import HeadModel

# Landmarks pull the picture over the surface within about this distance.
PULL_LENGTH_M = 0.014
# The tracker's own scatter, against which a landmark's error is weighed: it is not followed to the pixel.
PULL_NOISE = 0.15
# An error beyond this (metres on the face) is a landmark gone astray, not an inexact fit.
PULL_LIMIT_M = 0.009
# Closed lips touch, and yet are pulled apart when the photo's are open: they count as this far from each other.
LIPS_APART_M = 0.030
# Cosines between normal and view from which a landmark is believed, and fully believed.
FACING_RAMP = (0.2, 0.5)
# Tracker landmarks: the first of the irises (they move with the gaze); both corners and the inner edges of the mouth.
FIRST_IRIS = 468
MOUTH_CORNERS, MOUTH_EDGES = (78, 308), (13, 14)


def landmark_pull(
    head: HeadModel, vertices: torch.Tensor, facing: torch.Tensor, projected: torch.Tensor, landmarks_px: np.ndarray
) -> torch.Tensor:
    """A smooth shift of the picture that brings the tracker's landmarks onto the head's.

    Args:
        head: for the landmarks' places on the surface and how well each is determined.
        vertices: (V, 3) posed, metres; facing: (V,); projected: (V, 2) pixels.
        landmarks_px: (478, 2).

    Returns:
        (V, 2) pixels to add to `projected`; 0 far from every trusted landmark.

    Source: own derivation; the posterior mean of a Gaussian process with an exponential kernel.
    """
    places = torch.cat([vertices, lip_side(head)[:, None] * (0.5 * LIPS_APART_M)], dim=1)
    points = head.landmarks_478.on(places[None], head.triangles)[0]
    expected = head.landmarks_478.on(projected[None], head.triangles)[0]
    turned = head.landmarks_478.on(facing[None, :, None], head.triangles)[0, :, 0]
    error = torch.as_tensor(landmarks_px, dtype=expected.dtype) - expected
    head_px = (projected - projected.mean(0)).norm(dim=-1).max() / (vertices - vertices.mean(0)).norm(dim=-1).max()
    astray = error.norm(dim=-1) / head_px / PULL_LIMIT_M
    visible = ((turned - FACING_RAMP[0]) / (FACING_RAMP[1] - FACING_RAMP[0])).clamp(0, 1)
    trust = head.landmarks_478_weight * visible / (1 + astray**4)
    trust[FIRST_IRIS:] = 0.0
    used = trust > 0.02
    noise = PULL_NOISE / trust[used]
    between = torch.exp(-torch.cdist(points[used], points[used]) / PULL_LENGTH_M)
    weights = torch.linalg.solve(between + torch.diag(noise), error[used])
    return torch.exp(-torch.cdist(places, points[used]) / PULL_LENGTH_M) @ weights


def lip_side(head: HeadModel) -> torch.Tensor:
    """1 on the upper lip, -1 on the lower, fading to 0 around the mouth; (V,)."""
    template = head.skinned.template
    marks = head.landmarks_478.on(template[None], head.triangles)[0]
    right, left = marks[MOUTH_CORNERS[0]], marks[MOUTH_CORNERS[1]]
    middle = 0.5 * (marks[MOUTH_EDGES[0]] + marks[MOUTH_EDGES[1]])
    # the line where the lips meet: a parabola through both corners and the middle
    across = (template[:, 0] - middle[0]) / (0.5 * (left - right)[0]).abs().clamp(min=1e-4)
    line = middle[1] + (0.5 * (left + right)[1] - middle[1]) * across.clamp(-1.5, 1.5) ** 2
    lips = head.masks.get("lips", torch.zeros(len(template)))
    return torch.sign(template[:, 1] - line) * lips
