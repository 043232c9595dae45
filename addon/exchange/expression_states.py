"""The expression and pose of an avatar frame by frame, as a file between the add-on and its worker."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .conventions import JOINT_NAMES
from .errors import PackageError
from .safetensors_file import read_safetensors, write_safetensors

FORMAT = "likeness-states-1"
# image sequences count from 0; Blender's own limit of a frame number
LAST_FRAME = 1_048_574
_ARRAYS = ("frames", "key_values", "joint_rotations")


@dataclass(frozen=True)
class ExpressionStates:
    """What an avatar shows in each of F frames.

    Attributes:
        frames: (F,) int32 frame numbers, ascending.
        key_names: K names of the package's shapes: ARKit's and the head's own.
        key_values: (F, K) float32 strengths.
        joint_rotations: (F, 5, 3) float32 axis-angle in the order of JOINT_NAMES, radians, relative to the parent,
            model axes.
    """

    frames: np.ndarray
    key_names: tuple[str, ...]
    key_values: np.ndarray
    joint_rotations: np.ndarray


def write_states(path: Path, states: ExpressionStates) -> None:
    """Write the states as .safetensors.

    Raises:
        PackageError: they cannot be written.
    """
    arrays = {name: np.ascontiguousarray(getattr(states, name)) for name in _ARRAYS}
    write_safetensors(path, arrays, {"format": FORMAT, "key_names": json.dumps(states.key_names)})


def read_states(path: Path) -> ExpressionStates:
    """Read and check states.

    Raises:
        PackageError: the file is missing, damaged or something else.
    """
    arrays, metadata = read_safetensors(path)
    if metadata.get("format") != FORMAT or set(arrays) != set(_ARRAYS):
        raise _damaged(path, "it holds something else")
    try:
        names = json.loads(metadata.get("key_names", ""))
    except ValueError as error:
        raise _damaged(path, "the names of its keys cannot be read") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _damaged(path, "the names of its keys cannot be read")
    states = ExpressionStates(key_names=tuple(names), **arrays)
    _check(path, states)
    return states


def _check(path: Path, states: ExpressionStates) -> None:
    count = len(states.frames) if states.frames.ndim == 1 else 0
    if not count or states.frames.dtype != np.int32:
        raise _damaged(path, "it has no frames")
    if states.frames[0] < 0 or states.frames[-1] > LAST_FRAME or (np.diff(states.frames) <= 0).any():
        raise _damaged(path, "its frames are not in order")
    shapes = {"key_values": (count, len(states.key_names)), "joint_rotations": (count, len(JOINT_NAMES), 3)}
    for name, shape in shapes.items():
        values = getattr(states, name)
        if values.shape != shape or values.dtype != np.float32 or not np.isfinite(values).all():
            raise _damaged(path, f"its {name.replace('_', ' ')} do not fit")


def _damaged(path: Path, reason: str) -> PackageError:
    return PackageError("states_damaged", f"{path.name} cannot be used: {reason}.", "Bake the wrinkles again.")
