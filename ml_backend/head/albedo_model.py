"""The albedo basis on the head's UVs: mean and components, linear RGB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open

from addon.exchange.errors import AssetMissing

ALBEDO_FILE = Path(__file__).resolve().parents[2] / "assets" / "open_head_albedo.safetensors"


@dataclass(frozen=True)
class AlbedoModel:
    """mean (R,R,3); basis (A,R,R,3) per standard deviation; row 0 at v = 1."""

    mean: torch.Tensor
    basis: torch.Tensor

    def texture(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(R,R,3) linear albedo of coefficients (A,)."""
        return self.mean + torch.einsum("a,ahwc->hwc", coefficients, self.basis)

    def at_uv(self, coefficients: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
        """(N,3) linear albedo at texture coordinates (N,2), bilinear."""
        grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], -1)[None, None]
        image = self.texture(coefficients).permute(2, 0, 1)[None]
        sampled = torch.nn.functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
        return sampled[0, :, 0].T


def load_albedo_model(path: Path | None = None) -> AlbedoModel:
    """Load the albedo basis that ships.

    Raises:
        AssetMissing: it is not there.
    """
    path = path or ALBEDO_FILE
    if not path.is_file():
        raise AssetMissing("albedo_missing", "The albedo basis is not there.", f"Run `build.py assets`: {path}.")
    with safe_open(path, framework="pt") as file:
        arrays = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (not a dict)
    return AlbedoModel(
        mean=arrays["mean"] * arrays["mean_scale"] + arrays["mean_offset"],
        basis=arrays["basis"] * arrays["basis_scale"] + arrays["basis_offset"],
    )
