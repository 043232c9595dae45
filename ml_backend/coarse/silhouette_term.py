"""The silhouette as evidence for the coarse fit: silhouette vertex re-projection (first paper, eq. 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.coarse.gauss_newton import Residuals
from ml_backend.coarse.landmark_term import ROBUST_SCALE, LandmarkTargets, residual_scale
from ml_backend.coarse.parameters import FitParameters, linearize_points
from ml_backend.coarse.view_bias import view_bias_px
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.head.skinning import SkinnedModel
from ml_backend.tracking.landmark_topology import CONTOUR_EAR_TO_EAR


@dataclass(frozen=True)
class ContourPoints:
    """The surface point that each contour landmark goes to.

    Attributes:
        corners: (N,3) vertices of the region; weights: (N,3); a silhouette vertex is a corner of weight 1.
        own: (N,) bool, the landmark's own point of the head, to which the tracker's bias by view applies.
    """

    corners: torch.Tensor
    weights: torch.Tensor
    own: torch.Tensor


@dataclass(frozen=True)
class SilhouetteRegion:
    """The part of a head that its silhouette is looked for in; a fifth of its vertices.

    Attributes:
        model: its n vertices; triangles: (F,3), all around those of the edges; edges: (M,2) that may be silhouette.
        vertices: (n,) their numbers in the head, ascending.
    """

    model: SkinnedModel
    triangles: torch.Tensor
    edges: torch.Tensor
    vertices: torch.Tensor

    def local(self, vertices: torch.Tensor) -> torch.Tensor:
        """Places in the region of the head's vertices that are in it."""
        return torch.searchsorted(self.vertices, vertices)


class SilhouetteTerm:
    """The contour from ear to ear: silhouette vertex re-projection.

    A contour landmark that faces the camera keeps its own point of the head; one that faces away goes to the nearest
    vertex of the head's silhouette, found from the normals' change of sign, with nose and ears left out.

    Source: first paper, eq. 1.
    """

    def __init__(self, head: HeadModel, targets: LandmarkTargets) -> None:
        self.index = torch.as_tensor(CONTOUR_EAR_TO_EAR)
        self.image = targets.image[self.index]
        self.weight = targets.weight[self.index]
        corners = head.triangles[head.landmarks_478.triangle[self.index]]
        self.barycentric = head.landmarks_478.barycentric[self.index]
        self.view_bias = head.landmarks_478_view_bias[self.index].to(head.skinned.template.dtype)
        self.region = silhouette_region(head, corners)
        self.corners = self.region.local(corners)

    def __call__(self, parameters: FitParameters) -> Residuals:
        contour = self.correspondences(parameters)
        model = self.region.model.select(contour.corners.flatten())
        local = torch.arange(contour.corners.numel()).reshape(contour.corners.shape)
        point = linearize_points(model, parameters, local, contour.weights)
        weight = self.weight * residual_scale(parameters)
        difference = (point.image + self.stray(parameters, contour) - self.image) * weight[:, None]
        return Residuals(difference, point.image_by_parameters * weight[:, None, None], ROBUST_SCALE)

    def contour_image(self, parameters: FitParameters) -> torch.Tensor:
        """(N,2) pixels where the fitted head has the contour landmarks."""
        contour = self.correspondences(parameters)
        posed = self.region.model.positions(parameters.shape[None], parameters.expression[None], parameters.pose[None])
        points = (posed[0, contour.corners] * contour.weights[..., None]).sum(1)
        return parameters.camera.project(points)[:, :2] + self.stray(parameters, contour)

    def stray(self, parameters: FitParameters, contour: ContourPoints) -> torch.Tensor:
        """(N,2) pixels by which the tracker strays from the contour's own points; zero at the silhouette."""
        bias = view_bias_px(self.view_bias, parameters.pose[:3], parameters.px_per_m)
        return bias * contour.own[:, None]

    def correspondences(self, parameters: FitParameters) -> ContourPoints:
        """Find the surface point that each contour landmark goes to."""
        region = self.region
        posed = region.model.positions(parameters.shape[None], parameters.expression[None], parameters.pose[None])
        normals = vertex_normals(posed, region.triangles)[0]
        camera = parameters.camera
        facing = (normals * camera.view_directions(posed[0])).sum(-1)
        own_facing = (facing[self.corners] * self.barycentric).sum(-1)
        edge_facing = facing[region.edges]
        changes = edge_facing[:, 0] * edge_facing[:, 1] <= 0
        silhouette = region.edges[changes].gather(1, edge_facing[changes].abs().argmin(1, keepdim=True))[:, 0].unique()
        occluded = (own_facing < 0).nonzero()[:, 0]
        corners, weights = self.corners.clone(), self.barycentric.clone()
        chosen = torch.ones(len(corners), dtype=torch.bool)
        if len(silhouette) and len(occluded):
            target = self.image[occluded]
            distance, nearest = torch.cdist(target, camera.project(posed[0, silhouette])[:, :2]).min(1)
            own = (posed[0, self.corners[occluded]] * self.barycentric[occluded][..., None]).sum(1)
            # under the chin the region has no silhouette; there its own point, just turned away, is the nearest
            moves = distance < (camera.project(own)[:, :2] - target).norm(dim=1)
            corners[occluded[moves]] = silhouette[nearest[moves]][:, None].expand(-1, 3)
            weights[occluded[moves]] = weights.new_tensor([1.0, 0.0, 0.0])
            chosen[occluded[moves]] = False
        return ContourPoints(corners, weights, chosen)


def silhouette_region(head: HeadModel, corners: torch.Tensor) -> SilhouetteRegion:
    """The part of a head that contour landmarks need.

    Args:
        corners: (N,3) vertices around the landmarks' own points.

    Returns:
        These, and the silhouette that the landmarks may go to, with all triangles around them.
    """
    edges = _candidate_edges(head)
    needed = torch.zeros(head.num_vertices, dtype=torch.bool)
    needed[edges] = True
    needed[corners] = True
    # the triangles around them as well, which give the normals
    triangles = head.triangles[needed[head.triangles].any(1)]
    needed[triangles] = True
    vertices = needed.nonzero()[:, 0]
    local = torch.searchsorted(vertices, triangles), torch.searchsorted(vertices, edges)
    return SilhouetteRegion(head.skinned.select(vertices), *local, vertices)


def _candidate_edges(head: HeadModel) -> torch.Tensor:
    """(M,2) edges of the region whose silhouette the contour landmarks may lie on."""
    region = torch.zeros(head.num_vertices)
    for name in ("face", "cheeks", "chin", "forehead"):
        region = torch.maximum(region, head.masks[name])
    for name in ("nose", "ears", "lips", "eye_region_left", "eye_region_right", "inner_mouth"):
        region = region * (1 - head.masks[name])
    edges = torch.cat([head.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]).sort(1).values
    edges = edges[(region[edges] > 0.5).all(1)]
    # as one number each: sorting rows takes a hundred times as long
    numbers = (edges[:, 0] * head.num_vertices + edges[:, 1]).unique()
    return torch.stack([numbers // head.num_vertices, numbers % head.num_vertices], 1)
