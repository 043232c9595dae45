"""L_UNet: what teacher and student of the detail stage have in common, weighted (first paper, eq. 4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import FaceWindow
from ml_backend.training.detail_losses import (
    FeatureNetwork,
    mrf_loss,
    photometric_loss,
    size_loss,
    smoothness_loss,
    supervised_loss,
)
from ml_backend.training.detail_samples import DetailBatch
from ml_backend.training.detail_shading import WindowAlbedo, detailed_normals, shaded_texture, surface_frame
from ml_backend.training.feature_networks import FeatureNetwork as FeatureFile


@dataclass(frozen=True)
class ShadingWeights:
    """Weights of L_UNet; the config's table [losses]. A loss of weight 0 is not computed.

    Displacements are a few hundredths of a millimetre, the photo's differences a few hundredths of the range from black
    to white: about the same size, so that the weights compare.

    Attributes:
        supervised: against the true displacement, where it is known.
        photometric, mrf, smoothness, size: L_phoD, L_mrf, L_smo, L_regD.
        shaded_faces: how many faces of a batch are shaded for L_phoD and L_mrf, its costliest part.
        feature_network: TorchScript file for L_mrf; empty = its stand-in by gradients.
    """

    supervised: float = 20.0
    photometric: float = 0.1
    mrf: float = 0.05
    smoothness: float = 0.05
    size: float = 0.05
    shaded_faces: int = 2
    feature_network: str = ""


class ShadingObjective:
    """Computes L_UNet and the supervised loss.

    Args:
        weights: of the losses; head, albedo: of the samples; window: of the head; device: of the batches.

    Raises:
        TrainingError: the feature network cannot be loaded.
    """

    def __init__(
        self, weights: ShadingWeights, head: HeadModel, albedo: AlbedoModel, window: FaceWindow, device: torch.device
    ) -> None:
        self.weights, self._head, self._window = weights, head, window
        self._albedo = WindowAlbedo(albedo, window).to(device)
        self.skin = torch.from_numpy(window.skin)[None, None].to(device)
        self._features: FeatureNetwork | None = None
        if weights.feature_network:
            network = FeatureFile(Path(weights.feature_network), device).network
            self._features = network

    def __call__(self, displacement: torch.Tensor, batch: DetailBatch, asked: torch.Tensor) -> dict[str, torch.Tensor]:
        """Weighted losses of a displacement.

        Args:
            displacement: (B,1,N,N) metres; batch: the faces; asked: (B,1,N,N) where the truth is asked for.
        """
        weights = self.weights
        losses = {}
        if weights.supervised:
            truth = supervised_loss(displacement, batch.truth, asked * batch.known)
            losses["supervised"] = weights.supervised * truth
        if weights.smoothness:
            losses["smoothness"] = weights.smoothness * smoothness_loss(displacement, self.skin.expand_as(displacement))
        if weights.size:
            losses["size"] = weights.size * size_loss(displacement)
        if weights.photometric or weights.mrf:
            losses |= self._shaded(displacement[: weights.shaded_faces], batch.select(slice(weights.shaded_faces)))
        return losses

    def _shaded(self, displacement: torch.Tensor, batch: DetailBatch) -> dict[str, torch.Tensor]:
        """L_phoD and L_mrf: the shaded texture against the unwrapped photo."""
        with torch.no_grad():
            frame = surface_frame(self._head, self._window, batch.vertices)
            albedo = self._albedo(batch.albedo)
        rendered = shaded_texture(albedo, batch.light, detailed_normals(frame, displacement))
        seen = self.skin * batch.confidence
        return {
            "photometric": self.weights.photometric * photometric_loss(rendered, batch.photo, seen),
            "mrf": self.weights.mrf * mrf_loss(rendered, batch.photo, seen, self._features),
        }
