"""The shaded texture of the detail stage: normals of a displaced surface in the window, under the photo's light.

U = A * SH(l, N_D) (first paper, section 3.1), where N_D are the normals of the surface moved by the displacement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from ml_backend.head.albedo_model import LEAST_ALBEDO, AlbedoModel
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.learned.detail_input import FaceWindow, cut_window, on_window
from ml_backend.rendering import spherical_harmonics

# A texel this small, m^2, carries no direction of its own: the smooth normal stays.
LEAST_TEXEL_M2 = 1e-10
# Exponent of the display curve: sRGB to within 2 grey levels, with a gradient everywhere.
DISPLAY_GAMMA = 2.2
LEAST_LIGHT = 1e-3


@dataclass(frozen=True)
class SurfaceFrame:
    """The smooth surface at the window's texels.

    Attributes:
        normal: (B,3,N,N) unit; across, down: (B,3,N,N) metres from a texel to the next column and the next row.
    """

    normal: torch.Tensor
    across: torch.Tensor
    down: torch.Tensor


def surface_frame(head: HeadModel, window: FaceWindow, posed: torch.Tensor) -> SurfaceFrame:
    """The smooth surface of posed heads.

    Args:
        head: the model; window: of it; posed: (B,V,3) metres, model space.
    """
    normals = vertex_normals(posed, head.triangles.to(posed.device))
    carried = on_window(torch.cat([posed, normals], 2), window)
    place, normal = carried[:, :3], functional.normalize(carried[:, 3:], dim=1, eps=1e-9)
    across = functional.pad(0.5 * (place[..., 2:] - place[..., :-2]), (1, 1, 0, 0), mode="replicate")
    down = functional.pad(0.5 * (place[..., 2:, :] - place[..., :-2, :]), (0, 0, 1, 1), mode="replicate")
    return SurfaceFrame(normal, across, down)


def detailed_normals(frame: SurfaceFrame, displacement: torch.Tensor) -> torch.Tensor:
    """Normals of the surface moved along its normals.

    Args:
        frame: the smooth surface; displacement: (B,1,N,N) metres outwards.

    Returns:
        (B,3,N,N) unit vectors, with gradients to the displacement.

    Source: Blinn 1978, Simulation of wrinkled surfaces: n - grad D with the gradient on the surface,
    (D_c (down x n) + D_r (n x across)) / (n . (across x down)).
    """
    slope_c = functional.pad(0.5 * (displacement[..., 2:] - displacement[..., :-2]), (1, 1, 0, 0), mode="replicate")
    slope_r = functional.pad(
        0.5 * (displacement[..., 2:, :] - displacement[..., :-2, :]), (0, 0, 1, 1), mode="replicate"
    )
    area = (frame.normal * torch.linalg.cross(frame.across, frame.down, dim=1)).sum(1, keepdim=True)
    whole = area.abs() > LEAST_TEXEL_M2
    gradient = slope_c * torch.linalg.cross(frame.down, frame.normal, dim=1)
    gradient = gradient + slope_r * torch.linalg.cross(frame.normal, frame.across, dim=1)
    gradient = torch.where(
        whole, gradient / torch.where(whole, area, torch.ones_like(area)), torch.zeros_like(gradient)
    )
    return functional.normalize(frame.normal - gradient, dim=1, eps=1e-9)


def shaded_texture(albedo: torch.Tensor, light: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """U(A, l, N) as a photo would show it.

    Args:
        albedo: (B,3,N,N) linear; light: (B,9,3); normals: (B,3,N,N).

    Returns:
        (B,3,N,N) display values, about 0-1.
    """
    basis = spherical_harmonics.basis(normals.permute(0, 2, 3, 1))
    shade = torch.einsum("bhwk,bkc->bchw", basis, light)
    return (albedo * shade).clamp(min=LEAST_LIGHT) ** (1 / DISPLAY_GAMMA)


class WindowAlbedo(torch.nn.Module):
    """An albedo basis cut to a window.

    Args:
        model: the basis on the head's layout; window: which part.
    """

    def __init__(self, model: AlbedoModel, window: FaceWindow) -> None:
        super().__init__()
        images = [cut_window(image.numpy(), window) for image in (model.mean, *model.basis)]
        stacked = torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images])
        self.register_buffer("mean", stacked[0], persistent=False)
        self.register_buffer("basis", stacked[1:], persistent=False)

    def forward(self, coefficients: torch.Tensor) -> torch.Tensor:
        """(B,3,N,N) linear albedo for coefficients (B,A)."""
        return (self.mean + torch.einsum("ba,achw->bchw", coefficients, self.basis)).clamp(min=LEAST_ALBEDO)
