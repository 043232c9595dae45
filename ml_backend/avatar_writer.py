"""Writes what the stages found as an avatar package."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import torch

from addon.exchange import avatar_package as package
from addon.exchange.avatar_description import (
    AvatarDescription,
    CameraDescription,
    DisplacementDescription,
    HeadOrigin,
    PhotoOrigin,
    PhotoState,
    Provenance,
    Quality,
    TextureDescription,
)
from addon.exchange.avatar_package import AvatarHead, AvatarParameters, write_package
from addon.exchange.conventions import JOINT_NAMES, VERSION
from addon.exchange.errors import PackageError
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.displacement.bake_displacement import BakedDisplacement
from ml_backend.head.head_model import HeadModel
from ml_backend.photo.read_photo import Photo
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.tracking.face_tracker import TrackedFace

# how far beyond the landmarks the thumbnail reaches, as a fraction of their extent
THUMBNAIL_MARGIN = 0.35
DISPLACEMENT_MIDLEVEL = 0.5
# PNG's fastest setting: the files are large and are packed into the .blend as they are
PNG_COMPRESSION = 1
# landmark error in percent of the outer eye corners' distance, and what people call it: own choice
QUALITY_WORDS = ((2.5, "very good"), (3.5, "good"), (5.0, "fair"))


@dataclass(frozen=True)
class FittedAvatar:
    """What the stages found of one face.

    Attributes:
        name: the avatar's, for people.
        photo: it was made of; faces_found: in the photo; face_used: which one this is, 1 = the largest.
        face: as the tracker saw it.
        head: the head model; fit: its state in the photo.
        texture, displacement: the person's maps.
    """

    name: str
    photo: Photo
    faces_found: int
    face_used: int
    face: TrackedFace
    head: HeadModel
    fit: CoarseFit
    texture: BakedTexture
    displacement: BakedDisplacement


def write_avatar(target: Path, avatar: FittedAvatar, timings_s: dict[str, float]) -> AvatarDescription:
    """Write the package and return what its avatar.json says.

    Args:
        target: the package's folder; an older avatar there is replaced.
        timings_s: seconds of the stages so far.

    Raises:
        PackageError: it could not be written; nothing is left behind.
    """
    description = _description(avatar, timings_s)
    displacement = description.displacement

    def write_images(folder: Path) -> None:
        values = np.clip(avatar.displacement.offset_mm / displacement.scale_mm + displacement.midlevel, 0, 1)
        _write_png(folder / package.PHOTO_FILE, avatar.photo.pixels)
        _write_png(folder / package.ALBEDO_FILE, avatar.texture.albedo_srgb)
        _write_png(folder / package.DISPLACEMENT_FILE, (values * 65535 + 0.5).astype(np.uint16))
        _write_png(folder / package.THUMBNAIL_FILE, _thumbnail(avatar.photo.pixels, avatar.face))

    head, parameters = _avatar_head(avatar.head, avatar.fit), _avatar_parameters(avatar.fit, avatar.texture)
    write_package(target, description, head, parameters, write_images)
    return description


def _description(avatar: FittedAvatar, timings_s: dict[str, float]) -> AvatarDescription:
    head, fit, texture, offset_mm = avatar.head, avatar.fit, avatar.texture, avatar.displacement.offset_mm
    height, width = avatar.photo.pixels.shape[:2]
    return AvatarDescription(
        name=avatar.name,
        provenance=_provenance(avatar),
        part_names=head.part_names,
        expression_names=head.expression_names,
        camera=_camera_description(fit, (width, height)),
        photo_state=_photo_state(head, fit),
        displacement=DisplacementDescription(offset_mm.shape[0], _displacement_scale(offset_mm), DISPLACEMENT_MIDLEVEL),
        texture=TextureDescription(texture.albedo_srgb.shape[0]),
        part_colours={part: tuple(map(float, colour)) for part, colour in texture.part_colours.items()},
        quality=Quality(fit.landmark_error_percent, quality_words(fit.landmark_error_percent), fit.warnings),
        timings_s={stage: round(seconds, 4) for stage, seconds in timings_s.items()},
    )


def _provenance(avatar: FittedAvatar) -> Provenance:
    photo, head = avatar.photo, avatar.head
    return Provenance(
        software="Likeness",
        version=VERSION,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        photo=PhotoOrigin(
            original_name=photo.original_name,
            sha256=photo.sha256,
            width=photo.original_width,
            height=photo.original_height,
            faces_found=avatar.faces_found,
            face_used=avatar.face_used,
        ),
        head=HeadOrigin(head.name, head.licence, head.source),
    )


def quality_words(landmark_error_percent: float) -> str:
    """A word for people."""
    return next((word for limit, word in QUALITY_WORDS if landmark_error_percent <= limit), "poor")


def _displacement_scale(offset_mm: np.ndarray) -> float:
    """Millimetres from black to white: what the map needs, at least 0.1 mm so that a flat map divides well."""
    return max(0.1, 2 * float(np.abs(offset_mm).max()))


def _camera_description(fit: CoarseFit, image_size_px: tuple[int, int]) -> CameraDescription:
    camera = fit.camera
    return CameraDescription(
        kind=camera.kind,
        image_size_px=image_size_px,
        scale_px_per_m=camera.scale_px_per_m,
        centre_px=camera.centre_px,
        focal_px=camera.focal_px,
        principal_px=camera.principal_px,
        translation_m=camera.translation_m,
    )


def _photo_state(head: HeadModel, fit: CoarseFit) -> PhotoState:
    joints = fit.pose.reshape(-1, 3).tolist()
    return PhotoState(
        expression=dict(zip(head.expression_names, fit.expression.tolist(), strict=True)),
        pose={name: tuple(vector) for name, vector in zip(JOINT_NAMES, joints, strict=True)},
    )


@torch.no_grad()
def _avatar_head(head: HeadModel, fit: CoarseFit) -> AvatarHead:
    zero_expression, zero_pose = torch.zeros(1, head.num_expression), torch.zeros(1, fit.pose.shape[0])
    neutral = head.vertices(fit.shape[None], zero_expression, zero_pose)[0]
    posed = head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])[0]

    def floats(values: torch.Tensor) -> np.ndarray:
        return np.ascontiguousarray(values.cpu().numpy(), np.float32)

    def indices(values: torch.Tensor) -> np.ndarray:
        return np.ascontiguousarray(values.cpu().numpy(), np.int32)

    return AvatarHead(
        vertices=floats(neutral),
        photo_vertices=floats(posed),
        polygons=indices(head.polygons),
        triangles=indices(head.triangles),
        uv=floats(head.uv),
        uv_polygons=indices(head.uv_polygons),
        uv_triangles=indices(head.uv_triangles),
        polygon_part=indices(head.polygon_part),
        arkit_keys=floats(head.arkit_offsets(fit.shape)),
        expression_keys=floats(head.skinned.expression_basis.permute(2, 0, 1)),
        expression_limits=floats(head.expression_limits),
        joints=floats(head.joints(fit.shape[None])[0]),
        parents=np.array(head.parents(), np.int32),
        skinning_weights=floats(head.skinned.skinning_weights),
        pose_basis=floats(head.skinned.pose_basis),
        masks={name: floats(mask) for name, mask in head.masks.items()},
    )


def _avatar_parameters(fit: CoarseFit, texture: BakedTexture) -> AvatarParameters:
    # the texture may be brighter or darker than the fit's albedo; the light makes up for it
    light = fit.light * texture.light_scale
    return AvatarParameters(
        *(value.cpu().numpy().astype(np.float32) for value in (fit.shape, fit.expression, fit.pose, light, fit.albedo))
    )


def _thumbnail(pixels: np.ndarray, face: TrackedFace) -> np.ndarray:
    """(256,256,3) square cut around the landmarks, borders replicated."""
    low, high = face.landmarks_px[:, :2].min(0), face.landmarks_px[:, :2].max(0)
    half = (high - low).max() * (0.5 + THUMBNAIL_MARGIN)
    scale = package.THUMBNAIL_PX / (2 * half)
    shift = package.THUMBNAIL_PX / 2 - (low + high) / 2 * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    # reduce first, so that a large photo is not sampled between its pixels
    reduction = max(1, int(1 / scale))
    if reduction > 1:
        pixels = cv2.resize(pixels, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        matrix[:, :2] *= reduction
    size = (package.THUMBNAIL_PX, package.THUMBNAIL_PX)
    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _write_png(path: Path, image: np.ndarray) -> None:
    """Write (H,W,3) RGB or (H,W) grey; through memory, since OpenCV's own writer cannot open every path."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, PNG_COMPRESSION])
    if not done:
        raise PackageError("image_encoding", f"{path.name} could not be encoded.", "Try again.")
    path.write_bytes(encoded.tobytes())
