"""Reads FLAME's official side files, when the user has put them beside the model: they win over what was derived.

Looked for by name, in the model's own folder only. All are optional and all are further downloads.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from addon.exchange.errors import HeadFileError
from ml_backend.head.flame_file import FlameArrays, npy_holds_objects, read_npy
from ml_backend.head.pickled_arrays import StorageRecord, TensorRecord, as_array, object_items
from ml_backend.head.restricted_unpickler import MAX_FILE_BYTES, TENSOR_NAMES, load_pickle, loads_pickle

LANDMARKS_68 = "landmark_embedding.npy"
LANDMARKS_MEDIAPIPE = "mediapipe_landmark_embedding.npz"
MASKS = "FLAME_masks.pkl"
TEXTURE_LAYOUT = "head_template.obj"

# What damaged files make numpy, zipfile and torch raise.
_DAMAGE = (ValueError, LookupError, TypeError, OSError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile)
_NUM_CONTOUR = 17
# The dynamic contour has one entry per degree: 0 to 39, then -1 to -39 (DECA, "landmark_embedding.npy").
_NUM_DEGREES = 39
# Our region -> the official regions that make it up.
_MASK_SOURCES = {
    "mask_face": ("face",),
    "mask_forehead": ("forehead",),
    "mask_nose": ("nose",),
    "mask_lips": ("lips",),
    "mask_eye_region_left": ("left_eye_region",),
    "mask_eye_region_right": ("right_eye_region",),
    "mask_ears": ("left_ear", "right_ear"),
    "mask_scalp": ("scalp",),
    "mask_neck": ("neck",),
    "mask_boundary": ("boundary",),
}


def official_files(path: Path) -> dict[str, Path]:
    """The side files that lie beside a FLAME file, by name."""
    names = (LANDMARKS_68, LANDMARKS_MEDIAPIPE, MASKS, TEXTURE_LAYOUT)
    return {name: path.parent / name for name in names if (path.parent / name).is_file()}


def read_official_files(path: Path, flame: FlameArrays, derived: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the side files beside a FLAME file say, as arrays of a head file.

    Args:
        path: the FLAME file.
        flame: its content.
        derived: the head's arrays so far; where a file says only part, the rest comes from here.

    Returns:
        The arrays to replace, and `official_uv`, `official_uv_triangles`. The official texture layout is added and does
        not replace `uv`: textures and the albedo basis live in the open head's layout.

    Raises:
        HeadFileError: a side file is damaged, refused, or belongs to another mesh.
    """
    readers = {
        LANDMARKS_68: _landmarks_68,
        LANDMARKS_MEDIAPIPE: _landmarks_mediapipe,
        MASKS: _masks,
        TEXTURE_LAYOUT: _texture_layout,
    }
    arrays: dict[str, np.ndarray] = {}
    for name, file in official_files(path).items():
        if file.stat().st_size > MAX_FILE_BYTES:
            raise HeadFileError("side_file_too_large", f"{name} is larger than 1 GiB.", "Take it away or replace it.")
        try:
            arrays.update(readers[name](file, flame, derived))
        except _DAMAGE as error:
            raise HeadFileError(
                "side_file_damaged",
                f"{name} beside {flame.file_name} is damaged or of another mesh ({error}).",
                "Take it away or replace it.",
            ) from error
    return arrays


# --- landmarks --------------------------------------------------------------------------------------------------------


def _landmarks_68(file: Path, flame: FlameArrays, _: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    content = _dict_in_npy(file)
    full = _embedding(content, "full_lmk_faces_idx", "full_lmk_bary_coords", flame)
    contour = _embedding(content, "dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords", flame)
    if full[0].size != 68 or contour[0].shape != (2 * _NUM_DEGREES + 1, _NUM_CONTOUR):
        raise ValueError(f"{full[0].size} landmarks and a contour of {contour[0].shape}")
    entry_degrees = np.concatenate([np.arange(_NUM_DEGREES + 1), -np.arange(1, _NUM_DEGREES + 1)])
    degrees = entry_degrees * _turning_sense(flame, *contour)
    order = np.argsort(degrees)
    return {
        "landmarks_68_triangle": full[0].reshape(68),
        "landmarks_68_barycentric": full[1].reshape(68, 3),
        "contour_yaw": np.radians(degrees[order]).astype(np.float32),
        "contour_triangle": contour[0][order],
        "contour_barycentric": contour[1][order],
    }


def _turning_sense(flame: FlameArrays, triangle: np.ndarray, barycentric: np.ndarray) -> int:
    """1 when entry 39 is for a head turned to its left, else -1: there the contour moves in on the left side."""
    points = np.einsum("ynk,ynkc->ync", barycentric, flame.template[flame.triangles[triangle]])
    moved = np.linalg.norm(points[_NUM_DEGREES] - points[0], axis=1)
    left = points[0, :, 0] > 0
    return 1 if moved[left].sum() > moved[~left].sum() else -1


def _dict_in_npy(file: Path) -> dict[str, Any]:
    content = io.BytesIO(file.read_bytes())
    if not npy_holds_objects(content):
        raise ValueError("it holds no named arrays")
    items = object_items(loads_pickle(content.read(), file.name, TENSOR_NAMES))
    if len(items) != 1 or not isinstance(items[0], dict):
        raise ValueError("it holds no named arrays")
    return items[0]


def _embedding(
    content: dict[str, Any], triangle_name: str, barycentric_name: str, flame: FlameArrays
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles and barycentrics of landmarks, checked against the mesh."""
    triangle, barycentric = (_number_array(content[name]) for name in (triangle_name, barycentric_name))
    if barycentric.shape != (*triangle.shape, 3):
        raise ValueError(f"{barycentric_name} is {barycentric.shape}")
    if triangle.min() < 0 or triangle.max() >= len(flame.triangles):
        raise ValueError(f"{triangle_name} names triangles that are not there")
    return triangle.astype(np.int32), barycentric.astype(np.float32)


def _number_array(value: Any) -> np.ndarray:
    return _tensor_array(value) if isinstance(value, TensorRecord) else as_array(value)


def _tensor_array(record: TensorRecord) -> np.ndarray:
    """The numbers of a torch tensor; torch's own weights-only reader, which runs nothing, unpacks its storage."""
    import torch

    storage, offset, size, stride = record.arguments[:4]
    if not isinstance(storage, StorageRecord) or len(storage.arguments) != 1:
        raise ValueError("a tensor without content")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch deprecates the class that the official file was saved from
        loaded = torch.load(io.BytesIO(storage.arguments[0]), map_location="cpu", weights_only=True)
        flat = torch.frombuffer(bytearray(bytes(loaded.untyped())), dtype=loaded.dtype)
    return torch.as_strided(flat, size, stride, offset).numpy().copy()


def _landmarks_mediapipe(file: Path, flame: FlameArrays, derived: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        content = {
            name: read_npy(archive.read(f"{name}.npy"), file.name)
            for name in ("lmk_face_idx", "lmk_b_coords", "landmark_indices")
        }
    triangle, barycentric = _embedding(content, "lmk_face_idx", "lmk_b_coords", flame)
    index = content["landmark_indices"].astype(np.int64)
    if index.shape != triangle.shape or index.min() < 0 or index.max() >= 478:
        raise ValueError(f"landmark_indices is {index.shape}")
    result = {name: derived[f"landmarks_478_{name}"].copy() for name in ("triangle", "barycentric", "weight")}
    result["triangle"][index], result["barycentric"][index], result["weight"][index] = triangle, barycentric, 1
    return {f"landmarks_478_{name}": array for name, array in result.items()}


# --- regions and texture layout ---------------------------------------------------------------------------------------


def _masks(file: Path, flame: FlameArrays, _: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    content = load_pickle(file)
    if not isinstance(content, dict):
        raise ValueError("it holds no named regions")
    masks = {}
    for name, sources in _MASK_SOURCES.items():
        if all(source in content for source in sources):
            vertices = np.concatenate([as_array(content[source]).astype(np.int64) for source in sources])
            if vertices.min(initial=0) < 0:
                raise ValueError(f"region {sources[0]} names vertices that are not there")
            masks[name] = np.zeros(len(flame.template), np.float32)
            masks[name][vertices] = 1
    return masks


def _texture_layout(file: Path, flame: FlameArrays, _: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Texture coordinates of an .obj of the same mesh; its faces may be in another order."""
    uv, faces = [], []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        kind, *values = line.split()[:5] or [""]
        if kind == "vt":
            uv.append([float(value) for value in values[:2]])
        elif kind == "f":
            faces.append([[int(part) - 1 for part in value.split("/")[:2]] for value in values])
    corners = np.array(faces)
    if corners.shape != (len(flame.triangles), 3, 2) or corners[..., 1].min() < 0 or corners[..., 1].max() >= len(uv):
        raise ValueError(f"its faces are {corners.shape}")
    by_corners = {tuple(sorted(face[:, 0])): dict(face.tolist()) for face in corners}
    uv_triangles = [
        [by_corners[tuple(sorted(triangle))][corner] for corner in triangle] for triangle in flame.triangles.tolist()
    ]
    return {
        "official_uv": np.array(uv, np.float32),
        "official_uv_triangles": np.array(uv_triangles, np.int32),
    }
