"""`python -m ml_backend folder`: one avatar of a folder of photos."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from addon.exchange.errors import LikenessError
from addon.exchange.typed_json import encode
from ml_backend.pipeline import DEFAULT_WRINKLE_AGE, PipelineOptions

if TYPE_CHECKING:
    from ml_backend.loaded_models import LoadedModels
    from ml_backend.personalise.folder_avatar import FolderOptions, FolderStage

DEFAULT_MOST_PHOTOS = 40


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("folder", type=Path, help="photos that show one person, with others among them or not")
    parser.add_argument("--out", type=Path, metavar="PACKAGE", help="the folder to write; with --update that avatar's")
    parser.add_argument("--update", type=Path, metavar="PACKAGE", help="the avatar of the person to look for")
    parser.add_argument("--name", help="name of the avatar (default: the folder's)")
    parser.add_argument("--subfolders", action="store_true", help="look into the folders below as well")
    parser.add_argument(
        "--most-photos", type=int, default=DEFAULT_MOST_PHOTOS, metavar="N", help="choose at most N photos (default 40)"
    )
    parser.add_argument("--use", action="append", default=[], metavar="PHOTO", help="use it in any case (repeatable)")
    parser.add_argument("--leave-out", action="append", default=[], metavar="PHOTO", help="leave it out (repeatable)")
    parser.add_argument("--recognition", type=Path, metavar="FILE", help="your face recogniser, a TorchScript file")
    parser.add_argument("--no-adapters", action="store_true", help="keep the shared networks: faster, less personal")
    parser.add_argument(
        "--offsets", action="store_true", help="also move single vertices where four photos or more agree"
    )
    parser.add_argument("--texture-size", type=int, default=2048, metavar="PX", help="default 2048, at most 4096")
    parser.add_argument("--displacement-size", type=int, default=1024, metavar="PX", help="default 1024, at most 4096")
    parser.add_argument(
        "--wrinkle-age", type=float, default=DEFAULT_WRINKLE_AGE, metavar="0-1", help="0 = smooth skin, 1 = old skin"
    )
    parser.add_argument("--restart", action="store_true", help="do not go on from a run that was interrupted")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")


def run_folder(arguments: argparse.Namespace) -> int:
    """Make the avatar and print what became of each photo.

    Raises:
        LikenessError: it cannot be made; nothing is left behind.
    """
    # torch is loaded here, so that a wrong command line is refused at once
    from ml_backend.loaded_models import LoadedModels
    from ml_backend.personalise.curation_report import as_json, table
    from ml_backend.personalise.folder_avatar import make_folder_avatar
    from ml_backend.personalise.kept_files import kept_files

    out = arguments.out or arguments.update
    if out is None:
        raise LikenessError("usage", "There is no place for the avatar.", "Give --out PACKAGE or --update PACKAGE.")
    models = LoadedModels()
    options = _options(arguments, models)
    files = kept_files(arguments.folder)
    if arguments.restart:
        files.remove()
    result = make_folder_avatar(arguments.folder, out, options, _show_progress, models, files=files)
    if arguments.json:
        document = {
            "package": str(result.package), "curation": as_json(result.curation),
            "landmark_error_percent": dict(zip(result.curation.chosen, result.joint.error_percent, strict=True)),
            "held_out": encode(result.description.held_out),
            "avatar": encode(result.description),
        }  # fmt: skip
        print(json.dumps(document))
        return 0
    print(table(result.curation))
    for stage, seconds in result.description.timings_s.items():
        print(f"{seconds:7.2f} s  {stage}")
    error = float(np.mean(result.joint.error_percent))
    print(f"Fit: landmarks of {len(result.joint.fits)} photos {error:.1f}% of the outer eye corners' distance off")
    if (held_out := result.description.held_out) is not None:
        print(
            f"Held out: {held_out.photos} of these, {held_out.before_percent:.1f}% before and "
            f"{held_out.after_percent:.1f}% with a head made of the others"
        )
    print(f"Avatar: {result.package}")
    return 0


def _options(arguments: argparse.Namespace, models: LoadedModels) -> FolderOptions:
    from ml_backend.personalise.curation import CurationOptions
    from ml_backend.personalise.folder_avatar import FolderOptions
    from ml_backend.personalise.known_person import read_known_person
    from ml_backend.personalise.train_adapters import AdapterTraining

    person = None if arguments.update is None else read_known_person(arguments.update, models)
    curation = CurationOptions(
        with_subfolders=arguments.subfolders,
        most_photos=arguments.most_photos,
        overruled={**dict.fromkeys(arguments.use, True), **dict.fromkeys(arguments.leave_out, False)},
        person=None if person is None else person.shape.numpy(),
        recognition=arguments.recognition,
    )
    avatar = PipelineOptions(
        texture_px=arguments.texture_size,
        displacement_px=arguments.displacement_size,
        name=arguments.name,
        wrinkle_age=arguments.wrinkle_age,
    )
    adapters = None if arguments.no_adapters else AdapterTraining()
    return FolderOptions(curation, avatar, adapters, None if person is None else person.as_head, arguments.offsets)


def _show_progress(stage: FolderStage, text: str, fraction: float) -> None:
    print(f"[{fraction:4.0%}] {stage.value}{': ' if text else ''}{text}", file=sys.stderr, flush=True)
