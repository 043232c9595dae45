"""Fixtures that several tests share."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.interface_stage import Stage

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
ASTRONAUT = ROOT / ".cache" / "astronaut.png"

_EXIT_STATUS = pytest.StashKey[int]()


def pytest_configure() -> None:
    # Blender's own Python, in which the scene's tests run as well, has no torch
    if importlib.util.find_spec("torch"):
        import torch

        # small tensors: more threads only wait for each other
        torch.set_num_threads(1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    # After some tests of the add-on, bpy 4.5 waits for ever in its static destructors for a sound thread that nothing
    # ends; by now everything has been reported, so the process leaves without them.
    if "bpy" in sys.modules and _EXIT_STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of test photos and FLAME files that may lie beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("the shared folder is not beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def astronaut_photo() -> Path:
    """The demo's portrait, which build.py puts into .cache."""
    if not ASTRONAUT.is_file():
        pytest.skip("the portrait is not in .cache (build.py test fetches it)")
    return ASTRONAUT


@pytest.fixture(scope="session")
def astronaut_pixels(astronaut_photo: Path) -> np.ndarray:
    """(512,512,3) uint8 sRGB; one face, frontal, about 130 px wide."""
    from PIL import Image

    return np.asarray(Image.open(astronaut_photo).convert("RGB"))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The add-on switched on in this process's Blender, with a worker that is a short program."""
    # not every Python that runs tests has Blender
    from tests.interface_stage import raised

    with raised(tmp_path, monkeypatch) as stage:
        yield stage
