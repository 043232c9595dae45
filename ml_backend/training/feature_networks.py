"""Feature networks of the perceptual terms, which a user supplies as TorchScript files; the product ships none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ml_backend.training.training_config import TrainingError

if TYPE_CHECKING:
    from ml_backend.training.coarse_objective import LossSettings

TERMS = ("identity", "emotion", "lips")


class FeatureNetwork:
    """A network that is not trained: images (B,H,W,3) sRGB 0-1 in, features (B, ...) out.

    The file gets (B,3,H,W) and does its own resizing and normalisation.

    Args:
        path: of the TorchScript file.

    Raises:
        TrainingError: the file is missing or is not TorchScript.
    """

    def __init__(self, path: Path, device: torch.device | str) -> None:
        try:
            self.network = torch.jit.load(str(path), map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise TrainingError(
                "feature_network", f"The feature network {path} cannot be loaded.", "Give a TorchScript file."
            ) from error
        # a script module has no requires_grad_
        for parameter in self.network.parameters():
            parameter.requires_grad = False

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images.permute(0, 3, 1, 2))


@dataclass(frozen=True)
class FeatureNetworks:
    """The networks by term: identity, emotion, lips; those that the settings name."""

    networks: dict[str, FeatureNetwork]

    @classmethod
    def of(cls, settings: LossSettings, device: torch.device | str) -> FeatureNetworks:
        """Load what the settings name."""
        named = {term: getattr(settings, f"{term}_network") for term in TERMS}
        return cls({term: FeatureNetwork(Path(path), device) for term, path in named.items() if path})
