"""Exact wrinkles of a range of frames: one displacement image a frame, of which only the changed ones are made again.

Each image carries in its header what it was made from, so that no list beside them can disagree with the files: whatever
stopped a bake, the next one keeps every whole image that is still right.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from addon.exchange.avatar_package import AvatarPackage
from addon.exchange.conventions import JOINT_NAMES, VERSION
from addon.exchange.errors import LikenessError
from addon.exchange.expression_states import ExpressionStates
from addon.exchange.worker_messages import frame_file_name
from ml_backend.wrinkles.exr_file import NoExrOfOurs, read_attributes, write_grey_exr

if TYPE_CHECKING:
    from ml_backend.wrinkles.frame_displacement import FrameModel

# to be raised when the same inputs give another image or another coding of it
FORMAT_VERSION = 1
_INPUTS_ATTRIBUTE = "likenessInputs"
_UNFINISHED = ".part"
_MM_PER_M = 1000.0
# the head's place in the room is no part of its wrinkles
_RIGID_JOINT = JOINT_NAMES.index("root")


class BakeStage(Enum):
    """What a bake does, in order; the values are for people."""

    READ_AVATAR = "Reading the avatar"
    DRAW_LINES = "Drawing the wrinkle lines"
    BAKE_FRAMES = "Baking wrinkles"


@dataclass(frozen=True)
class FrameBake:
    """What a bake did: images made (computed, or a second name for one of the same state) and images that were right."""

    frames_written: int
    frames_kept: int


# stage, the part of it that is done, and its text for people (empty: the stage's own)
Progress = Callable[[BakeStage, float, str], None]


def bake_frames(
    model: FrameModel,
    states: ExpressionStates,
    folder: Path,
    size_px: int | None = None,
    progress: Progress = lambda _stage, _fraction, _text: None,
) -> FrameBake:
    """Write the displacement of each frame as `wrinkles_####.exr`: half floats, millimetres outwards, row 0 at v = 1.

    Args:
        model: of the avatar.
        states: what it shows in each frame; the root's rotation changes nothing.
        folder: made where it is missing; other files in it are left alone.
        size_px: side of the images, at most that of the avatar's wrinkle maps; None: theirs.
        progress: called before each frame, and at the end; it may raise to stop the bake between two frames.

    Raises:
        LikenessError: the size or a name does not fit the avatar.
        OSError: nothing can be written there.
    """
    size = _checked_size(model.package, size_px)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder)
    inputs = frame_inputs(model.package, states, size)
    paths = [folder / frame_file_name(frame) for frame in states.frames.tolist()]
    whole = {path: wanted for path, wanted in zip(paths, inputs, strict=True) if _made_from(path) == wanted}
    todo = [index for index, path in enumerate(paths) if path not in whole]
    source = {wanted: path for path, wanted in whole.items()}
    if any(inputs[index] not in source for index in todo):
        progress(BakeStage.DRAW_LINES, 0.0, "")
        model.prepare()
    for done, index in enumerate(todo):
        text = f"{BakeStage.BAKE_FRAMES.value}: frame {states.frames[index]} ({done + 1} of {len(todo)})"
        progress(BakeStage.BAKE_FRAMES, done / len(todo), text)
        wanted, path = inputs[index], paths[index]
        if wanted in source:
            _put(path, lambda unfinished, same=source[wanted]: _second_name(same, unfinished))
        else:
            values_mm = _resized(_displacement_mm(model, states, index), size)
            _put(path, lambda unfinished, values=values_mm, made_from=wanted: write_grey_exr(
                unfinished, values, {_INPUTS_ATTRIBUTE: made_from}
            ))  # fmt: skip
            source[wanted] = path
    progress(BakeStage.BAKE_FRAMES, 1.0, "")
    return FrameBake(len(todo), len(whole))


def frame_inputs(package: AvatarPackage, states: ExpressionStates, size_px: int) -> list[str]:
    """For each frame a hash of everything that its image depends on."""
    description = package.description
    shared = hashlib.sha256(json.dumps([FORMAT_VERSION, VERSION, size_px, _file_hashes(package)]).encode())
    for record in (description.displacement, description.wrinkles):
        shared.update(json.dumps(asdict(record), sort_keys=True).encode())
    order = sorted(range(len(states.key_names)), key=lambda column: states.key_names[column])
    hashes = []
    for values, joints in zip(states.key_values, _posed(states.joint_rotations), strict=True):
        own = shared.copy()
        # a shape at 0 does nothing, whether the avatar has it or not
        shown = [(states.key_names[column], float(values[column])) for column in order if values[column]]
        own.update(json.dumps(shown).encode())
        own.update((joints + 0.0).astype("<f4").tobytes())
        hashes.append(own.hexdigest())
    return hashes


def _file_hashes(package: AvatarPackage) -> dict[str, str]:
    """What the package's files hold; the description itself names the avatar and times, which change no wrinkle."""
    return {path.name: _sha256(path) for path in sorted(package.folder.iterdir()) if path.name in _files_that_count()}


def _files_that_count() -> frozenset[str]:
    from addon.exchange.avatar_package import COMPRESSED_FILE, DISPLACEMENT_FILE, EXPANDED_FILE, HEAD_FILE, WRINKLES_FILE

    return frozenset((HEAD_FILE, DISPLACEMENT_FILE, COMPRESSED_FILE, EXPANDED_FILE, WRINKLES_FILE))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _posed(joint_rotations: np.ndarray) -> np.ndarray:
    joints = joint_rotations.copy()
    joints[:, _RIGID_JOINT] = 0.0
    return joints


def _checked_size(package: AvatarPackage, size_px: int | None) -> int:
    if package.description.wrinkles is None:
        raise LikenessError(
            "no_wrinkles", f"{package.folder.name} has no wrinkles.", "Make the avatar anew from its photo."
        )
    own = package.description.wrinkles.size_px
    if size_px is not None and not 1 <= size_px <= own:
        raise LikenessError(
            "bake_size", f"The avatar's wrinkles have {own} pixels, not {size_px}.", f"Choose a size up to {own}."
        )
    return size_px or own


def _displacement_mm(model: FrameModel, states: ExpressionStates, index: int) -> np.ndarray:
    key_values = dict(zip(states.key_names, states.key_values[index].tolist(), strict=True))
    joints = _posed(states.joint_rotations[index : index + 1])[0]
    pose = {name: tuple(turn) for name, turn in zip(JOINT_NAMES, joints.tolist(), strict=True)}
    return model.displacement(key_values, pose) * np.float32(_MM_PER_M)


def _resized(values: np.ndarray, size_px: int) -> np.ndarray:
    if len(values) == size_px:
        return values
    import cv2

    return cv2.resize(values, (size_px, size_px), interpolation=cv2.INTER_AREA)


def _made_from(path: Path) -> str | None:
    """The inputs that a whole image names; None where there is none."""
    try:
        return read_attributes(path).get(_INPUTS_ATTRIBUTE)
    except (NoExrOfOurs, OSError):
        return None


def _put(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside its place and rename it; an interrupt leaves the old one or the new one."""
    unfinished = path.with_name(f".{path.name}{_UNFINISHED}")
    try:
        write(unfinished)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _second_name(path: Path, second: Path) -> None:
    """The same content under a second name; a copy where the file system knows no second names."""
    try:
        os.link(path, second)
    except OSError:
        shutil.copyfile(path, second)


def _remove_unfinished(folder: Path) -> None:
    """What a killed bake left."""
    for path in folder.glob(f".{frame_file_name(0)[:-8]}*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            path.unlink()
