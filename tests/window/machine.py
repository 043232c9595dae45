"""A real Blender in a folder of its own, in which the project's Python can be started, and a profile to itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from assets.recipes.extension.contents import ROOT
from assets.recipes.refusal import Refusal

TOOL = ROOT.parent / "shared" / "tools" / "real_blender"
# the tool's own default
_HOME = Path(os.environ.get("REAL_BLENDER_HOME", "/opt/real-blender"))
# where the tool shows the folder that it is started in
PROJECT = Path("/project")
_VERSION_TIMEOUT_S = 120

# program and the package of Debian that brings it
_PROGRAMS = {
    "debootstrap": "debootstrap",
    "unshare": "util-linux",
    "flock": "util-linux",
    "Xvfb": "xvfb",
    "xdotool": "xdotool",
    "convert": "imagemagick",
    "xwd": "x11-apps",
}

# Arguments: root of the Blender, then folders; the rest of the line is run with each folder readable there, at the same
# path. The mounts end with the process.
_MOUNT = """
root=$1 count=$2; shift 2
while [ "$count" -gt 0 ]; do
  mount --bind "$1" "$root$1" && mount -o remount,bind,ro "$root$1" || exit 96
  shift; count=$((count - 1))
done
exec "$@"
"""


@dataclass(frozen=True)
class Machine:
    """One suite's Blender, and a folder of the test.

    Attributes:
        suite: of Debian, as the tool calls it.
        folder: seen as PROJECT in there; the profile, the photos and all that is written lie in it.
    """

    suite: str
    folder: Path

    @property
    def root(self) -> Path:
        """The folder that Blender takes for its whole disk."""
        return _HOME / self.suite

    @property
    def is_set_up(self) -> bool:
        """Whether the tool has made this Blender."""
        return (self.root / ".ready").exists()

    def set_up(self, limit_s: float) -> None:
        """Make the Blender where it is not there yet, and the places of the project's Python in it.

        Args:
            limit_s: what may be spent on it.

        Raises:
            Refusal: it cannot be made, or not in that time.
        """
        if not self.is_set_up:
            # the lock is held by whoever makes this Blender, so that CI can begin before the tests need it
            _HOME.mkdir(parents=True, exist_ok=True)
            command = ["flock", str(_HOME / f"{self.suite}.lock"), str(TOOL), "setup", self.suite]
            process = subprocess.Popen(command, start_new_session=True)
            try:
                status = process.wait(limit_s)
            except subprocess.TimeoutExpired as error:
                raise Refusal(f"the Blender of {self.suite} was not set up within {limit_s:.0f} s.") from error
            finally:
                # the tool's own children too; the next set-up begins anew
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            if status:
                raise Refusal(f"the Blender of {self.suite} could not be set up; see above.")
        for folder in _python_folders():
            self.inside(folder).mkdir(parents=True, exist_ok=True)

    def inside(self, path: Path) -> Path:
        """Where a path of the Blender's disk lies on this one."""
        return self.root / path.relative_to("/")

    def seen(self, path: Path) -> str:
        """How a file of the test's folder is called in Blender."""
        return str(PROJECT / path.relative_to(self.folder))

    def command(self, *command: str) -> list[str]:
        """The command line that runs a command in there, with the profile of the test."""
        folders = [str(folder) for folder in _python_folders()]
        mounted = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh", str(self.root)]
        variables = [
            f"BLENDER_USER_RESOURCES={PROJECT}/profile",
            f"XDG_CACHE_HOME={PROJECT}/cache",
            f"TMPDIR={PROJECT}/temporary",
            # shaders, which take minutes to compile without a graphics card, outlive the test
            "MESA_SHADER_CACHE_DIR=/root/.cache",
        ]
        return [*mounted, str(len(folders)), *folders, str(TOOL), "sh", self.suite, "env", *variables, *command]

    def make_profile(self) -> str:
        """Give Blender an empty profile, as a new user has; returns its version.

        Raises:
            Refusal: Blender does not start.
        """
        for name in ("profile", "cache", "temporary"):
            (self.folder / name).mkdir()
        command = self.command("blender", "--version")
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S)
        if done.returncode:
            raise Refusal(f"the Blender of {self.suite} does not start: {done.stdout}{done.stderr}")
        return done.stdout.splitlines()[0]

    def backend_python(self) -> str:
        """The Python that has torch, the one that runs this, by a path as an artist's; as seen by Blender."""
        place = self.folder / "likeness" / ".venv"
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(sys.prefix)
        return self.seen(place / Path(sys.executable).relative_to(sys.prefix))


def _python_folders() -> tuple[Path, ...]:
    """What that Python needs of this disk."""
    return tuple(dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix))))


def why_not(suites: tuple[str, ...]) -> str:
    """Why the window suite cannot run here, in one sentence; empty where it can.

    Args:
        suites: of Debian; what is missing for one that is not set up yet, the tool installs by itself.
    """
    if not TOOL.is_file():
        return f"the window suite needs {TOOL}, which is not there."
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return f"the window suite needs the rights of root, for the folders that {TOOL.name} makes."
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return "the window suite needs mounts of its own, which this machine does not allow (unshare --mount)."
    if Path(sys.base_prefix) == Path("/usr"):
        return "the window suite needs a Python outside /usr, which that Blender has a folder of its own for."
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if missing and (all(Machine(suite, ROOT).is_set_up for suite in suites) or not shutil.which("apt-get")):
        return f"the window suite needs more of the system: apt-get install {' '.join(missing)}"
    return ""
