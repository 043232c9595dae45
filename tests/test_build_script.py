"""build.py: set-up without harm, one sentence for each thing that can be wrong, no process left behind."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from assets.recipes import sources, system_libraries
from assets.recipes.extension import options as extension_options
from assets.recipes.refusal import Refusal

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = tuple(f"requirements{part}.txt" for part in ("", "-training", "-blender", "-test"))


@pytest.fixture
def build():
    """A fresh copy of build.py as a module."""
    spec = importlib.util.spec_from_file_location("likeness_build", ROOT / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def elsewhere(build, tmp_path, monkeypatch):
    """build.py whose repository is an empty folder with the requirement files."""
    for number, name in enumerate(REQUIREMENTS):
        (tmp_path / name).write_text(f"package-{number}\n")
    environment = tmp_path / ".venv"
    for name, value in {
        "ROOT": tmp_path,
        "ENVIRONMENT": environment,
        "STAMP": environment / "stamp.json",
        "CACHE": tmp_path / ".cache",
    }.items():
        monkeypatch.setattr(build, name, value)
    return build


class Commands:
    """Stands for subprocess.run and for build.py's own `_run`: notes commands, answers by what they contain."""

    def __init__(self, failing: tuple[str, ...] = (), effect=lambda command: None) -> None:
        self.failing, self.effect, self.seen = failing, effect, []

    def status(self, command: list[str], **_options) -> int:
        text = " ".join(map(str, command))
        self.seen.append(text)
        if any(part in text for part in self.failing):
            return 1
        self.effect(text)
        return 0

    def completed(self, command: list[str], **_options) -> SimpleNamespace:
        return SimpleNamespace(returncode=self.status(command), stderr="ImportError: libnew.so.7: cannot open")

    def put_into(self, build, monkeypatch) -> Commands:
        monkeypatch.setattr(build, "_run", self.status)
        monkeypatch.setattr(build.subprocess, "run", self.completed)
        return self

    def count(self, part: str) -> int:
        return sum(part in text for text in self.seen)


def make_python(build) -> None:
    python = Path(build._python())
    python.parent.mkdir(parents=True, exist_ok=True)
    python.symlink_to(sys.executable)


def build_py(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "build.py"), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


# --- set-up ---------------------------------------------------------------------------------------------------------


def test_second_set_up_does_nothing(elsewhere, monkeypatch):
    commands = Commands().put_into(elsewhere, monkeypatch)
    make_python(elsewhere)
    elsewhere.set_up()
    assert commands.count("pip install") == 1
    before = len(commands.seen)
    elsewhere.set_up()
    assert len(commands.seen) == before


def test_changed_requirements_install_again(elsewhere, monkeypatch):
    commands = Commands().put_into(elsewhere, monkeypatch)
    make_python(elsewhere)
    elsewhere.set_up()
    for number, name in enumerate(REQUIREMENTS, 2):
        (elsewhere.ROOT / name).write_text("another\n")
        elsewhere.set_up()
        assert commands.count("pip install") == number


def test_unfinished_installation_goes_on(elsewhere, monkeypatch):
    make_python(elsewhere)
    Commands(failing=("pip install",)).put_into(elsewhere, monkeypatch)
    with pytest.raises(elsewhere.Refusal, match="the installation failed"):
        elsewhere.set_up()
    commands = Commands().put_into(elsewhere, monkeypatch)
    elsewhere.set_up()
    assert commands.count("pip install") == 1
    assert commands.count("-m venv") == 0


def test_environment_whose_python_is_gone_is_made_anew(elsewhere, monkeypatch):
    make_python(elsewhere)
    Commands().put_into(elsewhere, monkeypatch)
    elsewhere.set_up()
    Path(elsewhere._python()).unlink()
    Path(elsewhere._python()).symlink_to(elsewhere.ROOT / "removed" / "python3.11")
    commands = Commands(failing=(f"{elsewhere._python()} -c import sys, pip",)).put_into(elsewhere, monkeypatch)
    elsewhere.set_up()
    assert commands.count("-m venv --clear") == 1


def test_broken_link_in_place_of_the_environment(elsewhere, monkeypatch):
    elsewhere.ENVIRONMENT.symlink_to(elsewhere.ROOT / "nowhere")
    Commands().put_into(elsewhere, monkeypatch)
    elsewhere._make_environment("python3.11")
    assert not elsewhere.ENVIRONMENT.is_symlink()


def test_environment_without_ensurepip(elsewhere, monkeypatch):
    # Debian's python3.11 without python3.11-venv: plain venv fails, venv --without-pip does not
    commands = Commands()
    monkeypatch.setattr(elsewhere, "_run", commands.status)
    monkeypatch.setattr(elsewhere.subprocess, "run", lambda *_args, **_kwargs: SimpleNamespace(returncode=1))
    elsewhere._make_environment("python3.11")
    assert commands.count("--without-pip") == 1
    assert commands.count(f"-m pip --python {elsewhere._python()} install pip") == 1


def test_environment_that_cannot_be_made(elsewhere, monkeypatch):
    Commands(failing=("-m venv",)).put_into(elsewhere, monkeypatch)
    with pytest.raises(elsewhere.Refusal, match=r"python3\.11-venv"):
        elsewhere._make_environment("python3.11")


def test_unsupported_python_is_named(elsewhere, monkeypatch):
    monkeypatch.setattr(elsewhere, "_works", lambda _python: False)
    with pytest.raises(elsewhere.Refusal, match=rf"this is Python {sys.version.split()[0]}; .* needs CPython 3\.11"):
        elsewhere.set_up()


def test_another_python_of_the_right_version_is_taken(elsewhere, monkeypatch):
    monkeypatch.setattr(elsewhere.shutil, "which", lambda name: f"/somewhere/{Path(name).name}")
    monkeypatch.setattr(elsewhere, "_works", lambda python: python == "/somewhere/python3.11")
    assert elsewhere._base_python() == "/somewhere/python3.11"


def test_this_python_works_and_others_do_not(build, monkeypatch, tmp_path):
    assert build._works(sys.executable)
    assert not build._works(str(tmp_path / "python"))
    monkeypatch.setattr(build, "PYTHON_VERSION", (3, 99))
    assert not build._works(sys.executable)


# --- system libraries -----------------------------------------------------------------------------------------------


def test_missing_libraries_are_found():
    present = "libc.so.6" if sys.platform == "linux" else None
    if present is None:
        pytest.skip("names of Linux libraries")
    assert system_libraries.missing_libraries([present, "libnot-there.so.9"]) == ["libnot-there.so.9"]


def test_missing_library_is_named_with_its_package(elsewhere, monkeypatch):
    monkeypatch.setattr(elsewhere.sys, "platform", "linux")
    monkeypatch.setattr(system_libraries, "missing_libraries", lambda _names: ["libXi.so.6", "libSM.so.6"])
    Commands(failing=("import bpy",)).put_into(elsewhere, monkeypatch)
    with pytest.raises(Refusal) as refusal:
        elsewhere._check_blender_loads()
    text = str(refusal.value)
    assert "lacks libXi.so.6, libSM.so.6" in text
    assert "apt-get install libxi6 libsm6" in text
    assert "dnf install libXi libSM" in text


def test_unknown_missing_library_is_named_too(elsewhere, monkeypatch):
    monkeypatch.setattr(system_libraries, "missing_libraries", lambda _names: [])
    Commands(failing=("import bpy",)).put_into(elsewhere, monkeypatch)
    with pytest.raises(Refusal, match=r"libnew\.so\.7"):
        elsewhere._check_blender_loads()


# --- command line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["demo", "avatar", "test", "extension", "assets", "bench", "setup"])
def test_every_verb_has_help(verb):
    done = build_py(verb, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("usage: build.py " + verb)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required: verb"),
        (("paint",), "invalid choice: 'paint'"),
        (("demo", "--colour", "red"), "unrecognised: --colour red"),
        (("avatar", "photo.jpg", "--out", "head.obj"), "does not end in .blend"),
        (("extension", "--platform"), "expected one argument"),
    ],
)
def test_wrong_command_lines(arguments, words):
    done = build_py(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_paths_start_from_the_callers_folder(build, monkeypatch, tmp_path):
    # the backend and Blender run in the repository's root
    monkeypatch.chdir(tmp_path)
    backend, job = [], {}
    monkeypatch.setattr(build, "set_up", lambda: None)
    monkeypatch.setattr(build, "_run", lambda command: backend.extend(command) or 0)
    monkeypatch.setattr(build, "_ask", lambda _blender, request: job.update(request) or {"timings_s": {}})
    monkeypatch.setattr(build, "_python", lambda: sys.executable)
    monkeypatch.setattr(
        sys, "argv", ["build.py", "avatar", "a photo.jpg", "--out", "a.blend", "--preview", "b.png", "--head", "h.pkl"]
    )
    assert build.main() == 0
    assert backend[backend.index("photo") + 1] == str(tmp_path / "a photo.jpg")
    assert backend[backend.index("--head") + 1] == str(tmp_path / "h.pkl")
    assert backend[backend.index("--out") + 1] == str(tmp_path / "a.avatar")
    assert job == {name: str(tmp_path / file) for name, file in
                   {"package": "a.avatar", "blend": "a.blend", "preview": "b.png"}.items()}  # fmt: skip


def test_the_extensions_options_reach_its_builder(build, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    commands: list[list[str]] = []
    monkeypatch.setattr(build, "set_up", lambda: None)
    monkeypatch.setattr(build, "_run", lambda command: commands.append(command) or 0)
    for given in (
        ["--out", "zips"],
        ["--platform", "linux-x64", "--platform", "windows-x64", "--index-url", "https://one.example/cpu", "--check"],
    ):
        monkeypatch.setattr(sys, "argv", ["build.py", "extension", *given])
        assert build.main() == 0
    # the small zip needs no environment, so it is built by the Python at hand
    assert commands[0][0] == sys.executable
    assert commands[1][0] == build._python()
    options = argparse.ArgumentParser()
    extension_options.add_options(options, tmp_path)
    small, all_of_it = (options.parse_args(command[3:]) for command in commands)
    assert (small.out, small.platform, small.check) == (tmp_path / "zips", [], False)
    assert (all_of_it.platform, all_of_it.check) == (["linux-x64", "windows-x64"], True)
    assert (all_of_it.index_url, all_of_it.python) == ("https://one.example/cpu", "3.11,3.13")


def test_places_that_cannot_be_written(build, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(build.Refusal, match="is a folder"):
        build.check_writable(tmp_path)
    with pytest.raises(build.Refusal, match="is not a folder"):
        build.check_writable(tmp_path / "file" / "more" / "a.blend")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(build.Refusal, match="is not a folder"):
        build.check_writable(tmp_path / "link" / "a.blend")
    build.check_writable(tmp_path / "new" / "folders" / "a.blend")
    assert not (tmp_path / "new").exists()


def test_closed_folder_is_refused(build, monkeypatch, tmp_path):
    # root may write everywhere, so the answer of the system is made up here
    monkeypatch.setattr(build.os, "access", lambda _path, _mode: False)
    with pytest.raises(build.Refusal, match="is closed to you"):
        build.check_writable(tmp_path / "a.blend")


def test_failure_in_blender_says_that_the_package_remains(build, monkeypatch, tmp_path):
    failed = {"failed": {"code": "x", "message": "The disk is full.", "hint": "Make room."}}
    monkeypatch.setattr(build, "_run", lambda _command: 0)
    monkeypatch.setattr(build, "_ask", lambda _blender, _job: failed)
    monkeypatch.setattr(build, "_python", lambda: sys.executable)
    with pytest.raises(build.Refusal, match=r"The disk is full\. Make room\. .*the avatar package is in .*av"):
        build._make_blend(tmp_path / "p.jpg", tmp_path / "av", tmp_path / "a.blend", None, [])


def test_backend_status_is_handed_on(build, monkeypatch, tmp_path):
    monkeypatch.setattr(build, "_run", lambda _command: 2)
    monkeypatch.setattr(build, "_python", lambda: sys.executable)
    assert build._make_blend(tmp_path / "p.jpg", tmp_path / "av", tmp_path / "a.blend", None, []) == 2


def test_full_disk_is_one_sentence(build, monkeypatch, capsys):
    def full(*_arguments):
        raise OSError(28, "No space left on device", "/here/.venv")

    monkeypatch.setattr(build, "set_up", full)
    monkeypatch.setattr(sys, "argv", ["build.py", "setup"])
    assert build.main() == 2
    assert "No space left on device" in capsys.readouterr().err


# --- processes ------------------------------------------------------------------------------------------------------

# says that it runs, then waits; when told to stop it cleans up, slowly, and says so
PATIENT = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
folder = pathlib.Path(sys.argv[1])
try:
    (folder / "runs").touch()
    time.sleep(60)
finally:
    time.sleep(0.5)
    (folder / "cleaned").touch()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_ends_the_child_after_its_cleaning(tmp_path, number):
    script = tmp_path / "patient.py"
    script.write_text(PATIENT)
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import build; "
        f"build.set_up = lambda: build._run([sys.executable, {str(script)!r}, {str(tmp_path)!r}]); "
        "sys.argv = ['build.py', 'setup']; sys.exit(build.main())"
    )
    # a session of its own stands for the terminal: Ctrl-C goes to all of it, SIGTERM to one process
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, start_new_session=True, preexec_fn=_listen_to_ctrl_c
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "runs").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        parent.send_signal(number)
    _, errors = parent.communicate(timeout=20)
    assert parent.returncode == 2
    assert (tmp_path / "cleaned").exists()
    assert b"likeness: stopped" in errors
    assert _is_gone(parent.pid)


def _listen_to_ctrl_c() -> None:
    """As in a terminal: what a shell starts in the background ignores Ctrl-C, and its children do too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _is_gone(group: int) -> bool:
    """Whether a group of processes ends; one that has ended stays in it until the system has taken its status."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_child_that_does_not_listen_is_made_to_end(build, monkeypatch):
    monkeypatch.setattr(build, "GRACE_S", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with build._child([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
    assert child.returncode is not None
    assert child.stdout.closed


def test_environment_of_children_is_clean(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("PYTHONHOME", "/somewhere/else")
    assert not {"PYTHONPATH", "PYTHONHOME"} & set(sources.clean_environment())


def test_continuous_integration_installs_what_build_py_names():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    listed = script.split("packages=(")[1].split(")")[0].split()
    assert listed == [debian for debian, _fedora in system_libraries.SYSTEM_LIBRARIES.values()]
