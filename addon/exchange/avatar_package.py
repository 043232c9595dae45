"""The avatar package: a folder that holds an avatar whole (docs/architecture.md, "The avatar package").

A package appears whole or not at all: it is written beside its target and renamed. Reading checks everything that the
Blender side relies on, and refuses what is damaged with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .avatar_description import FORMAT, SCHEMA_VERSION, AvatarDescription, FileRecord
from .errors import PackageError
from .package_checks import (
    PNG_GREY_16,
    PNG_RGB_8,
    PNG_RGBA_8,
    PackageMismatch,
    check_description,
    check_head,
    check_parameters,
    check_png,
    check_wrinkles,
    is_whole_png,
)
from .safetensors_file import read_safetensors, write_safetensors
from .typed_json import JsonMismatch, decode, encode
from .whole_folder import check_place, whole_folder

DESCRIPTION_FILE = "avatar.json"
HEAD_FILE = "head.safetensors"
PARAMETERS_FILE = "parameters.safetensors"
PHOTO_FILE = "photo.png"
ALBEDO_FILE = "albedo.png"
DISPLACEMENT_FILE = "displacement.png"
THUMBNAIL_FILE = "thumbnail.png"
# what an artist may paint on in the package; the rest belongs together and stays as it was written
EDITABLE_FILES = (ALBEDO_FILE, DISPLACEMENT_FILE)
WRINKLES_FILE = "wrinkles.safetensors"
COMPRESSED_FILE = "wrinkles_compressed.png"
EXPANDED_FILE = "wrinkles_expanded.png"
FILES = (HEAD_FILE, PARAMETERS_FILE, PHOTO_FILE, ALBEDO_FILE, DISPLACEMENT_FILE, THUMBNAIL_FILE)
# a head model alone has no photo
FILES_WITHOUT_PHOTO = tuple(name for name in FILES if name != PHOTO_FILE)
# what an avatar with wrinkle maps has besides
WRINKLE_FILES = (WRINKLES_FILE, COMPRESSED_FILE, EXPANDED_FILE)
# what adapts the learned networks to the person (`ml_backend/personalise/person_networks.py`)
PERSON_FILE = "person.safetensors"
MASK_PREFIX = "mask_"
DETAIL_PREFIX = "detail_"
# fields that are records of arrays of their own
RECORDS = ("masks", "detail")
THUMBNAIL_PX = 256
# what desktops put into folders that are looked at
_DESKTOP_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")
_FORMAT_WITHIN = 64
# no description comes near this; a larger file is something else
MAX_DESCRIPTION_BYTES = 16 * 2**20


@dataclass(frozen=True)
class AvatarHead:
    """The arrays of head.safetensors, model space, metres.

    Attributes:
        vertices: (V,3) the person's neutral; photo_vertices: (V,3) posed as in the photo, before any camera.
        polygons: (Q,4), -1 as the fourth corner of a triangle; triangles: (F,3).
        uv: (U,2); uv_polygons: (Q,4); uv_triangles: (F,3).
        polygon_part: (Q,) index into the description's part_names.
        arkit_keys: (52,V,3); expression_keys: (E,V,3): offsets at 1.
        expression_limits: (E,2) the range in which each expression coefficient looks right.
        joints: (5,3); parents: (5,); skinning_weights: (V,5); pose_basis: (V,3,36).
        masks: region name -> (V,) 0-1.
    """

    vertices: np.ndarray
    photo_vertices: np.ndarray
    polygons: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    uv_polygons: np.ndarray
    uv_triangles: np.ndarray
    polygon_part: np.ndarray
    arkit_keys: np.ndarray
    expression_keys: np.ndarray
    expression_limits: np.ndarray
    joints: np.ndarray
    parents: np.ndarray
    skinning_weights: np.ndarray
    pose_basis: np.ndarray
    masks: dict[str, np.ndarray]


@dataclass(frozen=True)
class AvatarParameters:
    """The arrays of parameters.safetensors: shape (S,), expression (E,), pose (15,), light (9,3), albedo (A,)."""

    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    light: np.ndarray
    albedo: np.ndarray


@dataclass(frozen=True)
class AvatarDetail:
    """The photo as the learned detail network has read it: what the network's wrinkles in any frame need.

    Attributes:
        gain: (V,) 0-1, how far the wrinkles come from the network; the rest is what the photo shows.
        texture: (N,N,3) uint8 sRGB, the photo unwrapped into the network's window; confidence: (N,N) uint8.
    """

    gain: np.ndarray
    texture: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class AvatarWrinkles:
    """The arrays of wrinkles.safetensors: what the exact wrinkles of any frame need besides the maps.

    Attributes:
        anchor_landmarks: (K,) int32 numbers of tracker landmarks; anchors: (K,3) their places on the neutral, metres.
        line_gain: (V,) 0-1, how far the wrinkles come from the drawn lines; the rest is what the photo shows, or what
            the learned detail adds.
        detail: of the learned detail, in the file with the prefix DETAIL_PREFIX; None where there is none.
    """

    anchor_landmarks: np.ndarray
    anchors: np.ndarray
    line_gain: np.ndarray
    detail: AvatarDetail | None = None


@dataclass(frozen=True)
class AvatarPackage:
    """A package that has been read and found whole; `wrinkles` is None where it has no wrinkle maps."""

    folder: Path
    description: AvatarDescription
    head: AvatarHead
    parameters: AvatarParameters
    wrinkles: AvatarWrinkles | None = None


@dataclass(frozen=True)
class _FileList:
    """The part of avatar.json that the writer adds."""

    files: dict[str, FileRecord]


def write_package(
    target: Path,
    description: AvatarDescription,
    head: AvatarHead,
    parameters: AvatarParameters,
    write_images: Callable[[Path], None],
    wrinkles: AvatarWrinkles | None = None,
) -> None:
    """Write a package; an older one at the same place is replaced once the new one is whole.

    Args:
        target: the package's folder.
        write_images: writes the four images (three without a photo) into the folder it is given, and the two wrinkle
            maps where there are wrinkles.
        wrinkles: as the description says; None where it has no wrinkles.

    Raises:
        PackageError: the place cannot be written, the disk is full, or something else lies there.
        ValueError: the avatar itself is not sound (JsonMismatch, PackageMismatch); a reader would refuse it.
    """
    with whole_folder(target, _is_nothing_but_a_package) as folder:
        arrays = {field.name: getattr(head, field.name) for field in fields(head) if field.name not in RECORDS}
        arrays |= {MASK_PREFIX + name: mask for name, mask in head.masks.items()}
        write_safetensors(folder / HEAD_FILE, arrays)
        write_safetensors(
            folder / PARAMETERS_FILE, {field.name: getattr(parameters, field.name) for field in fields(parameters)}
        )
        if wrinkles is not None:
            write_safetensors(folder / WRINKLES_FILE, _wrinkle_arrays(wrinkles))
        write_images(folder)
        records = {
            name: FileRecord(file_sha256(folder / name), (folder / name).stat().st_size)
            for name in files_of(description)
        }
        document = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            **encode(description),
            "files": encode(records),
        }
        _check(AvatarPackage(folder, decode(AvatarDescription, document), head, parameters, wrinkles))
        (folder / DESCRIPTION_FILE).write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def files_of(description: AvatarDescription) -> tuple[str, ...]:
    """The files that a package with this description holds beside it."""
    files = FILES if description.provenance.photo is not None else FILES_WITHOUT_PHOTO
    files += WRINKLE_FILES if description.wrinkles is not None else ()
    return (*files, PERSON_FILE) if description.person_networks else files


def check_target(target: Path) -> None:
    """Refuse, before any work, a place where no package can be written.

    Raises:
        PackageError: a file or another folder lies there, or the parent folder cannot be written.
    """
    check_place(target, _is_nothing_but_a_package)


def _is_nothing_but_a_package(folder: Path) -> bool:
    """Whether a folder may be replaced: an avatar, perhaps a damaged one, and no file of the user's own."""
    names = {path.name for path in folder.iterdir()}
    known = {*FILES, *WRINKLE_FILES, PERSON_FILE, DESCRIPTION_FILE, *_DESKTOP_FILES}
    if DESCRIPTION_FILE not in names or not names <= known:
        return False
    with (folder / DESCRIPTION_FILE).open("rb") as file:
        # the writer names the format first
        return f'"{FORMAT}"'.encode() in file.read(_FORMAT_WITHIN)


def read_package(folder: Path) -> AvatarPackage:
    """Read and check a package.

    Raises:
        PackageError: it is not a package, of another version, or damaged; the message says how.
    """
    document = _read_document(folder)
    try:
        description = decode(AvatarDescription, document)
        _check_files(folder, files_of(description), decode(_FileList, document).files)
        wrinkles = None if description.wrinkles is None else _read_wrinkles(folder)
        package = AvatarPackage(folder, description, _read_head(folder), _read_parameters(folder), wrinkles)
        _check(package)
    except (JsonMismatch, PackageMismatch) as error:
        raise _damaged(folder, str(error)) from error
    except OSError as error:
        raise _damaged(folder, f"{error.strerror or error}") from error
    return package


def _read_document(folder: Path) -> dict:
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise PackageError("not_a_package", f"{folder} is not an avatar package.", "Choose the folder of an avatar.")
    if path.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise _damaged(folder, f"{DESCRIPTION_FILE} is too large")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, f"{DESCRIPTION_FILE} is not readable ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PackageError("not_a_package", f"{path} does not describe an avatar.", "Choose the folder of an avatar.")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise PackageError(
            "package_version",
            f"{folder.name} was written for version {document.get('schema_version')} of the package format, "
            f"this program reads {SCHEMA_VERSION}.",
            "Make the avatar anew from its photo, or update Likeness.",
        )
    return document


def _check(package: AvatarPackage) -> None:
    """Check that everything fits together."""
    check_description(package.description)
    check_head(package.head, package.description)
    check_parameters(package.parameters, package.description)
    if (package.wrinkles is None) != (package.description.wrinkles is None):
        raise PackageMismatch("the description and the arrays of the wrinkles are not both there")
    if package.wrinkles is not None:
        check_wrinkles(package.wrinkles, len(package.head.vertices))
        if (package.wrinkles.detail is None) != (package.description.wrinkles.detail_weights is None):
            raise PackageMismatch("the description and the arrays of the learned detail are not both there")
    _check_images(package.folder, package.description)


def _check_files(folder: Path, names: tuple[str, ...], records: dict[str, FileRecord]) -> None:
    for name in names:
        path = folder / name
        if name not in records or not path.is_file():
            raise PackageMismatch(f"{name} is missing")
        is_original = path.stat().st_size == records[name].bytes and file_sha256(path) == records[name].sha256
        if not is_original and not (name in EDITABLE_FILES and is_whole_png(path)):
            raise PackageMismatch(f"{name} was changed or cut off")


def _check_images(folder: Path, description: AvatarDescription) -> None:
    texture, displacement = description.texture.size_px, description.displacement.size_px
    if description.camera is not None:
        check_png(folder / PHOTO_FILE, description.camera.image_size_px, PNG_RGB_8)
    # painting programs like to add an alpha channel
    check_png(folder / ALBEDO_FILE, (texture, texture), PNG_RGB_8, PNG_RGBA_8)
    check_png(folder / DISPLACEMENT_FILE, (displacement, displacement), PNG_GREY_16)
    check_png(folder / THUMBNAIL_FILE, (THUMBNAIL_PX, THUMBNAIL_PX), PNG_RGB_8)
    if description.wrinkles is not None:
        size = description.wrinkles.size_px
        for name in (COMPRESSED_FILE, EXPANDED_FILE):
            check_png(folder / name, (size, size), PNG_GREY_16)


def _read_head(folder: Path) -> AvatarHead:
    arrays, _ = read_safetensors(folder / HEAD_FILE)
    masks = {name[len(MASK_PREFIX) :]: array for name, array in arrays.items() if name.startswith(MASK_PREFIX)}
    return AvatarHead(**_select(arrays, AvatarHead), masks=masks)


def _read_parameters(folder: Path) -> AvatarParameters:
    arrays, _ = read_safetensors(folder / PARAMETERS_FILE)
    return AvatarParameters(**_select(arrays, AvatarParameters))


def _read_wrinkles(folder: Path) -> AvatarWrinkles:
    arrays, _ = read_safetensors(folder / WRINKLES_FILE)
    of_detail = {
        name.removeprefix(DETAIL_PREFIX): array for name, array in arrays.items() if name.startswith(DETAIL_PREFIX)
    }
    detail = AvatarDetail(**_select(of_detail, AvatarDetail)) if of_detail else None
    return AvatarWrinkles(**_select(arrays, AvatarWrinkles), detail=detail)


def _wrinkle_arrays(wrinkles: AvatarWrinkles) -> dict[str, np.ndarray]:
    """The arrays of wrinkles.safetensors by name."""
    arrays = {field.name: getattr(wrinkles, field.name) for field in fields(wrinkles) if field.name not in RECORDS}
    if wrinkles.detail is not None:
        arrays |= {DETAIL_PREFIX + field.name: getattr(wrinkles.detail, field.name) for field in fields(AvatarDetail)}
    return arrays


def _select(arrays: dict[str, np.ndarray], record: type) -> dict[str, np.ndarray]:
    """The arrays that a record names."""
    names = [field.name for field in fields(record) if field.name not in RECORDS]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise PackageMismatch(f"{', '.join(missing)} is missing")
    return {name: arrays[name] for name in names}


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: Path, reason: str) -> PackageError:
    return PackageError(
        "package_damaged", f"The avatar package {folder.name} is damaged: {reason}.", "Make it anew from its photo."
    )
