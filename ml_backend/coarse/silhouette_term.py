"""The silhouette as evidence for the coarse fit: silhouette vertex re-projection (first paper, eq. 1)."""

from __future__ import annotations

import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.landmark_term import ROBUST_SCALE, LandmarkTargets, residual_scale
from ml_backend.coarse.parameters import FitParameters, linearize_points
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.tracking.landmark_topology import CONTOUR_EAR_TO_EAR


class SilhouetteTerm:
    """The contour from ear to ear: silhouette vertex re-projection.

    A contour landmark that faces the camera keeps its own point of the head; one that faces away goes to the nearest
    vertex of the head's silhouette, found from the normals' change of sign, with nose and ears left out.

    Source: first paper, eq. 1.
    """

    def __init__(self, head: HeadModel, targets: LandmarkTargets) -> None:
        self.head = head
        self.index = torch.as_tensor(CONTOUR_EAR_TO_EAR)
        self.image = targets.image[self.index]
        self.weight = targets.weight[self.index]
        self.corners = head.triangles[head.landmarks_478.triangle[self.index]]
        self.barycentric = head.landmarks_478.barycentric[self.index]
        self.edges = _candidate_edges(head)

    def __call__(self, parameters: FitParameters) -> Residuals:
        corner_index, corner_weight = self.correspondences(parameters)
        vertices, local = corner_index.unique(return_inverse=True)
        point = linearize_points(self.head.skinned.select(vertices), parameters, local, corner_weight)
        weight = self.weight * residual_scale(parameters)
        difference = (point.image - self.image) * weight[:, None]
        return Residuals(difference, point.image_by_parameters * weight[:, None, None], ROBUST_SCALE)

    def correspondences(self, parameters: FitParameters) -> tuple[torch.Tensor, torch.Tensor]:
        """Corners (17+,3) and weights of the surface point that each contour landmark goes to."""
        posed = self.head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
        normals = vertex_normals(posed, self.head.triangles)[0]
        camera = parameters.camera
        facing = (normals * camera.view_directions(posed[0])).sum(-1)
        own_facing = (facing[self.corners] * self.barycentric).sum(-1)
        edge_facing = facing[self.edges]
        changes = edge_facing[:, 0] * edge_facing[:, 1] <= 0
        silhouette = self.edges[changes].gather(1, edge_facing[changes].abs().argmin(1, keepdim=True))[:, 0].unique()
        occluded = own_facing < 0
        corners, weights = self.corners.clone(), self.barycentric.clone()
        if len(silhouette) and bool(occluded.any()):
            image = camera.project(posed[0, silhouette])[:, :2]
            nearest = silhouette[torch.cdist(self.image[occluded], image).argmin(1)]
            corners[occluded] = nearest[:, None].expand(-1, 3)
            weights[occluded] = weights.new_tensor([1.0, 0.0, 0.0])
        return corners, weights


def _candidate_edges(head: HeadModel) -> torch.Tensor:
    """(M,2) edges of the region whose silhouette the contour landmarks may lie on."""
    region = torch.zeros(head.num_vertices)
    for name in ("face", "cheeks", "chin", "forehead"):
        region = torch.maximum(region, head.masks[name])
    for name in ("nose", "ears", "lips", "eye_region_left", "eye_region_right", "inner_mouth"):
        region = region * (1 - head.masks[name])
    edges = torch.cat([head.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]).sort(1).values.unique(dim=0)
    return edges[(region[edges] > 0.5).all(1)]
