"""Fixtures that several tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
ASTRONAUT = ROOT / ".cache" / "astronaut.png"


def pytest_configure() -> None:
    # Blender's own Python, in which the scene's tests run as well, has no torch
    if importlib.util.find_spec("torch"):
        import torch

        # small tensors: more threads only wait for each other
        torch.set_num_threads(1)


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
