"""Reads the user's own FLAME file (.pkl, .npz, .safetensors) into arrays; says in one sentence when it is not one.

FLAME (Li et al. 2017): http://flame.is.tue.mpg.de; the model is never shipped with Likeness.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from addon.exchange.conventions import JOINT_PARENTS, NUM_JOINTS
from addon.exchange.errors import HeadFileError
from ml_backend.head.pickled_arrays import as_array, object_items
from ml_backend.head.restricted_unpickler import MAX_FILE_BYTES, load_pickle, loads_pickle

NUM_FLAME_SHAPES = 300  # FLAME's file: the first 300 of shapedirs are identity, the rest expression
MAX_FLAME_EXPRESSIONS = 100
_NUM_POSE_FEATURES = 9 * (NUM_JOINTS - 1)
# Head size without landmarks: FLAME is in metres, and no head and neck is outside this height.
_HEIGHT_RANGE_M = (0.1, 1.0)
_ARRAY_NAMES = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
_CHOOSE = "Choose FLAME's model file, such as FLAME2023.pkl."


@dataclass(frozen=True)
class FlameArrays:
    """FLAME's own arrays, in its file's order of vertices, metres.

    Attributes:
        template: (V,3) float64.
        shape_basis: (V,3,300) identity; expression_basis: (V,3,E) expression, E at most 100; float32.
        pose_basis: (V,3,36) float64, times vec(R_j - I), row-major, for neck, jaw, left eye, right eye.
        joint_regressor: (5,V) float64.
        skinning_weights: (V,5) float64.
        triangles: (F,3) int32.
        file_name: for messages and provenance.
    """

    template: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray
    pose_basis: np.ndarray
    joint_regressor: np.ndarray
    skinning_weights: np.ndarray
    triangles: np.ndarray
    file_name: str

    @property
    def joints(self) -> np.ndarray:
        """(5,3) joints of the template, metres."""
        return self.joint_regressor @ self.template


def read_flame_file(path: Path) -> FlameArrays:
    """Read a FLAME model file.

    Args:
        path: .pkl (FLAME 2020, 2023, 2023 Open), .npz or .safetensors with FLAME's names.

    Raises:
        HeadFileError: the file is missing, too large, damaged, refused (a pickle that asks for more than arrays) or
            not FLAME.
    """
    readers = {".pkl": _read_pickle, ".npz": _read_npz, ".safetensors": _read_safetensors}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise HeadFileError(
            "head_file_kind", f"{path.name} is not a .pkl, .npz or .safetensors file.", "Choose FLAME's model file."
        )
    try:
        size = path.stat().st_size
    except OSError as error:
        raise HeadFileError("head_file_missing", f"{path} cannot be read ({error.strerror}).", _CHOOSE) from error
    if size > MAX_FILE_BYTES:
        raise HeadFileError("head_file_too_large", f"{path.name} is larger than 1 GiB.", _CHOOSE)
    return flame_from_arrays(reader(path), path.name)


def flame_from_arrays(arrays: dict[str, np.ndarray], file_name: str) -> FlameArrays:
    """Check FLAME's arrays, by FLAME's names, and split them.

    Raises:
        HeadFileError: it is not FLAME, with the first reason found.
    """
    if missing := [name for name in _ARRAY_NAMES if name not in arrays]:
        raise HeadFileError("not_flame", f"{file_name} is not a FLAME model: it has no {', '.join(missing)}.", _CHOOSE)
    if problem := _misfit(arrays):
        raise HeadFileError("not_flame", f"{file_name} is not a FLAME model: {problem}.", _CHOOSE)
    shapedirs = np.ascontiguousarray(arrays["shapedirs"], np.float32)
    return FlameArrays(
        template=np.ascontiguousarray(arrays["v_template"], np.float64),
        shape_basis=shapedirs[:, :, :NUM_FLAME_SHAPES],
        expression_basis=shapedirs[:, :, NUM_FLAME_SHAPES : NUM_FLAME_SHAPES + MAX_FLAME_EXPRESSIONS],
        pose_basis=np.ascontiguousarray(arrays["posedirs"], np.float64),
        joint_regressor=np.ascontiguousarray(arrays["J_regressor"], np.float64),
        skinning_weights=np.ascontiguousarray(arrays["weights"], np.float64),
        triangles=np.ascontiguousarray(arrays["f"], np.int32),
        file_name=file_name,
    )


def _misfit(arrays: dict[str, np.ndarray]) -> str | None:
    """What does not fit FLAME, as the end of a sentence; None when all does."""
    template, weights = arrays["v_template"], arrays["weights"]
    if template.ndim != 2 or template.shape[1] != 3 or not len(template):
        return f"v_template is {template.shape}, not a list of points"
    vertices = len(template)
    if weights.ndim != 2 or weights.shape[1] != NUM_JOINTS:
        joints = weights.shape[-1] if weights.ndim else 0
        return f"it has {vertices:,} vertices and {joints} joints where a head has {NUM_JOINTS}"
    shapedirs = arrays["shapedirs"]
    if shapedirs.ndim != 3 or shapedirs.shape[:2] != (vertices, 3) or shapedirs.shape[2] <= NUM_FLAME_SHAPES:
        return f"shapedirs is {shapedirs.shape}, not ({vertices}, 3, more than {NUM_FLAME_SHAPES})"
    expected = {
        "posedirs": (vertices, 3, _NUM_POSE_FEATURES),
        "J_regressor": (NUM_JOINTS, vertices),
        "weights": (vertices, NUM_JOINTS),
        "kintree_table": (2, NUM_JOINTS),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            return f"{name} is {arrays[name].shape}, not {shape}"
    return _misfit_of_values(arrays)


def _misfit_of_values(arrays: dict[str, np.ndarray]) -> str | None:
    """As `_misfit`, once the shapes are right."""
    faces, vertices = arrays["f"], len(arrays["v_template"])
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu" or not len(faces):
        return f"f is {faces.shape}, not a list of triangles"
    if int(faces.min()) < 0 or int(faces.max()) >= vertices:
        return "its triangles name vertices that are not there"
    parents = arrays["kintree_table"][0].astype(np.int64)
    # the root's parent is written as -1, as 2^32 - 1 or as 0
    if tuple(parents[1:]) != JOINT_PARENTS[1:]:
        return f"its joints hang together as {parents[1:].tolist()}, not as {list(JOINT_PARENTS[1:])}"
    for name in _ARRAY_NAMES:
        if arrays[name].dtype.kind == "f" and not np.isfinite(arrays[name]).all():
            return f"{name} holds numbers that are not finite"
    if not np.allclose(arrays["weights"].sum(1), 1, atol=1e-3):
        return "its skinning weights do not sum to one"
    height = float(np.ptp(arrays["v_template"][:, 1]))
    if not _HEIGHT_RANGE_M[0] <= height <= _HEIGHT_RANGE_M[1]:
        return f"it is {height:.3g} m high"
    return None


# --- the three kinds of file ------------------------------------------------------------------------------------------


def _read_pickle(path: Path) -> dict[str, np.ndarray]:
    return _arrays_of_records(load_pickle(path), path.name)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in _ARRAY_NAMES if name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path.name, error) from error


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_FILE_BYTES:
                raise HeadFileError("head_file_too_large", f"{path.name} unpacks to more than 1 GiB.", _CHOOSE)
            present = {name for name in _ARRAY_NAMES if f"{name}.npy" in archive.namelist()}
            return {name: read_npy(archive.read(f"{name}.npy"), f"{path.name}/{name}") for name in sorted(present)}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path.name, error) from error


def read_npy(data: bytes, file_name: str) -> np.ndarray:
    """Read one .npy array; an object array (a pickled sparse matrix) goes through the restricted unpickler.

    Raises:
        HeadFileError: its pickle is refused or holds no array of numbers.
        ValueError: it is no .npy file.
    """
    content = io.BytesIO(data)
    if not npy_holds_objects(content):
        content.seek(0)
        return np.lib.format.read_array(content, allow_pickle=False)
    items = object_items(loads_pickle(content.read(), file_name))
    if len(items) != 1:
        raise ValueError(f"{file_name} holds {len(items)} objects instead of an array")
    return as_array(items[0])


def npy_holds_objects(content: io.BytesIO) -> bool:
    """Whether a .npy file holds a pickle; leaves the reader after the header.

    Raises:
        ValueError: it is no .npy file.
    """
    version = np.lib.format.read_magic(content)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an .npy file of version {version}")
    return bool(readers[version](content)[2].hasobject)


def _arrays_of_records(content: Any, file_name: str) -> dict[str, np.ndarray]:
    if not isinstance(content, dict):
        raise HeadFileError("not_flame", f"{file_name} is not a FLAME model: it holds no named arrays.", _CHOOSE)
    arrays = {}
    for name in _ARRAY_NAMES:
        if name in content:
            try:
                arrays[name] = as_array(content[name])
            except (ValueError, TypeError, LookupError, OverflowError) as error:
                raise HeadFileError(
                    "head_file_damaged", f"{name} of {file_name} is {error}.", "Get the file again."
                ) from error
    return arrays


def _damaged(file_name: str, error: Exception) -> HeadFileError:
    return HeadFileError(
        "head_file_damaged", f"{file_name} is damaged or of another kind ({error}).", "Get the file again."
    )
