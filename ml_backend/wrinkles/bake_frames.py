"""Exact wrinkles of a range of frames: one displacement image a frame, of which only the changed ones are made again.

Each image carries in its header what it was made from, so that whatever stopped a bake, the next one keeps every whole
image that is still right. The index beside them repeats that for readers that know no OpenEXR.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from addon.exchange.avatar_package import (
    COMPRESSED_FILE,
    DISPLACEMENT_FILE,
    EXPANDED_FILE,
    HEAD_FILE,
    PERSON_FILE,
    WRINKLES_FILE,
    AvatarPackage,
    file_sha256,
)
from addon.exchange.conventions import JOINT_NAMES, VERSION
from addon.exchange.errors import LikenessError
from addon.exchange.expression_states import ExpressionStates
from addon.exchange.wrinkle_frames import (
    FRAME_STEM,
    INDEX_FILE,
    FrameIndex,
    frame_file_name,
    frame_of_file,
    write_index,
)
from ml_backend.wrinkles.exr_file import NoExrOfOurs, read_attributes, write_grey_exr
from ml_backend.wrinkles.frame_displacement import FrameModel

# to be raised when the same inputs give another image or another coding of it
FORMAT_VERSION = 1
_INPUTS_ATTRIBUTE = "likenessInputs"
_UNFINISHED = ".part"
_MM_PER_M = 1000.0
# the head's place in the room is no part of its wrinkles
_RIGID_JOINT = JOINT_NAMES.index("root")
# what of a package the wrinkles are made of: its description also names the avatar and tells times
_FILES_THAT_COUNT = (HEAD_FILE, DISPLACEMENT_FILE, COMPRESSED_FILE, EXPANDED_FILE, WRINKLES_FILE)


class BakeStage(Enum):
    """What a bake does, in order; the values are for people."""

    READ_AVATAR = "reading the avatar"
    DRAW_LINES = "drawing the wrinkle lines"
    BAKE_FRAMES = "baking wrinkles"


@dataclass(frozen=True)
class BakeStep:
    """Where a bake is.

    Attributes:
        stage: at work.
        done, total: images made, and to be made by this bake.
        frame: at work; None between stages.
    """

    stage: BakeStage
    done: int = 0
    total: int = 0
    frame: int | None = None


@dataclass(frozen=True)
class FrameBake:
    """What a bake did.

    Attributes:
        frames_made: images computed, and second names given to one of the same state.
        frames_kept: images that were right already.
    """

    frames_made: int
    frames_kept: int


Progress = Callable[[BakeStep], None]


@torch.no_grad()
def bake_frames(
    model: FrameModel,
    states: ExpressionStates,
    folder: Path,
    size_px: int | None = None,
    owner: str = "",
    progress: Progress = lambda _step: None,
) -> FrameBake:
    """Write the displacement of each frame as `wrinkles_####.exr`: half floats, millimetres outwards, row 0 at v = 1.

    Args:
        model: of the avatar.
        states: what it shows in each frame; the root's rotation changes nothing.
        folder: made where it is missing; other files in it are left alone.
        size_px: side of the images, at most that of the avatar's wrinkle maps; None: theirs.
        owner: for the index.
        progress: called before each step, and at the end; it may raise to stop the bake between two frames.

    Raises:
        LikenessError: the size or a name does not fit the avatar.
        OSError: nothing can be written there.
    """
    size = _checked_size(model.package, size_px)
    folder.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder)
    inputs = dict(zip(states.frames.tolist(), frame_inputs(model.package, states, size), strict=True))
    found = _images_in(folder)
    todo = [frame for frame, wanted in inputs.items() if found.get(frame) != wanted]
    # written first, too, so that the folder says whose it is while it is filled
    _write_index(folder, FrameIndex(owner, size, found))
    try:
        _make_images(model, states, inputs, todo, _Folder(folder, size, found), progress)
    except BaseException:
        with contextlib.suppress(OSError):
            _write_index(folder, FrameIndex(owner, size, found))
        raise
    _write_index(folder, FrameIndex(owner, size, found))
    progress(BakeStep(BakeStage.BAKE_FRAMES, len(todo), len(todo)))
    return FrameBake(len(todo), len(inputs) - len(todo))


@dataclass(frozen=True)
class _Folder:
    """Where images are put, their side, and frame to inputs of those that are there."""

    path: Path
    size_px: int
    found: dict[int, str]


def _make_images(
    model: FrameModel,
    states: ExpressionStates,
    inputs: Mapping[int, str],
    todo: Sequence[int],
    folder: _Folder,
    progress: Progress,
) -> None:
    """Make the images of some frames, one after the other; a frame whose state another one has costs nothing."""
    # images that stay; those of `todo` are about to go
    remade = set(todo)
    source = {made_from: frame for frame, made_from in folder.found.items() if frame not in remade}
    if any(inputs[frame] not in source for frame in todo):
        progress(BakeStep(BakeStage.DRAW_LINES, 0, len(todo)))
        _prepare(model)
    for done, frame in enumerate(todo):
        progress(BakeStep(BakeStage.BAKE_FRAMES, done, len(todo), frame))
        made_from, path = inputs[frame], folder.path / frame_file_name(frame)
        if made_from in source:
            same = folder.path / frame_file_name(source[made_from])
            _put(path, partial(_second_name, same))
        else:
            values_mm = _resized(_displacement_mm(model, states, frame), folder.size_px)
            _put(path, partial(write_grey_exr, values=values_mm, attributes={_INPUTS_ATTRIBUTE: made_from}))
        source[made_from] = frame
        folder.found[frame] = made_from


def _prepare(model: FrameModel) -> None:
    """Work out what all frames share."""
    _ = model.texels, model.prior, model.distilled, model.neutral_m, model.compressed_m, model.expanded_m, model.learned


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
    names = (*_FILES_THAT_COUNT, PERSON_FILE) if package.description.person_networks else _FILES_THAT_COUNT
    return {name: file_sha256(package.folder / name) for name in names}


def _posed(joint_rotations: np.ndarray) -> np.ndarray:
    joints = joint_rotations.copy()
    joints[:, _RIGID_JOINT] = 0.0
    return joints


def _checked_size(package: AvatarPackage, size_px: int | None) -> int:
    own = package.description.wrinkles.size_px
    if size_px is not None and not 1 <= size_px <= own:
        raise LikenessError(
            "bake_size", f"The avatar's wrinkles have {own} pixels, not {size_px}.", f"Choose a size up to {own}."
        )
    return size_px or own


def _displacement_mm(model: FrameModel, states: ExpressionStates, frame: int) -> np.ndarray:
    row = int(np.searchsorted(states.frames, frame))
    key_values = dict(zip(states.key_names, states.key_values[row].tolist(), strict=True))
    joints = _posed(states.joint_rotations[row : row + 1])[0]
    pose = {name: tuple(turn) for name, turn in zip(JOINT_NAMES, joints.tolist(), strict=True)}
    return model.displacement(key_values, pose) * np.float32(_MM_PER_M)


def _resized(values: np.ndarray, size_px: int) -> np.ndarray:
    if len(values) == size_px:
        return values
    return cv2.resize(values, (size_px, size_px), interpolation=cv2.INTER_AREA)


def _images_in(folder: Path) -> dict[int, str]:
    """Frame to what its image names as its inputs, for every whole image of ours."""
    found = {}
    for path in folder.iterdir():
        frame = frame_of_file(path.name)
        if frame is None:
            continue
        with contextlib.suppress(NoExrOfOurs, OSError):
            found[frame] = read_attributes(path).get(_INPUTS_ATTRIBUTE, "")
    return found


def _write_index(folder: Path, index: FrameIndex) -> None:
    _put(folder / INDEX_FILE, lambda unfinished: write_index(unfinished, index))


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
        second.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, second)


def _remove_unfinished(folder: Path) -> None:
    """What a killed bake left."""
    for path in folder.glob(f".{FRAME_STEM}*{_UNFINISHED}"):
        with contextlib.suppress(OSError):
            path.unlink()
