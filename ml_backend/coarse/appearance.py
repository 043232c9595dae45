"""Light and albedo of a fitted head, and the colours of a photo at its vertices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel, vertex_normals
from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.rendering.rasterizer import rasterize

# The photo is brought to this size for colours: a vertex spacing of the face is about a pixel, so that none is aliased.
PX_PER_M = 500.0
# vertices seen at a flatter angle than this (cosine) are left out: their colour mixes with what lies behind
MIN_FACING = 0.25
# Geman-McClure scale of a colour residual (linear RGB): hair, glasses, shine and cast shadows lie beyond it
COLOUR_ROBUST_SCALE = 0.06
COLOUR_SIGMA = 0.04
# priors of light, in units of the ambient brightness 1: own choice, wide enough for strong side light
AMBIENT_SIGMA = 1.0
DIRECTIONAL_SIGMA = 0.5
LIGHT_CHROMA_SIGMA = 0.08
SMOOTH_LIGHT_SIGMA = 0.15
ROUNDS = 6


@dataclass(frozen=True)
class Appearance:
    """Light (9,3) and albedo coefficients (A,), with the robust weight (N,) of each vertex sample."""

    light: torch.Tensor
    albedo: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class ScaledPhoto:
    """A photo at PX_PER_M of the face, linear.

    Attributes:
        colour: (H,W,3) float32 linear RGB.
        px_per_photo_px: its pixels per pixel of the photo.
        origin_px: (x, y) in the photo of its corner.
    """

    colour: np.ndarray
    px_per_photo_px: float
    origin_px: tuple[float, float]

    def sample(self, image_px: torch.Tensor) -> torch.Tensor:
        """(N,3) colours at (N,2) photo pixels, bilinear, borders replicated."""
        return torch.from_numpy(_remap(self.colour, self._local(image_px))).to(image_px.dtype)

    def gradient(self, image_px: torch.Tensor) -> torch.Tensor:
        """(N,3,2) derivative of the colours by the photo's x and y."""
        local = self._local(image_px)
        across, down = (_remap(slope, local) for slope in self._slopes)
        return torch.from_numpy(np.stack([across, down], -1)).to(image_px.dtype) * self.px_per_photo_px

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """(H,W,3) derivatives of the colours by its own x and y."""
        return (
            cv2.Sobel(self.colour, cv2.CV_32F, 1, 0, scale=1 / 8),
            cv2.Sobel(self.colour, cv2.CV_32F, 0, 1, scale=1 / 8),
        )

    def _local(self, image_px: torch.Tensor) -> np.ndarray:
        return ((image_px.numpy() - np.float32(self.origin_px)) * self.px_per_photo_px - 0.5).astype(np.float32)


def _remap(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,C) bilinear values of an image (H,W,C) at (N,2) points; borders replicated.

    Not cv2.remap: before OpenCV 5 it rounds positions to 1/32 of a pixel, which makes steps of what should be slopes.
    """
    height, width = image.shape[:2]
    x = np.clip(points[:, 0], 0, width - 1)
    y = np.clip(points[:, 1], 0, height - 1)
    left, top = np.minimum(x.astype(np.intp), max(width - 2, 0)), np.minimum(y.astype(np.intp), max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (x - left)[:, None], (y - top)[:, None]
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    return upper * (1 - down) + lower * down


def scale_photo(pixels: np.ndarray, parameters: FitParameters) -> ScaledPhoto:
    """Cut the head out of a photo, at the size that the vertices can resolve.

    Args:
        pixels: (H,W,3) uint8 sRGB.
    """
    height, width = pixels.shape[:2]
    reach = 0.18 * parameters.px_per_m  # a head's half height, metres
    x, y = parameters.camera.project(torch.zeros(1, 3))[0, :2].tolist()
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(width, int(x + reach) + 1), min(height, int(y + reach) + 1)
    if right - left < 2 or bottom - top < 2:
        left, top, right, bottom = 0, 0, width, height
    crop = linear_from_srgb_u8(pixels[top:bottom, left:right])
    scale = min(1.0, PX_PER_M / parameters.px_per_m)
    size = (max(2, round(crop.shape[1] * scale)), max(2, round(crop.shape[0] * scale)))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    return ScaledPhoto(cv2.GaussianBlur(small, (0, 0), 0.8), size[0] / crop.shape[1], (left, top))


@dataclass(frozen=True)
class VertexSamples:
    """The vertices of the face that a camera sees.

    Attributes:
        index: (N,) vertices; image: (N,2) pixels; normals: (N,3); confidence: (N,) 0-1, less at flat angles.
    """

    index: torch.Tensor
    image: torch.Tensor
    normals: torch.Tensor
    confidence: torch.Tensor


# px_per_m of the visibility test: about two pixels to a vertex spacing
VISIBILITY_PX_PER_M = 700.0
# a vertex counts as seen when nothing lies this much nearer, metres
VISIBILITY_MARGIN_M = 0.004


def visible_vertices(head: HeadModel, parameters: FitParameters, region: torch.Tensor) -> VertexSamples:
    """Find the vertices of a region that the camera sees.

    Args:
        region: (V,) 0-1.
    """
    posed = head.vertices(parameters.shape[None], parameters.expression[None], parameters.pose[None])
    camera = parameters.camera
    normals = vertex_normals(posed, head.triangles)[0]
    facing = (normals * camera.view_directions(posed[0])).sum(-1)
    projected = camera.project(posed[0])
    scale = VISIBILITY_PX_PER_M / parameters.px_per_m
    small = torch.cat([(projected[:, :2] - projected[:, :2].amin(0)) * scale, projected[:, 2:]], 1)
    width, height = (int(side) + 1 for side in small[:, :2].amax(0).tolist())
    fragments = rasterize(small[None], head.triangles, height, width)
    depth = fragments.interpolate(small[head.triangles][..., 2:])[0, ..., 0]
    depth = torch.where(fragments.triangle[0] >= 0, depth, torch.full_like(depth, torch.inf))
    column = small[:, 0].long().clamp(0, width - 1)
    row = small[:, 1].long().clamp(0, height - 1)
    seen = small[:, 2] <= depth[row, column] + VISIBILITY_MARGIN_M
    inside = (projected[:, 0] > 0) & (projected[:, 1] > 0)
    inside &= (projected[:, 0] < parameters.image_size_px[0]) & (projected[:, 1] < parameters.image_size_px[1])
    index = (seen & inside & (facing > MIN_FACING) & (region > 0.5)).nonzero()[:, 0]
    return VertexSamples(index, projected[index, :2], normals[index], facing[index] * region[index])


def vertex_uv(head: HeadModel) -> torch.Tensor:
    """(V,2) one texture coordinate of each vertex (the last corner's, where a seam gives several)."""
    uv = torch.zeros(head.num_vertices, 2)
    uv[head.triangles.flatten()] = head.uv[head.uv_triangles.flatten()]
    return uv


def albedo_at_vertices(head: HeadModel, model: AlbedoModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean albedo (V,3) and basis (A,V,3), linear RGB, at the vertices."""
    uv = vertex_uv(head)
    count = model.basis.shape[0]
    mean = model.at_uv(torch.zeros(count), uv)
    return mean, torch.stack([model.at_uv(unit, uv) - mean for unit in torch.eye(count)])


def estimate_appearance(
    colour: torch.Tensor, samples: VertexSamples, mean: torch.Tensor, basis: torch.Tensor
) -> Appearance:
    """Light and albedo by turns, each a robust linear least squares with priors.

    Args:
        colour: (N,3) linear RGB of the photo at the samples.
        mean: (V,3); basis: (A,V,3).

    Source: own derivation of the first paper's shading model U = A * (l . H(n)).
    """
    harmonics = spherical_harmonics.basis(samples.normals)
    mean, basis = mean[samples.index], basis[:, samples.index]
    albedo = torch.zeros(len(basis))
    weight = samples.confidence.clone()
    light = spherical_harmonics.ambient_light()
    for _ in range(ROUNDS):
        light = solve_light(colour, harmonics, mean + torch.einsum("a,anc->nc", albedo, basis), weight)
        shade = harmonics @ light
        albedo = _solve_albedo(colour - shade * mean, shade[None] * basis, weight)
        predicted = shade * (mean + torch.einsum("a,anc->nc", albedo, basis))
        weight = samples.confidence * robust_colour_weight(colour, predicted)
    return Appearance(light, albedo, weight)


def robust_colour_weight(colour: torch.Tensor, predicted: torch.Tensor) -> torch.Tensor:
    """(N,) 0-1: how far colours (N,3) are still evidence beside their prediction (N,3), linear RGB."""
    squared = ((colour - predicted) ** 2).sum(1)
    return (COLOUR_ROBUST_SCALE**2 / (COLOUR_ROBUST_SCALE**2 + squared)) ** 2


def solve_light(
    colour: torch.Tensor, harmonics: torch.Tensor, albedo: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """The light (9,3) of colours (N,3) on surfaces of a known albedo (N,3), linear RGB, by least squares with a prior.

    Args:
        harmonics: (N,9) basis at the normals; weight: (N,) relative say.
    """
    # unknowns in the order (coefficient, channel)
    rows = harmonics[:, None, :, None] * (albedo[:, :, None] * torch.eye(3))[:, :, None, :]
    design = rows.flatten(2).flatten(0, 1)
    say = (weight / (weight.sum() + 1e-9) * INDEPENDENT_SAMPLES / COLOUR_SIGMA**2).repeat_interleave(3)
    sigma = torch.tensor([AMBIENT_SIGMA] + [DIRECTIONAL_SIGMA] * 3 + [SMOOTH_LIGHT_SIGMA] * 5) / 0.282095
    grey = torch.full((3, 3), 1 / 3)
    chroma = torch.eye(3) - grey
    prior = torch.kron(torch.diag(sigma**-2), grey)
    prior += torch.kron(torch.eye(9) * (0.282095 / LIGHT_CHROMA_SIGMA) ** 2, chroma)
    goal = spherical_harmonics.ambient_light().flatten()
    matrix = design.T @ (say[:, None] * design) + prior
    return torch.linalg.solve(matrix, design.T @ (say * colour.flatten()) + prior @ goal).reshape(9, 3)


# the vertices' colours say about as much as this many independent ones
INDEPENDENT_SAMPLES = 60.0


def _solve_albedo(residual: torch.Tensor, columns: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(A,) standard deviations, unit prior."""
    evidence, right = albedo_equations(residual, columns, weight)
    return torch.linalg.solve(evidence + torch.eye(len(right)), right)


def albedo_equations(
    residual: torch.Tensor, columns: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal equations (A,A) and (A,) of the albedo coefficients, without their prior.

    Args:
        residual: (N,3) colours less the mean albedo's; columns: (A,N,3) the shaded basis; weight: (N,) relative say.
    """
    design = columns.flatten(1).T
    say = (weight / (weight.sum() + 1e-9) * INDEPENDENT_SAMPLES / COLOUR_SIGMA**2).repeat_interleave(3)
    return design.T @ (say[:, None] * design), design.T @ (say * residual.flatten())
