"""Second-order spherical-harmonics light: 9 real coefficients for each colour."""

from __future__ import annotations

import torch

NUM_COEFFICIENTS = 9


def basis(normals: torch.Tensor) -> torch.Tensor:
    """Real spherical harmonics up to degree 2.

    Args:
        normals: (..., 3) unit vectors, model space after posing.

    Returns:
        (..., 9): 1; y, z, x; xy, yz, 3z^2 - 1, xz, x^2 - y^2, each with its orthonormal constant.

    Source: Ramamoorthi and Hanrahan, An efficient representation for irradiance environment maps (2001), eq. 3.
    """
    return torch.stack(_terms(*normals.unbind(-1)), -1)


def _terms(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> list[torch.Tensor]:
    """The 9 functions of `basis` at unit vectors, each of the shape of x."""
    return [
        torch.full_like(x, 0.282095),
        0.488603 * y,
        0.488603 * z,
        0.488603 * x,
        1.092548 * x * y,
        1.092548 * y * z,
        0.315392 * (3 * z * z - 1),
        1.092548 * x * z,
        0.546274 * (x * x - y * y),
    ]


def basis_derivative(normals: torch.Tensor) -> torch.Tensor:
    """(..., 9, 3) derivative of `basis` by the normals (..., 3)."""
    x, y, z = normals.unbind(-1)
    zero = torch.zeros_like(x)
    one = torch.ones_like(x)
    rows = [
        (zero, zero, zero),
        (zero, 0.488603 * one, zero),
        (zero, zero, 0.488603 * one),
        (0.488603 * one, zero, zero),
        (1.092548 * y, 1.092548 * x, zero),
        (zero, 1.092548 * z, 1.092548 * y),
        (zero, zero, 6 * 0.315392 * z),
        (1.092548 * z, zero, 1.092548 * x),
        (2 * 0.546274 * x, -2 * 0.546274 * y, zero),
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def shading(normals: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Irradiance colour at normals: multiply with linear albedo to get linear radiance.

    Args:
        normals: (..., 3); light: (9,3), the cosine kernel already folded in.

    Returns:
        (..., 3), not clamped.
    """
    return basis(normals) @ light


def shading_planes(normals: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """`shading` of pictures that are stored channel by channel, which is several times faster on the processor.

    Args:
        normals: (B,3,P); light: (B,9,3).

    Returns:
        (B,3,P), not clamped.
    """
    return light.mT @ torch.stack(_terms(*normals.unbind(1)), 1)


def ambient_light(brightness: float = 1.0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(9,3) light that shades every normal with the given brightness."""
    light = torch.zeros(NUM_COEFFICIENTS, 3, dtype=dtype)
    light[0] = brightness / 0.282095
    return light
