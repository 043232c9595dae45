"""Writes what the stages found as an avatar package."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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
    FolderPhoto,
    HeadOrigin,
    HeldOutError,
    PhotoOrigin,
    PhotoState,
    Provenance,
    Quality,
    TextureDescription,
    WrinkleDescription,
)
from addon.exchange.avatar_package import AvatarHead, AvatarParameters, AvatarWrinkles, file_sha256, write_package
from addon.exchange.conventions import JOINT_NAMES, VERSION
from addon.exchange.errors import PackageError
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_weights import DETAIL_FILE
from ml_backend.personalise.person_networks import PersonNetworks, write_person
from ml_backend.photo.read_photo import Photo
from ml_backend.texture.bake_texture import BakedTexture
from ml_backend.tracking.face_tracker import TrackedFace
from ml_backend.wrinkles.bake_wrinkles import BakedWrinkles

# how far beyond the landmarks the thumbnail reaches, as a fraction of their extent
THUMBNAIL_MARGIN = 0.35
DISPLACEMENT_MIDLEVEL = 0.5
# PNG's fastest setting: the files are large and are packed into the .blend as they are. Run lengths alone are found
# faster than repeated strings, and make no larger files of photos and maps.
PNG_PARAMETERS = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
# images that are encoded at once
WRITERS = 2
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
        texture, wrinkles: the person's maps.
        folder: of an avatar of many photos, what became of each; networks: adapted to the person, None for the shared
            ones; held_out: how well its head follows photos that were left out, None where none was.
    """

    name: str
    photo: Photo
    faces_found: int
    face_used: int
    face: TrackedFace
    head: HeadModel
    fit: CoarseFit
    texture: BakedTexture
    wrinkles: BakedWrinkles
    folder: tuple[FolderPhoto, ...] = ()
    networks: PersonNetworks | None = None
    held_out: HeldOutError | None = None


def write_avatar(target: Path, avatar: FittedAvatar, timings_s: dict[str, float]) -> AvatarDescription:
    """Write the package and return what its avatar.json says.

    Args:
        target: the package's folder; an older avatar there is replaced.
        timings_s: seconds of the stages so far.

    Raises:
        PackageError: it could not be written; nothing is left behind.
    """
    description = _description(avatar, timings_s)
    wrinkles, coding = avatar.wrinkles, description.wrinkles
    maps_coding = DisplacementDescription(coding.size_px, coding.scale_mm, coding.midlevel)

    def write_images(folder: Path) -> None:
        images = {
            package.ALBEDO_FILE: avatar.texture.albedo_srgb,
            package.PHOTO_FILE: avatar.photo.pixels,
            package.THUMBNAIL_FILE: face_crop(avatar.photo.pixels, avatar.face, package.THUMBNAIL_PX),
            package.DISPLACEMENT_FILE: displacement_values(wrinkles.neutral_mm, description.displacement),
            package.COMPRESSED_FILE: displacement_values(wrinkles.compressed_mm, maps_coding),
            package.EXPANDED_FILE: displacement_values(wrinkles.expanded_mm, maps_coding),
        }
        with ThreadPoolExecutor(WRITERS) as pool:
            # the list raises what a thread has raised
            list(pool.map(lambda name: write_png(folder / name, images[name]), images))
        if avatar.networks is not None:
            write_person(folder / package.PERSON_FILE, avatar.networks)

    fit = avatar.fit
    head = avatar_head(avatar.head, fit.shape, fit.expression, fit.pose)
    parameters = _avatar_parameters(fit, avatar.texture)
    write_package(target, description, head, parameters, write_images, _avatar_wrinkles(wrinkles))
    return description


def _description(avatar: FittedAvatar, timings_s: dict[str, float]) -> AvatarDescription:
    head, fit, texture, offset_mm = avatar.head, avatar.fit, avatar.texture, avatar.wrinkles.neutral_mm
    height, width = avatar.photo.pixels.shape[:2]
    return AvatarDescription(
        name=avatar.name,
        provenance=provenance(_photo_origin(avatar), HeadOrigin(head.name, head.licence, head.source), avatar.folder),
        part_names=head.part_names,
        expression_names=head.expression_names,
        camera=_camera_description(fit, (width, height)),
        photo_state=_photo_state(head, fit),
        displacement=displacement_description(offset_mm),
        texture=TextureDescription(texture.albedo_srgb.shape[0]),
        wrinkles=_wrinkle_description(avatar.wrinkles),
        part_colours={part: tuple(map(float, colour)) for part, colour in texture.part_colours.items()},
        quality=Quality(fit.landmark_error_percent, quality_words(fit.landmark_error_percent), fit.warnings),
        timings_s={stage: round(seconds, 4) for stage, seconds in timings_s.items()},
        person_networks=avatar.networks is not None,
        held_out=avatar.held_out,
    )


def _photo_origin(avatar: FittedAvatar) -> PhotoOrigin:
    photo = avatar.photo
    return PhotoOrigin(
        original_name=photo.original_name,
        sha256=photo.sha256,
        width=photo.original_width,
        height=photo.original_height,
        faces_found=avatar.faces_found,
        face_used=avatar.face_used,
    )


def provenance(photo: PhotoOrigin | None, head: HeadOrigin, folder: tuple[FolderPhoto, ...] = ()) -> Provenance:
    """What this program, now, says of where an avatar comes from."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Provenance(software="Likeness", version=VERSION, created=created, photo=photo, head=head, folder=folder)


def quality_words(landmark_error_percent: float) -> str:
    """A word for people."""
    return next((word for limit, word in QUALITY_WORDS if landmark_error_percent <= limit), "poor")


def displacement_description(offset_mm: np.ndarray) -> DisplacementDescription:
    """How a displacement (N,N) in mm is written: at least 0.1 mm from black to white, so that a flat map divides."""
    scale_mm = max(0.1, 2 * float(np.abs(offset_mm).max()))
    return DisplacementDescription(offset_mm.shape[0], scale_mm, DISPLACEMENT_MIDLEVEL)


def displacement_values(offset_mm: np.ndarray, description: DisplacementDescription) -> np.ndarray:
    """(N,N) uint16 of a displacement in millimetres (N,N)."""
    values = np.clip(offset_mm / description.scale_mm + description.midlevel, 0, 1)
    return (values * 65535 + 0.5).astype(np.uint16)


def _wrinkle_description(wrinkles: BakedWrinkles) -> WrinkleDescription:
    """Both maps share one coding, so that they can be blended as they stand."""
    coding = displacement_description(np.stack([wrinkles.compressed_mm, wrinkles.expanded_mm], 1))
    return WrinkleDescription(
        size_px=coding.size_px,
        scale_mm=coding.scale_mm,
        midlevel=coding.midlevel,
        full_compression=wrinkles.full_compression,
        full_stretch=wrinkles.full_stretch,
        distillation_error_um=wrinkles.error_um,
        seed=wrinkles.seed,
        age=wrinkles.age,
        detail_weights=None if wrinkles.detail is None else file_sha256(DETAIL_FILE),
    )


def _avatar_wrinkles(wrinkles: BakedWrinkles) -> AvatarWrinkles:
    return AvatarWrinkles(
        np.array(list(wrinkles.anchors), np.int32),
        np.array(list(wrinkles.anchors.values()), np.float32),
        wrinkles.line_gain,
        wrinkles.detail,
    )


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
def avatar_head(head: HeadModel, shape: torch.Tensor, expression: torch.Tensor, pose: torch.Tensor) -> AvatarHead:
    """The package's arrays of a head.

    Args:
        shape: (S,) of the person; expression: (E,) and pose: (15,) in the photo.
    """
    zero_expression, zero_pose = torch.zeros(1, head.num_expression), torch.zeros(1, pose.shape[0])
    neutral = head.vertices(shape[None], zero_expression, zero_pose)[0]
    posed = head.vertices(shape[None], expression[None], pose[None])[0]

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
        arkit_keys=floats(head.arkit_offsets(shape)),
        expression_keys=floats(head.skinned.expression_basis.permute(2, 0, 1)),
        expression_limits=floats(head.expression_limits),
        joints=floats(head.joints(shape[None])[0]),
        parents=np.array(head.parents(), np.int32),
        skinning_weights=floats(head.skinned.skinning_weights),
        pose_basis=floats(head.skinned.pose_basis),
        masks={name: floats(mask) for name, mask in head.masks.items()},
    )


def _avatar_parameters(fit: CoarseFit, texture: BakedTexture) -> AvatarParameters:
    # the texture may be of another colour than the fit's albedo; the light makes up for it
    light = fit.light.cpu() * torch.from_numpy(texture.light_scale)
    return AvatarParameters(
        *(value.cpu().numpy().astype(np.float32) for value in (fit.shape, fit.expression, fit.pose, light, fit.albedo))
    )


def face_crop(pixels: np.ndarray, face: TrackedFace, size_px: int) -> np.ndarray:
    """(size_px,size_px,3) square cut around a face's landmarks from a photo (H,W,3), borders replicated."""
    low, high = face.landmarks_px[:, :2].min(0), face.landmarks_px[:, :2].max(0)
    half = (high - low).max() * (0.5 + THUMBNAIL_MARGIN)
    scale = size_px / (2 * half)
    shift = size_px / 2 - (low + high) / 2 * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    # reduce first, so that a large photo is not sampled between its pixels
    reduction = max(1, int(1 / scale))
    if reduction > 1:
        pixels = cv2.resize(pixels, None, fx=1 / reduction, fy=1 / reduction, interpolation=cv2.INTER_AREA)
        matrix[:, :2] *= reduction
    size = (size_px, size_px)
    return cv2.warpAffine(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image, (H,W,3) RGB or (H,W) grey; through memory, since OpenCV's own writer cannot open every path."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", image, PNG_PARAMETERS)
    if not done:
        raise PackageError("image_encoding", f"{path.name} could not be encoded.", "Try again.")
    path.write_bytes(encoded.tobytes())
