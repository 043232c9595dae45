"""Loads a head: the open head that ships, a head file, or the user's own FLAME file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from addon.exchange.arkit import NUM_ARKIT
from addon.exchange.conventions import JOINT_PARENTS, NUM_JOINTS
from addon.exchange.errors import AssetMissing, HeadFileError
from ml_backend.head.head_model import HeadModel, SurfacePoints
from ml_backend.head.skinning import SkinnedModel

OPEN_HEAD_FILE = Path(__file__).resolve().parents[2] / "assets" / "open_head.safetensors"
FORMAT = "likeness-head-1"

_FLOAT_KEYS = (
    "template", "shape_basis", "expression_basis", "pose_basis", "joint_regressor", "skinning_weights", "uv",
    "landmarks_68_barycentric", "landmarks_478_barycentric", "landmarks_478_weight", "contour_yaw",
    "contour_barycentric", "arkit_expression", "arkit_pose",
)  # fmt: skip
_INDEX_KEYS = (
    "parents", "polygons", "triangles", "triangle_polygon", "uv_polygons", "uv_triangles", "polygon_part",
    "landmarks_68_triangle", "landmarks_478_triangle", "contour_triangle", "mirror_vertex",
)  # fmt: skip


def load_head(path: Path | None = None, device: str = "cpu", cache_folder: Path | None = None) -> HeadModel:
    """Load a head model.

    Args:
        path: None for the open head; a head file of ours; or a FLAME file (.pkl, .npz, .safetensors).
        device: torch device of the arrays.
        cache_folder: where a registered FLAME file is kept; the user's cache folder by default.

    Raises:
        AssetMissing: the open head is not there.
        HeadFileError: the file is missing, damaged, refused, or not a head.
    """
    if path is None:
        if not OPEN_HEAD_FILE.is_file():
            raise AssetMissing(
                "open_head_missing", "The open head is not there.", f"Run `build.py assets`: {OPEN_HEAD_FILE}."
            )
        path = OPEN_HEAD_FILE
    if not path.is_file():
        raise HeadFileError("head_file_missing", f"There is no head file {path}.", "Choose the file again.")
    if path.suffix == ".safetensors" and _metadata(path).get("format") == FORMAT:
        arrays, metadata = read_head_file(path)
    else:
        # imported here: registration needs scipy, which the open head does not
        from ml_backend.head.register_head import load_flame_head

        arrays, metadata = load_flame_head(path, cache_folder)
    return head_from_arrays(arrays, metadata, device)


def read_head_file(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays and metadata of a head file."""
    metadata = _metadata(path)
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, metadata  # noqa: SIM118 (not a dict)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise HeadFileError(
            "head_file_damaged", f"{path.name} is not a readable safetensors file ({error}).", "Get the file again."
        ) from error


def head_from_arrays(arrays: dict[str, np.ndarray], metadata: dict[str, str], device: str = "cpu") -> HeadModel:
    """Make a head model of the arrays of a head file, after checking that they belong together.

    Raises:
        HeadFileError: an array is missing or its shape does not fit.
    """
    missing = [key for key in _FLOAT_KEYS + _INDEX_KEYS if key not in arrays]
    if missing:
        raise HeadFileError("head_file_incomplete", f"The head file lacks {', '.join(missing)}.", "Get the file again.")
    _check_shapes(arrays)
    value = {key: torch.from_numpy(np.ascontiguousarray(arrays[key], np.float32)).to(device) for key in _FLOAT_KEYS}
    index = {key: torch.from_numpy(np.ascontiguousarray(arrays[key], np.int64)).to(device) for key in _INDEX_KEYS}
    regressor, shape_basis = value["joint_regressor"], value["shape_basis"]
    num_expression = value["expression_basis"].shape[2]
    skinned = SkinnedModel(
        template=value["template"],
        shape_basis=shape_basis,
        expression_basis=value["expression_basis"],
        pose_basis=value["pose_basis"],
        skinning_weights=value["skinning_weights"],
        joint_template=regressor @ value["template"],
        joint_shape_basis=(regressor @ shape_basis.flatten(1)).reshape(NUM_JOINTS, 3, -1),
        parents=JOINT_PARENTS,
    )
    return HeadModel(
        name=metadata.get("name", "head"),
        licence=metadata.get("licence", ""),
        source=metadata.get("source", ""),
        skinned=skinned,
        joint_regressor=regressor,
        polygons=index["polygons"],
        triangles=index["triangles"],
        triangle_polygon=index["triangle_polygon"],
        uv=value["uv"],
        uv_polygons=index["uv_polygons"],
        uv_triangles=index["uv_triangles"],
        polygon_part=index["polygon_part"],
        part_names=tuple(json.loads(metadata["part_names"])),
        expression_names=tuple(json.loads(metadata["expression_names"])),
        landmarks_68=SurfacePoints(index["landmarks_68_triangle"], value["landmarks_68_barycentric"]),
        landmarks_478=SurfacePoints(index["landmarks_478_triangle"], value["landmarks_478_barycentric"]),
        landmarks_478_weight=value["landmarks_478_weight"],
        landmarks_478_view_bias=_optional(arrays, "landmarks_478_view_bias", np.zeros((478, 2, 5)), device),
        contour=SurfacePoints(index["contour_triangle"], value["contour_barycentric"]),
        contour_yaw=value["contour_yaw"],
        masks={
            key[len("mask_") :]: torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)
            for key, array in arrays.items()
            if key.startswith("mask_")
        },
        mirror_vertex=index["mirror_vertex"],
        arkit_expression=value["arkit_expression"],
        arkit_pose=value["arkit_pose"],
        # named expressions, which need not say so, run from 0 to 1
        expression_limits=_optional(arrays, "expression_limits", np.tile([0.0, 1.0], (num_expression, 1)), device),
    )


def _optional(arrays: dict[str, np.ndarray], key: str, absent: np.ndarray, device: str) -> torch.Tensor:
    """An array of the file, or what stands for it where the file has none."""
    return torch.from_numpy(np.ascontiguousarray(arrays.get(key, absent), np.float32)).to(device)


def _check_shapes(arrays: dict[str, np.ndarray]) -> None:
    vertices = arrays["template"].shape[0]
    expressions = arrays["expression_basis"].shape[-1]
    expected: dict[str, tuple[int | None, ...]] = {
        "template": (vertices, 3),
        "shape_basis": (vertices, 3, None),
        "expression_basis": (vertices, 3, None),
        "pose_basis": (vertices, 3, 9 * (NUM_JOINTS - 1)),
        "joint_regressor": (NUM_JOINTS, vertices),
        "skinning_weights": (vertices, NUM_JOINTS),
        "polygons": (None, 4),
        "triangles": (None, 3),
        "uv": (None, 2),
        "mirror_vertex": (vertices,),
        "arkit_expression": (NUM_ARKIT, expressions),
        "arkit_pose": (NUM_ARKIT, 3 * NUM_JOINTS),
    }
    for key, shape in expected.items():
        actual = arrays[key].shape
        if len(actual) != len(shape) or any(want not in (None, have) for want, have in zip(shape, actual, strict=True)):
            raise HeadFileError(
                "head_file_shape", f"{key} of the head file is {actual}, not {shape}.", "Get the file again."
            )
    if tuple(int(parent) for parent in arrays["parents"]) != JOINT_PARENTS:
        raise HeadFileError(
            "head_file_joints", "The head file has another joint tree than root, neck, jaw and eyes.", "Choose a head."
        )
    if arrays["triangles"].max() >= vertices or arrays["triangles"].min() < 0:
        raise HeadFileError("head_file_indices", "The head file's triangles are damaged.", "Get the file again.")
