"""The vertices that the coarse losses need: landmarks, contour, silhouette, and a thinned face."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from ml_backend.coarse.silhouette_term import silhouette_region
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import SkinnedModel, rotation_matrices
from ml_backend.learned.head_code import HeadCode
from ml_backend.tracking.landmark_topology import NUM_CONTOUR, OUTER_EYE_CORNERS

# every third vertex of the face stands for it: 5 mm apart, and shapes are smoother than that
FACE_STRIDE = 3


@dataclass(frozen=True)
class BoundLandmarks:
    """Points on a surface: (..., 3) vertices around each, and their weights."""

    corners: torch.Tensor
    weights: torch.Tensor

    def on(self, vertices: torch.Tensor) -> torch.Tensor:
        """(B, ..., 3) where they lie on vertices (B,N,3)."""
        return (vertices[:, self.corners] * self.weights[..., None]).sum(-2)

    def to(self, device: torch.device | str) -> BoundLandmarks:
        """The same on another device."""
        return BoundLandmarks(self.corners.to(device), self.weights.to(device))


@dataclass(frozen=True)
class CoarseSurface:
    """A head reduced to N vertices; all indices count these.

    Attributes:
        model: their geometry.
        face: (M,) a thinned face.
        landmarks_68, landmarks_478: embeddings; landmarks_478_weight: (478,); landmarks_478_view_bias: (478,2,5).
        contour: (Y,17) embedding of the contour by yaw; contour_yaw: (Y,) radians.
        silhouette_triangles: (F,3) that give the normals of the silhouette's region; silhouette_edges: (E,2) that may
            be silhouette; silhouette_vertices: (K,) their ends.
    """

    model: SkinnedModel
    face: torch.Tensor
    landmarks_68: BoundLandmarks
    landmarks_478: BoundLandmarks
    landmarks_478_weight: torch.Tensor
    landmarks_478_view_bias: torch.Tensor
    contour: BoundLandmarks
    contour_yaw: torch.Tensor
    silhouette_triangles: torch.Tensor
    silhouette_edges: torch.Tensor
    silhouette_vertices: torch.Tensor

    def vertices(self, code: HeadCode) -> torch.Tensor:
        """(B,N,3) posed, metres."""
        return self.model.positions(code.shape, code.expression, code.pose)

    def neutral_face(self, shape: torch.Tensor) -> torch.Tensor:
        """(B,M,3) metres: the thinned face at rest, for shapes (B,S)."""
        basis = self.model.shape_basis[self.face]
        return self.model.template[self.face] + torch.einsum("bs,mcs->bmc", shape, basis)

    def eye_distance(self, code: HeadCode) -> torch.Tensor:
        """(B,) half crops between the outer eye corners, in three dimensions."""
        corners = self.landmarks_68.on(self.vertices(code))[:, list(OUTER_EYE_CORNERS)]
        return (corners[:, 0] - corners[:, 1]).norm(dim=-1) * code.camera[:, 0]

    def contour_at_yaw(self, vertices: torch.Tensor, pose: torch.Tensor) -> torch.Tensor:
        """(B,17,3) the contour's points of the table's entry nearest to each head's yaw.

        Args:
            vertices: (B,N,3); pose: (B,15).
        """
        entry = (yaw_of(pose)[:, None] - self.contour_yaw).abs().argmin(1)
        corners = self.contour.corners[entry]
        batch = torch.arange(len(vertices), device=vertices.device)[:, None, None]
        return (vertices[batch, corners] * self.contour.weights[entry][..., None]).sum(-2)

    def to(self, device: torch.device | str) -> CoarseSurface:
        """The same on another device."""
        moved = {field.name: getattr(self, field.name).to(device) for field in fields(self) if field.name != "model"}
        return CoarseSurface(model=skinned_on(self.model, device), **moved)


def skinned_on(model: SkinnedModel, device: torch.device | str) -> SkinnedModel:
    """A model's geometry on another device."""
    names = [field.name for field in fields(model) if field.name != "parents"]
    return replace(model, **{name: getattr(model, name).to(device) for name in names})


def yaw_of(pose: torch.Tensor) -> torch.Tensor:
    """(B,) how far heads of pose (B,15), neck included, are turned to their left, radians."""
    turn = rotation_matrices(pose[:, :3]) @ rotation_matrices(pose[:, 3:6])
    return torch.atan2(turn[:, 0, 2], turn[:, 2, 2])


def coarse_surface(head: HeadModel) -> CoarseSurface:
    """Reduce a head to what the coarse losses need."""
    points = {"68": head.landmarks_68, "478": head.landmarks_478, "contour": head.contour}
    corners = {name: head.triangles[surface.triangle] for name, surface in points.items()}
    region = silhouette_region(head, corners["68"][:NUM_CONTOUR])
    face = (head.masks["face"] > 0.5).nonzero()[::FACE_STRIDE, 0]
    vertices = torch.cat([face, region.vertices, *(value.flatten() for value in corners.values())]).unique()

    def local(index: torch.Tensor) -> torch.Tensor:
        return torch.searchsorted(vertices, index.contiguous())

    edges = local(region.vertices[region.edges])
    bound = {name: BoundLandmarks(local(corners[name]), points[name].barycentric) for name in points}
    return CoarseSurface(
        model=head.skinned.select(vertices),
        face=local(face),
        landmarks_68=bound["68"],
        landmarks_478=bound["478"],
        landmarks_478_weight=head.landmarks_478_weight,
        landmarks_478_view_bias=head.landmarks_478_view_bias,
        contour=bound["contour"],
        contour_yaw=head.contour_yaw,
        silhouette_triangles=local(region.vertices[region.triangles]),
        silhouette_edges=edges,
        silhouette_vertices=edges.unique(),
    )
