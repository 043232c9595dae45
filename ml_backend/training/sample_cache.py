"""Training samples on disk: made once, read many times, in any order, by any process.

A cache folder holds shards of 256 samples. A sample is a set of named arrays: images of 8 bits are kept as JPEG (three
channels) or PNG (one), all else as it is. A shard that is missing is made when a sample of it is asked for, and appears
whole or not at all; so one process may fill the folder while another one trains from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from addon.exchange.safetensors_file import write_safetensors
from ml_backend.training.training_config import TrainingError

SHARD_SAMPLES = 256
FORMAT = "likeness-samples-1"
# of the JPEG images: above it files grow and nothing is gained on samples that have seen a JPEG of their own
JPEG_QUALITY = 95
# endings of the two arrays that hold compressed images
BYTES, ENDS = ".bytes", ".ends"

Sample = dict[str, np.ndarray]


@dataclass(frozen=True)
class SampleSource:
    """Where samples come from.

    Attributes:
        make: a sample by its number, the same whenever and wherever it is asked for.
        count: how many there are.
        description: what they are made from (JSON values); a cache of another description is refused.
    """

    make: Callable[[int], Sample]
    count: int
    description: Mapping[str, Any]


class SampleCache:
    """The samples of a source, by number.

    Args:
        folder: made where it is missing.
        source: what missing shards are made from.

    Raises:
        TrainingError: on reading, where a shard is damaged or of another source.
    """

    def __init__(self, folder: Path, source: SampleSource) -> None:
        self.folder, self.source = folder, source
        folder.mkdir(parents=True, exist_ok=True)
        self._text = json.dumps(dict(source.description), sort_keys=True)
        self._open: dict[int, Any] = {}
        self._ends: dict[tuple[int, str], np.ndarray] = {}

    def __len__(self) -> int:
        return self.source.count

    @property
    def num_shards(self) -> int:
        """How many shards hold all samples."""
        return -(-self.source.count // SHARD_SAMPLES)

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < self.source.count:
            raise IndexError(f"there is no sample {number} of {self.source.count}")
        shard, place = divmod(number, SHARD_SAMPLES)
        file = self._shard(shard)
        sample: Sample = {}
        for key in file.keys():  # noqa: SIM118 (not a dict)
            if key.endswith(BYTES):
                name = key.removesuffix(BYTES)
                sample[name] = _decoded(self._compressed(file, shard, name, place))
            elif not key.endswith(ENDS):
                sample[key] = file.get_slice(key)[place : place + 1][0]
        return sample

    def path(self, shard: int) -> Path:
        """A shard's file."""
        return self.folder / f"shard_{shard:05d}.safetensors"

    def fill(self, part: int = 0, parts: int = 1, report: Callable[[str], None] | None = None) -> None:
        """Make the shards that are missing.

        Args:
            part, parts: this process makes every `parts`-th shard, from `part` on.
            report: takes a line of progress for each shard.
        """
        for shard in range(part, self.num_shards, parts):
            if not self.path(shard).is_file():
                self._make(shard)
            if report:
                report(f"shard {shard + 1} of {self.num_shards}")

    def _shard(self, shard: int) -> Any:
        if shard not in self._open:
            path = self.path(shard)
            if not path.is_file():
                self._make(shard)
            try:
                file = safe_open(path, framework="numpy")
            except (SafetensorError, OSError) as error:
                raise _damaged(path) from error
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("source") != self._text:
                raise TrainingError(
                    "samples_of_others",
                    f"{path} holds samples that were made with other settings.",
                    "Remove that folder or choose another one for the samples.",
                )
            if int(metadata.get("samples", 0)) < self._wanted(shard):
                raise TrainingError(
                    "samples_too_few",
                    f"{path} was made for a shorter run and holds too few samples.",
                    "Remove that file: it is made again, longer.",
                )
            self._open[shard] = file
        return self._open[shard]

    def _wanted(self, shard: int) -> int:
        """How many samples a shard has to hold."""
        return min(SHARD_SAMPLES, self.source.count - shard * SHARD_SAMPLES)

    def _compressed(self, file: Any, shard: int, name: str, place: int) -> np.ndarray:
        """(N,) bytes of one image."""
        if (shard, name) not in self._ends:
            self._ends[shard, name] = file.get_tensor(name + ENDS)
        ends = self._ends[shard, name]
        begin = int(ends[place - 1]) if place else 0
        return file.get_slice(name + BYTES)[begin : int(ends[place])]

    def _make(self, shard: int) -> None:
        first = shard * SHARD_SAMPLES
        samples = [self.source.make(number) for number in range(first, first + self._wanted(shard))]
        arrays: Sample = {}
        for name in samples[0]:
            values = [sample[name] for sample in samples]
            if _is_image(values[0]):
                encoded = [_encoded(value) for value in values]
                arrays[name + BYTES] = np.concatenate(encoded)
                arrays[name + ENDS] = np.cumsum([len(value) for value in encoded], dtype=np.int64)
            else:
                arrays[name] = np.stack(values)
        metadata = {"format": FORMAT, "source": self._text, "samples": str(len(samples))}
        write_safetensors(self.path(shard), arrays, metadata)


def _is_image(value: np.ndarray) -> bool:
    return value.dtype == np.uint8 and (value.ndim == 2 or (value.ndim == 3 and value.shape[2] == 3))


def _encoded(image: np.ndarray) -> np.ndarray:
    """(N,) bytes: JPEG of three channels, PNG of one."""
    if image.ndim == 2:
        return cv2.imencode(".png", image)[1].reshape(-1)
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].reshape(-1)


def _decoded(compressed: np.ndarray) -> np.ndarray:
    image = cv2.imdecode(compressed, cv2.IMREAD_UNCHANGED)
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def _damaged(path: Path) -> TrainingError:
    return TrainingError("samples_damaged", f"The samples {path} are damaged.", "Remove that file: it is made again.")
