"""The albedo basis on the head's UVs: mean and components, linear RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from addon.exchange.errors import AssetMissing

ALBEDO_FILE = Path(__file__).resolve().parents[2] / "assets" / "open_head_albedo.safetensors"
# No surface of a head reflects less: the pupil's darkest texel is at 0.005, the darkest skin's blue at 0.02. It acts
# only far outside of the range of people, where the linear model would turn negative.
LEAST_ALBEDO = 0.003


@dataclass(frozen=True)
class AlbedoModel:
    """A linear model of albedo; row 0 of its images is at v = 1.

    Attributes:
        mean: (R,R,3) float32 linear RGB.
        basis: (A,R,R,3) change of albedo per standard deviation: first three of tone, then of pattern.
    """

    mean: torch.Tensor
    basis: torch.Tensor

    @property
    def num_coefficients(self) -> int:
        """A."""
        return self.basis.shape[0]

    def texture(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Make a texture.

        Args:
            coefficients: (A,) standard deviations.

        Returns:
            (R,R,3) linear albedo, at least LEAST_ALBEDO.
        """
        return (self.mean + torch.einsum("a,ahwc->hwc", coefficients, self.basis)).clamp(min=LEAST_ALBEDO)

    def at_uv(self, coefficients: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
        """Look the albedo up, bilinear.

        Args:
            coefficients: (A,) standard deviations.
            uv: (N,2) texture coordinates, v up.

        Returns:
            (N,3) linear albedo.
        """
        grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
        image = self.texture(coefficients).permute(2, 0, 1)[None]
        sampled = torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
        return sampled[0, :, 0].T


def load_albedo_model(path: Path | None = None) -> AlbedoModel:
    """Load the albedo basis that ships.

    Args:
        path: another file of the same format.

    Raises:
        AssetMissing: it is not there or damaged.
    """
    path = path or ALBEDO_FILE
    if not path.is_file():
        raise AssetMissing("albedo_missing", "The albedo basis is not there.", f"Run `build.py assets`: {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
        return AlbedoModel(
            mean=arrays["mean"] * arrays["mean_scale"] + arrays["mean_offset"],
            basis=arrays["basis"] * arrays["basis_scale"] + arrays["basis_offset"],
        )
    except (SafetensorError, KeyError) as error:
        raise AssetMissing("albedo_damaged", f"{path.name} is damaged.", "Run `build.py assets`.") from error
