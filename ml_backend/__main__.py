"""The backend's command line: `python -m ml_backend photo PHOTO --out PACKAGE`; `worker` serves Blender."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from ml_backend.worker import serve

if __name__ == "__main__" and sys.argv[1:2] == ["worker"]:
    # before numpy loads, which may be missing: the worker itself says so
    sys.exit(serve.main(sys.argv[2:]))

from addon.exchange.errors import LikenessError
from addon.exchange.typed_json import encode
from ml_backend.personalise.command import add_folder_options, run_folder
from ml_backend.pipeline import DEFAULT_WRINKLE_AGE, AvatarResult, PipelineOptions, Stage, make_avatar
from ml_backend.training.command import add_training_options, run_training

REFUSED = 2
BROKEN = 1


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as every other mistake is reported."""

    def error(self, message: str) -> NoReturn:
        raise LikenessError("usage", f"{message[:1].upper()}{message[1:]}.", f"See {self.prog} --help.")


def build_parser() -> argparse.ArgumentParser:
    """All verbs and options; what does not parse raises LikenessError."""
    parser = _Parser(prog="python -m ml_backend", description="The backend of Likeness, alone.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    photo = verbs.add_parser("photo", help="make an avatar package of one photo")
    photo.add_argument("photo", type=Path, help="a JPEG, PNG, TIFF or WebP that shows a face")
    photo.add_argument("--out", type=Path, required=True, metavar="PACKAGE", help="the folder to write")
    add_avatar_options(photo)
    photo.add_argument("--json", action="store_true", help="print one JSON document instead of text")
    photo.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    folder = verbs.add_parser("folder", help="make one avatar of a folder of photos of a person")
    add_folder_options(folder)
    train = verbs.add_parser("train", help="train a learned model on rendered faces or on your own photos")
    add_training_options(train)
    train.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    worker = verbs.add_parser("worker", help="take jobs as lines of JSON from standard input, for Blender")
    serve.add_worker_options(worker)
    return parser


def add_avatar_options(parser: argparse.ArgumentParser) -> None:
    """The options that choose how an avatar is made (build.py offers the same)."""
    parser.add_argument("--head", type=Path, metavar="FILE", help="your FLAME file (.pkl, .npz, .safetensors)")
    parser.add_argument("--face", type=int, default=1, metavar="N", help="which face, 1 = the largest (default)")
    parser.add_argument("--name", help="name of the avatar (default: the photo's)")
    parser.add_argument("--texture-size", type=int, default=2048, metavar="PX", help="default 2048, at most 4096")
    parser.add_argument("--displacement-size", type=int, default=1024, metavar="PX", help="default 1024, at most 4096")
    parser.add_argument(
        "--camera",
        choices=("orthographic", "perspective"),
        default="orthographic",
        help="perspective takes the focal length from the photo's EXIF data",
    )
    parser.add_argument(
        "--focal-mm", type=float, metavar="MM", help="focal length as on 35 mm film; makes the camera perspective"
    )
    parser.add_argument(
        "--wrinkle-age",
        type=float,
        default=DEFAULT_WRINKLE_AGE,
        metavar="0-1",
        help=f"0 = smooth skin, 1 = old skin (default {DEFAULT_WRINKLE_AGE:g})",
    )
    parser.add_argument(
        "--no-model", action="store_true", help="no learned networks: the head is solved for, wrinkles are the prior's"
    )
    parser.add_argument("--person", type=Path, metavar="PACKAGE", help="the avatar of the person whose photo it is")


def options_from(arguments: argparse.Namespace) -> PipelineOptions:
    """The pipeline's options of a parsed command line."""
    return PipelineOptions(
        head=arguments.head,
        face=arguments.face,
        texture_px=arguments.texture_size,
        displacement_px=arguments.displacement_size,
        perspective=arguments.camera == "perspective",
        focal_35mm_mm=arguments.focal_mm,
        name=arguments.name,
        wrinkle_age=arguments.wrinkle_age,
        use_model=not arguments.no_model,
        person=arguments.person,
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 for what the user can mend; 1 for a fault of ours.
    """
    argv = sys.argv[1:] if argv is None else argv
    debug, as_json = "--debug" in argv, "--json" in argv
    try:
        arguments = build_parser().parse_args(argv)
        if arguments.verb == "train":
            return run_training(arguments)
        if arguments.verb == "folder":
            with _quiet_libraries(arguments.debug):
                return run_folder(arguments)
        result = _make(arguments)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _report(_for_people(error), as_json, REFUSED if _is_mendable(error) else BROKEN)
    except KeyboardInterrupt:
        return _report(LikenessError("cancelled", "Cancelled.", "Nothing was written."), as_json, REFUSED)
    _print_result(result, as_json)
    return 0


def _make(arguments: argparse.Namespace) -> AvatarResult:
    with _quiet_libraries(arguments.debug):
        return make_avatar(arguments.photo, arguments.out, options_from(arguments), _show_progress)


@contextmanager
def _quiet_libraries(debug: bool) -> Iterator[None]:
    """What libraries warn of is for developers."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
        yield


def _is_mendable(error: Exception) -> bool:
    """Whether the user can do something about it; all else is a fault of ours."""
    return isinstance(error, LikenessError | MemoryError)


def _for_people(error: Exception) -> LikenessError:
    """The sentence for any error."""
    if isinstance(error, LikenessError):
        return error
    if isinstance(error, MemoryError):
        return LikenessError("memory", "There is not enough memory for this.", "Choose a smaller --texture-size.")
    return LikenessError(
        "fault",
        f"Something went wrong in the program: {error!r}.",
        "Run it with --debug and report what it prints.",
    )


def _show_progress(stage: Stage, fraction: float) -> None:
    print(f"[{fraction:4.0%}] {stage.value}", file=sys.stderr, flush=True)


def _report(error: LikenessError, as_json: bool, status: int) -> int:
    if as_json:
        print(json.dumps({"error": {"code": error.code, "message": error.message, "hint": error.hint}}))
    print(f"likeness: {error}", file=sys.stderr)
    return status


def _print_result(result: AvatarResult, as_json: bool) -> None:
    description = result.description
    if as_json:
        document = {"package": str(result.package), "timings_s": result.timings_s, "avatar": encode(description)}
        print(json.dumps(document))
        return
    origin = description.provenance.photo
    for stage, seconds in result.timings_s.items():
        print(f"{seconds:7.2f} s  {stage}")
    print(f"{sum(result.timings_s.values()):7.2f} s  in all")
    print(f"Faces found: {origin.faces_found}; used: {origin.face_used}")
    quality = description.quality
    print(
        f"Fit: {quality.words}, landmarks {quality.landmark_error_percent:.1f}% of the outer eye corners' distance off"
    )
    for warning in quality.warnings:
        print(f"Note: {warning}")
    print(f"Avatar: {result.package}")


if __name__ == "__main__":
    # a process that is told to end cleans up as after Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # a name that the terminal cannot show must not end the program
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(main())
