"""A real Blender in a folder of its own, in which the project's Python can be started, and a profile to itself."""

from __future__ import annotations

import os
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
EXTENSION = "bl_ext.user_default.likeness"
_INSTALL_TIMEOUT_S = 180
_SET_UP_TIMEOUT_S = 1200

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

    def set_up(self) -> None:
        """Make the Blender where it is not there yet, and the places of the project's Python in it.

        Raises:
            Refusal: it cannot be made.
        """
        if not (self.root / ".ready").exists():
            done = subprocess.run([TOOL, "setup", self.suite], timeout=_SET_UP_TIMEOUT_S)
            if done.returncode:
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
        ]
        return [*mounted, str(len(folders)), *folders, str(TOOL), "sh", self.suite, "env", *variables, *command]

    def install(self, archive: Path) -> str:
        """Install and enable a zip, as its users do from the command line; returns Blender's version.

        Raises:
            Refusal: Blender says no.
        """
        for name in ("profile", "cache", "temporary"):
            (self.folder / name).mkdir()
        command = ("blender", "--command", "extension", "install-file", "-r", "user_default", "-e", self.seen(archive))
        done = self._run(*command)
        if done.returncode or not list(self.folder.glob("profile/extensions/user_default/likeness/*.toml")):
            raise Refusal(f"the Blender of {self.suite} does not take the zip: {done.stdout}{done.stderr}")
        return self._run("blender", "--version").stdout.splitlines()[0]

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command), cwd=self.folder, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S
        )


def backend_python() -> str:
    """The Python that has torch: the one that runs this."""
    return sys.executable


def _python_folders() -> tuple[Path, ...]:
    """What that Python needs of this disk."""
    return tuple(dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix))))


def why_not() -> str:
    """Why the suite cannot run here; empty where it can."""
    if not TOOL.is_file():
        return f"there is no {TOOL.name} beside the repository"
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return f"{TOOL.name} needs the rights of root"
    return ""

