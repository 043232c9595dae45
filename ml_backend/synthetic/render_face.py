"""The render of a posed synthetic person: albedo, wrinkles through normals, light, sheen, occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ml_backend.head.head_model import vertex_normals
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.synthetic.framing import CropCamera
from ml_backend.synthetic.head_layout import HeadLayout
from ml_backend.synthetic.light import Light
from ml_backend.synthetic.people import Person
from ml_backend.synthetic.picture import shading
from ml_backend.synthetic.wrinkles import slopes_and_shade, surface_gradients

# OpenCV's remap takes rows of fewer than 32,768 points
REMAP_ROW = 4096
# What light still reaches the inside of a mouth whose occlusion was measured closed.
LEAST_OPENNESS = 0.22
# sheen of wet eyes: the lobe's exponent (skin's is 16), and its strength
EYE_LOBE, EYE_GLOSS = 180.0, 1.2


@dataclass(frozen=True)
class RenderedFace:
    """A face before the rest of the picture.

    Attributes:
        colour: (H, W, 3) float32 linear radiance, 0 where no head is; covered: (H, W) bool.
        skin: (H, W) float32 0-1; depth_m: (H, W) float32, smaller is nearer, inf without a head.
    """

    colour: np.ndarray
    covered: np.ndarray
    skin: np.ndarray
    depth_m: np.ndarray


def render_face(
    layout: HeadLayout,
    person: Person,
    posed: torch.Tensor,
    camera: CropCamera,
    light: Light,
    displacement_m: np.ndarray,
    size_px: int,
) -> RenderedFace:
    """Render a posed person.

    Args:
        layout: of the head; person: whose texture and hair.
        posed: (V, 3) metres; camera: of the crop; light: on it.
        displacement_m: (M, M) of the posed skin; size_px: rows and columns.
    """
    head = layout.head
    normals = vertex_normals(posed[None], head.triangles)[0]
    raised = posed + normals * torch.from_numpy(person.hair.raise_m)[:, None]
    image = torch.from_numpy(camera.pixels(raised.numpy(), size_px).astype(np.float32))
    facing = _facing(image, head.triangles)
    fragments = rasterize(image[None], head.triangles[facing], size_px, size_px)
    visible = fragments.triangle[0].numpy().reshape(-1)
    pixel = np.flatnonzero(visible >= 0)
    of_facing = visible[pixel]
    triangle = facing.numpy()[of_facing]
    weights = fragments.barycentric[0].numpy().reshape(-1, 3)[pixel]
    corners = _corner_values(layout, normals.numpy(), image[:, 2].numpy())
    values = sum(weights[:, corner, None] * corners[corner][triangle] for corner in range(3))
    skin_colour = sample_texture(person.texture, values[:, :2])
    slopes = sample_texture(slopes_and_shade(displacement_m), values[:, :2])
    gradients = surface_gradients(posed.numpy(), head, facing.numpy())[of_facing]
    normal = _unit(values[:, 2:5])
    normal -= slopes[:, :1] * gradients[:, 0] + slopes[:, 1:2] * gradients[:, 1]
    normal = _unit(normal)
    shade = shading(normal, light) * (slopes[:, 2] * _free_sky(values[:, 5]))[:, None]
    colour = skin_colour[:, :3] * shade + _sheen(
        normal, light, _is_eye(layout)[triangle], person.gloss * skin_colour[:, 3]
    )
    result = np.zeros((size_px * size_px, 4), np.float32)
    result[pixel, :3], result[pixel, 3] = colour, skin_colour[:, 3]
    depth = np.full(size_px * size_px, np.inf, np.float32)
    depth[pixel] = values[:, 6]
    result = result.reshape(size_px, size_px, 4)
    return RenderedFace(
        colour=result[..., :3],
        covered=(visible >= 0).reshape(size_px, size_px),
        skin=np.ascontiguousarray(result[..., 3]),
        depth_m=depth.reshape(size_px, size_px),
    )


def sample_texture(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Look a texture up, bilinear.

    Args:
        texture: (N, N, C <= 4) row 0 at v = 1; uv: (P, 2).

    Returns:
        (P, C).
    """
    size, count = len(texture), len(uv)
    rows = max(1, -(-count // REMAP_ROW))
    place = np.zeros((rows * REMAP_ROW, 2), np.float32)
    # texel centres at +0.5; cv2 puts them at whole numbers
    place[:count, 0] = uv[:, 0] * size - 0.5
    place[:count, 1] = (1 - uv[:, 1]) * size - 0.5
    place = place.reshape(rows, REMAP_ROW, 2)
    found = cv2.remap(texture, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(rows * REMAP_ROW, -1)[:count]


def _facing(image: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Indices of the triangles that turn their front to the camera: the others would never be seen."""
    a, b, c = (image[triangles[:, corner], :2] for corner in range(3))
    double_area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    # y runs down: counter-clockwise from outside turns negative
    return (double_area < 0).nonzero()[:, 0]


def _corner_values(layout: HeadLayout, normals: np.ndarray, depth: np.ndarray) -> list[np.ndarray]:
    """For each corner (F, 7): u, v, normal, openness, depth of the triangles."""
    head = layout.head
    of_vertex = np.concatenate([normals, layout.openness[:, None], depth[:, None]], 1).astype(np.float32)
    uv, triangles, uv_triangles = head.uv.numpy(), head.triangles.numpy(), head.uv_triangles.numpy()
    return [np.concatenate([uv[uv_triangles[:, corner]], of_vertex[triangles[:, corner]]], 1) for corner in range(3)]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.einsum("pk,pk->p", vectors, vectors) + 1e-18)[:, None]


def _free_sky(openness: np.ndarray) -> np.ndarray:
    # light that was reflected before fills hollows: softer than the openness itself, its power of 3/4
    root = np.sqrt(np.clip(openness, 0, 1))
    return LEAST_OPENNESS + (1 - LEAST_OPENNESS) * root * np.sqrt(root)


def _sheen(normal: np.ndarray, light: Light, eye: np.ndarray, gloss: np.ndarray) -> np.ndarray:
    half = light.direction + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half) + 1e-6
    facing = np.clip(normal @ half, 0, 1)
    # reflectance rises towards grazing angles (Schlick 1994)
    grazing = 1 - np.clip(normal[:, 2], 0, 1)
    eighth = np.square(np.square(np.square(facing)))
    lobe = gloss * light.hardness * (1 + 2 * grazing * grazing * grazing) * eighth * eighth
    lobe[eye] = EYE_GLOSS * (0.3 + light.hardness) * facing[eye] ** EYE_LOBE
    white = np.clip(shading(light.direction[None], light)[0], 0, 3)
    return lobe[:, None] * white


def _is_eye(layout: HeadLayout) -> np.ndarray:
    names = layout.head.part_names
    eyes = [number for number, name in enumerate(names) if name in ("left_eye", "right_eye")]
    return np.isin(layout.head.triangle_part.numpy(), eyes)
