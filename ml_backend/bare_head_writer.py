"""Writes a head model alone as an avatar package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from addon.exchange import avatar_package as package
from addon.exchange.avatar_description import (
    AvatarDescription,
    HeadOrigin,
    PhotoState,
    Quality,
    TextureDescription,
)
from addon.exchange.avatar_package import AvatarParameters, write_package
from addon.exchange.conventions import JOINT_NAMES
from ml_backend.avatar_writer import (
    avatar_head,
    displacement_description,
    displacement_values,
    provenance,
    write_png,
)
from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.colour import linear_from_srgb_u8
from ml_backend.rendering.render_head import render_head

QUALITY_WORDS = "no photo"
# Light of the thumbnail: nearly even, somewhat stronger from above and from the front, as in a studio. White skin would
# be as bright as white.
_EVEN, _FROM_ABOVE, _FROM_FRONT = 2.6, 0.5, 0.9
# the thumbnail shows the face with this part of its height around it
_THUMBNAIL_MARGIN = 0.25


@dataclass(frozen=True)
class BareHead:
    """A head at its mean.

    Attributes:
        name: the avatar's, for people.
        head: the model; num_albedo: coefficients of the albedo model.
        albedo_srgb: (N,N,3) uint8 sRGB on its UVs.
        displacement_px: side of the flat displacement map.
    """

    name: str
    head: HeadModel
    num_albedo: int
    albedo_srgb: np.ndarray
    displacement_px: int


def write_bare_head(target: Path, bare_head: BareHead, timings_s: dict[str, float]) -> AvatarDescription:
    """Write the package, neutral and without relief, and return what its avatar.json says.

    Args:
        target: the package's folder; an older avatar there is replaced.
        timings_s: seconds of the stages so far.

    Raises:
        PackageError: it could not be written; nothing is left behind.
    """
    head = bare_head.head
    flat_mm = np.zeros((bare_head.displacement_px, bare_head.displacement_px), np.float32)
    displacement = displacement_description(flat_mm)
    shape, expression, pose = torch.zeros(head.num_shape), torch.zeros(head.num_expression), torch.zeros(15)
    light = _light()
    description = AvatarDescription(
        name=bare_head.name,
        provenance=provenance(None, HeadOrigin(head.name, head.licence, head.source)),
        part_names=head.part_names,
        expression_names=head.expression_names,
        camera=None,
        photo_state=PhotoState(dict.fromkeys(head.expression_names, 0.0), dict.fromkeys(JOINT_NAMES, (0.0, 0.0, 0.0))),
        displacement=displacement,
        texture=TextureDescription(bare_head.albedo_srgb.shape[0]),
        part_colours={},
        quality=Quality(0.0, QUALITY_WORDS),
        timings_s={stage: round(seconds, 4) for stage, seconds in timings_s.items()},
    )

    def write_images(folder: Path) -> None:
        write_png(folder / package.ALBEDO_FILE, bare_head.albedo_srgb)
        write_png(folder / package.DISPLACEMENT_FILE, displacement_values(flat_mm, displacement))
        write_png(folder / package.THUMBNAIL_FILE, _thumbnail(head, bare_head.albedo_srgb, light))

    values = (shape, expression, pose, light, torch.zeros(bare_head.num_albedo))
    parameters = AvatarParameters(*(value.numpy().astype(np.float32) for value in values))
    write_package(target, description, avatar_head(head, shape, expression, pose), parameters, write_images)
    return description


def _light() -> torch.Tensor:
    """(9,3) in the order of the spherical harmonics: even, y (up), z (front)."""
    light = torch.zeros(9, 3)
    light[0], light[1], light[2] = _EVEN, _FROM_ABOVE, _FROM_FRONT
    return light


def _thumbnail(head: HeadModel, albedo_srgb: np.ndarray, light: torch.Tensor) -> np.ndarray:
    """(256,256,3) uint8 sRGB: the face from the front."""
    template = head.skinned.template
    face = template[head.masks["face"] > 0.5]
    low, high = face.min(0).values, face.max(0).values
    side_m = float((high - low)[:2].max()) * (1 + 2 * _THUMBNAIL_MARGIN)
    middle = (low + high) / 2
    scale = package.THUMBNAIL_PX / side_m
    half_px = package.THUMBNAIL_PX / 2
    centre_px = (half_px - float(middle[0]) * scale, half_px + float(middle[1]) * scale)
    camera = Camera(SCALED_ORTHOGRAPHIC, (package.THUMBNAIL_PX, package.THUMBNAIL_PX), scale, centre_px)
    return render_head(head, template, camera, light, torch.from_numpy(linear_from_srgb_u8(albedo_srgb)))
