"""Checks that the parts of an avatar package fit together; each failure is one phrase that names the part."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .arkit import NUM_ARKIT
from .avatar_description import (
    PERSPECTIVE,
    SCALED_ORTHOGRAPHIC,
    AvatarDescription,
    CameraDescription,
    WrinkleDescription,
)
from .conventions import JOINT_NAMES, JOINT_PARENTS, NUM_JOINTS

if TYPE_CHECKING:
    from .avatar_package import AvatarDetail, AvatarHead, AvatarParameters, AvatarWrinkles

# the weights of a vertex are float32, some of them stored with fewer bits by other programs
WEIGHT_SUM_TOLERANCE = 1e-3
# of the tracker
NUM_LANDMARKS = 478

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# (bits per channel, PNG's colour type) of our images
PNG_RGB_8, PNG_RGBA_8, PNG_GREY_16 = (8, 2), (8, 6), (16, 0)
# bytes of a chunk's length and name, and of its checksum
_CHUNK_HEAD, _CHUNK_SUM = 8, 4


class PackageMismatch(ValueError):
    """Something in the package does not fit; the text says what."""


def check_description(description: AvatarDescription) -> None:
    """Check what the types of avatar.json do not say.

    Raises:
        PackageMismatch: a number is out of range, a name unknown.
    """
    if (description.camera is None) != (description.provenance.photo is None):
        raise PackageMismatch("camera and provenance.photo are not both there")
    if description.camera is not None:
        _check_camera(description.camera)
    if not description.displacement.scale_mm > 0:
        raise PackageMismatch("displacement.scale_mm is not positive")
    if description.wrinkles is not None:
        _check_wrinkle_numbers(description.wrinkles)
    if set(description.photo_state.pose) != set(JOINT_NAMES):
        raise PackageMismatch("photo_state.pose does not name the joints")
    unknown = set(description.photo_state.expression) - set(description.expression_names)
    if unknown:
        raise PackageMismatch(f"photo_state.expression has the unknown name {sorted(unknown)[0]}")
    if len(set(description.expression_names)) != len(description.expression_names):
        raise PackageMismatch("an expression name occurs twice")


def _check_wrinkle_numbers(wrinkles: WrinkleDescription) -> None:
    for name in ("scale_mm", "full_compression", "full_stretch"):
        if not getattr(wrinkles, name) > 0:
            raise PackageMismatch(f"wrinkles.{name} is not positive")
    if not 0 <= wrinkles.age <= 1:
        raise PackageMismatch("wrinkles.age is not between 0 and 1")
    if not 0 <= wrinkles.seed < 2**32:
        raise PackageMismatch("wrinkles.seed is not between 0 and 2^32")
    if wrinkles.distillation_error_um < 0:
        raise PackageMismatch("wrinkles.distillation_error_um is negative")


def _check_camera(camera: CameraDescription) -> None:
    if camera.kind not in (SCALED_ORTHOGRAPHIC, PERSPECTIVE):
        raise PackageMismatch(f"camera.kind is {camera.kind}")
    length = camera.scale_px_per_m if camera.kind == SCALED_ORTHOGRAPHIC else camera.focal_px
    if length <= 0 or min(camera.image_size_px) <= 0:
        raise PackageMismatch("the camera's scale, focal length or image size is not positive")


def check_head(head: AvatarHead, description: AvatarDescription) -> None:
    """Check shapes, types, indices and weights of the head's arrays.

    Raises:
        PackageMismatch: an array does not fit the others.
    """
    count, polygons, triangles, corners = len(head.vertices), len(head.polygons), len(head.triangles), len(head.uv)
    shapes = {
        "vertices": (count, 3),
        "photo_vertices": (count, 3),
        "uv": (corners, 2),
        "arkit_keys": (NUM_ARKIT, count, 3),
        "expression_keys": (len(description.expression_names), count, 3),
        "expression_limits": (len(description.expression_names), 2),
        "joints": (NUM_JOINTS, 3),
        "skinning_weights": (count, NUM_JOINTS),
        "pose_basis": (count, 3, 9 * (NUM_JOINTS - 1)),
    }
    for name, shape in shapes.items():
        _check_floats(name, getattr(head, name), shape)
    for name, mask in head.masks.items():
        _check_floats(f"the mask {name}", mask, (count,))
    # shape, lowest value, first value too high
    indices = {
        "polygons": ((polygons, 4), -1, count),
        "triangles": ((triangles, 3), 0, count),
        "uv_polygons": ((polygons, 4), -1, corners),
        "uv_triangles": ((triangles, 3), 0, corners),
        "polygon_part": ((polygons,), 0, len(description.part_names)),
        "parents": ((NUM_JOINTS,), -1, NUM_JOINTS),
    }
    for name, (shape, low, high) in indices.items():
        _check_indices(name, getattr(head, name), shape, low, high)
    _check_polygons(head)
    if tuple(head.parents.tolist()) != JOINT_PARENTS:
        raise PackageMismatch("parents is another tree than root, neck, jaw and eyes")
    if (head.expression_limits[:, 0] >= head.expression_limits[:, 1]).any():
        raise PackageMismatch("expression_limits has an empty range")
    if count and np.abs(head.skinning_weights.sum(1) - 1).max() > WEIGHT_SUM_TOLERANCE:
        raise PackageMismatch("skinning_weights do not sum to 1")


def _check_polygons(head: AvatarHead) -> None:
    if (head.polygons[:, :3] < 0).any() or (head.uv_polygons[:, :3] < 0).any():
        raise PackageMismatch("a polygon has fewer than three corners")
    if ((head.polygons < 0) != (head.uv_polygons < 0)).any():
        raise PackageMismatch("polygons and uv_polygons differ in their corners")


def check_parameters(parameters: AvatarParameters, description: AvatarDescription) -> None:
    """Check the arrays of parameters.safetensors.

    Raises:
        PackageMismatch: an array has another shape, or values that are not numbers.
    """
    shapes = {
        "shape": parameters.shape.shape[:1],
        "expression": (len(description.expression_names),),
        "pose": (3 * NUM_JOINTS,),
        "light": (9, 3),
        "albedo": parameters.albedo.shape[:1],
    }
    for name, shape in shapes.items():
        _check_floats(name, getattr(parameters, name), shape)


def check_wrinkles(wrinkles: AvatarWrinkles, num_vertices: int) -> None:
    """Check the arrays of wrinkles.safetensors.

    Raises:
        PackageMismatch: an array does not fit the head, or the others.
    """
    count = len(wrinkles.anchors)
    _check_floats("anchors", wrinkles.anchors, (count, 3))
    _check_indices("anchor_landmarks", wrinkles.anchor_landmarks, (count,), 0, NUM_LANDMARKS)
    _check_floats("line_gain", wrinkles.line_gain, (num_vertices,))
    if wrinkles.detail is not None:
        _check_detail(wrinkles.detail, num_vertices)


def _check_detail(detail: AvatarDetail, num_vertices: int) -> None:
    _check_floats("detail_gain", detail.gain, (num_vertices,))
    side = len(detail.confidence)
    for name, image, shape in (
        ("detail_texture", detail.texture, (side, side, 3)),
        ("detail_confidence", detail.confidence, (side, side)),
    ):
        if image.shape != shape or image.dtype != np.uint8:
            raise PackageMismatch(f"{name} is not an image of {side} x {side} bytes")


def _check_floats(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise PackageMismatch(f"{name} has the shape {array.shape}, not {shape}")
    if array.dtype.kind != "f":
        raise PackageMismatch(f"{name} holds {array.dtype}, not floats")
    if not np.isfinite(array).all():
        raise PackageMismatch(f"{name} has values that are not numbers")


def _check_indices(name: str, array: np.ndarray, shape: tuple[int, ...], low: int, high: int) -> None:
    if array.shape != shape:
        raise PackageMismatch(f"{name} has the shape {array.shape}, not {shape}")
    if array.dtype.kind not in "iu":
        raise PackageMismatch(f"{name} holds {array.dtype}, not indices")
    if array.size and (array.min() < low or array.max() >= high):
        raise PackageMismatch(f"{name} points beyond what there is")


def check_png(path: Path, size_px: tuple[int, int], *kinds: tuple[int, int]) -> None:
    """Check the header of an image: a PNG of this width and height, with the bits and colour type of one of `kinds`.

    Raises:
        PackageMismatch: it is something else.
    """
    with path.open("rb") as file:
        header = file.read(26)
    width, height = int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")
    if len(header) < 26 or header[:8] != _PNG_SIGNATURE or header[12:16] != b"IHDR":
        raise PackageMismatch(f"{path.name} is not a PNG file")
    if (width, height) != tuple(size_px):
        raise PackageMismatch(f"{path.name} is {width} x {height} pixels, not {size_px[0]} x {size_px[1]}")
    if (header[24], header[25]) not in kinds:
        raise PackageMismatch(f"{path.name} has the wrong colours or number of bits")


def is_whole_png(path: Path) -> bool:
    """Whether a file is a PNG to its last chunk and every chunk's checksum is right: edited, not damaged.

    Source: PNG specification, third edition, section 5 (chunks and their CRC-32).
    """
    content = path.read_bytes()
    if not content.startswith(_PNG_SIGNATURE):
        return False
    start = len(_PNG_SIGNATURE)
    while start + _CHUNK_HEAD + _CHUNK_SUM <= len(content):
        length = int.from_bytes(content[start : start + 4], "big")
        end = start + _CHUNK_HEAD + length
        if zlib.crc32(content[start + 4 : end]) != int.from_bytes(content[end : end + _CHUNK_SUM], "big"):
            return False
        if content[start + 4 : start + _CHUNK_HEAD] == b"IEND":
            return True
        start = end + _CHUNK_SUM
    return False
