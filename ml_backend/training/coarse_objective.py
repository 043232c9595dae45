"""What the coarse stage minimises: the terms of the first paper's eq. 2, and supervised ones where there is a truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ml_backend.coarse.view_bias import view_bias_px
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.learned.coarse_encoder import POSE_SCALE
from ml_backend.learned.head_code import HeadCode
from ml_backend.tracking.landmark_topology import NUM_CONTOUR
from ml_backend.training import coarse_losses as terms
from ml_backend.training.coarse_batch import CoarseBatch
from ml_backend.training.coarse_surface import CoarseSurface
from ml_backend.training.feature_networks import FeatureNetworks
from ml_backend.training.photometric_render import PhotometricRender

SUPERVISED, SELF_SUPERVISED = "supervised", "self_supervised"
SILHOUETTE, FIXED, MARCHING = "silhouette", "fixed", "marching"
# spreads of faces in photos: the camera's scale (half crops per metre; share of it), light
MEAN_SCALE, SCALE_SPREAD, LIGHT_SPREAD = 8.0, 0.1, 0.5
# of a named expression, as a share of its range
EXPRESSION_SPREAD = 0.25


@dataclass(frozen=True)
class LossSettings:
    """Which terms, and how strong; the config's table [losses]. A term of weight 0 is left out.

    Attributes:
        mode: "supervised" (rendered faces, by their truth) or "self_supervised" (landmarks and photometry alone).
        contour: how contour landmarks are matched: "silhouette" (L_sil, eq. 1), "fixed" (the head's frontal contour
            points), "marching" (the contour points of the head's yaw).
        neutral, posed, projected: distances in mm of the supervised face at rest, posed, and in the image.
        shape, expression, pose, albedo, camera, light: supervised parameters, in spreads.
        silhouette: the contour's weight; inner, pairs, photometric, prior, shape_consistency: of the terms of eq. 2.
        identity, emotion, lips: of the perceptual terms, whose networks are the TorchScript files `*_network`.
        photometric_px: side of the rendered images.
    """

    mode: str = SUPERVISED
    contour: str = SILHOUETTE
    neutral: float = 1.0
    posed: float = 0.5
    projected: float = 0.5
    shape: float = 0.5
    expression: float = 1.0
    pose: float = 1.0
    albedo: float = 0.3
    camera: float = 0.5
    light: float = 0.5
    silhouette: float = 10.0
    inner: float = 20.0
    pairs: float = 10.0
    photometric: float = 0.0
    prior: float = 0.02
    shape_consistency: float = 0.0
    identity: float = 0.0
    emotion: float = 0.0
    lips: float = 0.0
    identity_network: str = ""
    emotion_network: str = ""
    lips_network: str = ""
    photometric_px: int = 64

    def __post_init__(self) -> None:
        if self.mode not in (SUPERVISED, SELF_SUPERVISED):
            raise ValueError(f"losses.mode is {self.mode!r}, not '{SUPERVISED}' or '{SELF_SUPERVISED}'")
        if self.contour not in (SILHOUETTE, FIXED, MARCHING):
            raise ValueError(f"losses.contour is {self.contour!r}, not '{SILHOUETTE}', '{FIXED}' or '{MARCHING}'")
        for name in ("identity", "emotion", "lips"):
            if (getattr(self, name) > 0) != bool(getattr(self, f"{name}_network")):
                raise ValueError(f"losses.{name} and losses.{name}_network belong together")

    @property
    def supervised(self) -> bool:
        """Whether the truth is used."""
        return self.mode == SUPERVISED

    @property
    def renders(self) -> bool:
        """Whether a term needs the rendered face."""
        return max(self.photometric, self.identity, self.emotion, self.lips) > 0


class CoarseObjective:
    """All losses of a batch of codes.

    Args:
        settings: which; head, albedo: what the codes mean; surface: the head's vertices that the losses need.
        device: where the codes are.
    """

    def __init__(
        self,
        settings: LossSettings,
        head: HeadModel,
        albedo: AlbedoModel,
        surface: CoarseSurface,
        device: torch.device | str,
    ) -> None:
        self.settings, self.surface = settings, surface.to(device)
        self.limits = head.expression_limits.to(device)
        self.expression_spread = EXPRESSION_SPREAD * (self.limits[:, 1] - self.limits[:, 0])
        # where the contour is matched by its own points, these are left to that term
        self.inner_weight = terms.contour_free_weights(self.surface.landmarks_478_weight)
        self.render = PhotometricRender(head, albedo, settings.photometric_px, device) if settings.renders else None
        self.features = FeatureNetworks.of(settings, device)

    def __call__(self, code: HeadCode, batch: CoarseBatch) -> dict[str, torch.Tensor]:
        """Weighted losses by name."""
        losses = self._landmark_terms(code, batch)
        losses["prior"] = terms.prior_loss(code, self.expression_spread) + terms.limit_loss(code, self.limits)
        if self.render is not None:
            losses |= self._rendered_terms(code, batch)
        if self.settings.shape_consistency > 0:
            swapped = terms.swapped_shapes(code)
            again = self._weighted(self._landmark_terms(swapped, batch))
            if self.settings.photometric > 0:
                again |= self._weighted(self._rendered_terms(swapped, batch))
            losses["shape_consistency"] = torch.stack(list(again.values())).sum()
        if self.settings.supervised and batch.truth is not None:
            losses |= self._supervised_terms(code, batch.truth)
        return self._weighted(losses)

    def _weighted(self, losses: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        weights = {name: getattr(self.settings, name) for name in losses}
        return {name: weights[name] * value for name, value in losses.items() if weights[name] > 0}

    def _landmark_terms(self, code: HeadCode, batch: CoarseBatch) -> dict[str, torch.Tensor]:
        surface = self.surface
        vertices = surface.vertices(code)
        points = code.project(surface.landmarks_478.on(vertices))
        if batch.truth is None:
            points = points + _tracker_bias(surface, code)
        target = batch.landmarks_68[:, :NUM_CONTOUR]
        return {
            "silhouette": self._contour_loss(code, vertices, target),
            "inner": terms.landmark_loss(points, batch.landmarks_478, self.inner_weight),
            "pairs": terms.pair_loss(points, batch.landmarks_478),
        }

    def _contour_loss(self, code: HeadCode, vertices: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        surface = self.surface
        if self.settings.contour == MARCHING:
            own = code.project(surface.contour_at_yaw(vertices, code.pose))
            return (own - target).abs().sum(-1).mean()
        own = code.project(surface.landmarks_68.on(vertices)[:, :NUM_CONTOUR])
        if self.settings.contour == FIXED:
            return (own - target).abs().sum(-1).mean()
        with torch.no_grad():
            normals = vertex_normals(vertices, surface.silhouette_triangles)
            own_facing = surface.landmarks_68.on(normals)[:, :NUM_CONTOUR, 2]
            on_silhouette = terms.silhouette_mask(normals[..., 2], surface.silhouette_edges)
        index = surface.silhouette_vertices
        projected = code.project(vertices[:, index])
        return terms.silhouette_loss(target, own, own_facing, projected, on_silhouette[:, index])

    def _rendered_terms(self, code: HeadCode, batch: CoarseBatch) -> dict[str, torch.Tensor]:
        rendered = self.render(code)
        image, skin = self.render.target(batch)
        mask = skin * rendered.mask
        losses = {"photometric": terms.photometric_loss(rendered.colour, image, mask)}
        # outside of the rendered skin both networks see the photo
        shown = torch.where(mask[..., None] > 0, rendered.colour, image)
        for name, network in self.features.networks.items():
            losses[name] = terms.feature_loss(network(shown), network(image))
        return losses

    def _supervised_terms(self, code: HeadCode, truth: HeadCode) -> dict[str, torch.Tensor]:
        surface = self.surface
        predicted, true = surface.vertices(code)[:, surface.face], surface.vertices(truth)[:, surface.face]
        like, spread = code.shape, code.shape.new_tensor
        scale, true_scale = code.camera[:, :1], truth.camera[:, :1]
        return {
            "neutral": terms.distance_mm(surface.neutral_face(code.shape), surface.neutral_face(truth.shape)),
            # where the face is, only the image can say
            "posed": terms.distance_mm(_centred(predicted), _centred(true)),
            "projected": terms.projected_distance_mm(code.project(predicted), truth.project(true), truth.camera[:, 0]),
            "shape": terms.parameter_loss(code.shape, truth.shape, like.new_ones(like.shape[1])),
            "expression": terms.parameter_loss(code.expression, truth.expression, self.expression_spread),
            "pose": terms.parameter_loss(code.pose, truth.pose, spread(POSE_SCALE)),
            "albedo": terms.parameter_loss(code.albedo, truth.albedo, like.new_ones(code.albedo.shape[1])),
            # its shift is what the projected face says; beside a rotation that is not right yet the true one is wrong
            "camera": terms.parameter_loss(scale, true_scale, spread([MEAN_SCALE * SCALE_SPREAD])),
            "light": terms.parameter_loss(code.light.flatten(1), truth.light.flatten(1), spread([LIGHT_SPREAD] * 27)),
        }


def _centred(points: torch.Tensor) -> torch.Tensor:
    """(B,N,3) without their mean."""
    return points - points.mean(1, keepdim=True)


def _tracker_bias(surface: CoarseSurface, code: HeadCode) -> torch.Tensor:
    """(B,478,2) half crops by which the tracker strays from the head's own points at each head's view."""
    return view_bias_px(surface.landmarks_478_view_bias, code.pose[:, :3], code.camera[:, 0])
