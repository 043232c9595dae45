"""What the self-contained zips are built for: platforms and Pythons of Blender's official builds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms

# The Python of Blender's official builds and the numpy that they bring, oldest first (Blender's versions.cmake of each
# release): 4.2 and 4.3; 4.5 and 5.0; 5.1 and newer. Blender puts an extension's wheels in front of its own modules, for
# every other add-on too; a bundled numpy would take the place of Blender's, so none is bundled.
BLENDER_NUMPY = {"3.11": ("1.24.3", "1.26.4"), "3.13": ("2.3.4",)}
# the oldest patch release of each Python that Blender ships; few markers look at it
FULL_VERSIONS = {"3.11": "3.11.7", "3.13": "3.13.9"}


@dataclass(frozen=True)
class Platform:
    """A platform as Blender's manifests name it, and what wheels and their markers call it.

    Attributes:
        wheel_platforms: tags of the wheels that run there, best first.
    """

    name: str
    wheel_platforms: tuple[str, ...]
    os_name: str
    sys_platform: str
    system: str
    machine: str


PLATFORMS = {
    platform.name: platform
    for platform in (
        Platform("windows-x64", ("win_amd64",), "nt", "win32", "Windows", "AMD64"),
        # PyTorch's wheels ask for macOS 14; for Intel Macs there are none any more
        Platform(
            "macos-arm64",
            tuple(mac_platforms((14, 0), "arm64")),
            "posix", "darwin", "Darwin", "arm64",
        ),
        # Blender's builds for Linux ask for glibc 2.28
        Platform(
            "linux-x64",
            (*(f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)), "manylinux2014_x86_64",
             "manylinux2010_x86_64", "manylinux1_x86_64"),
            "posix", "linux", "Linux", "x86_64",
        ),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """One platform with one Python.

    Attributes:
        python: "3.11", for example.
    """

    platform: Platform
    python: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.platform.name} with Python {self.python}"

    @property
    def brought_by_blender(self) -> dict[str, tuple[str, ...]]:
        """Packages that every Blender of this Python has, with all their versions."""
        return {"numpy": BLENDER_NUMPY[self.python]}

    @cached_property
    def marker_environment(self) -> dict[str, str]:
        """What a requirement's environment marker sees there."""
        platform = self.platform
        return {
            "implementation_name": "cpython",
            "implementation_version": FULL_VERSIONS[self.python],
            "os_name": platform.os_name,
            "platform_machine": platform.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": platform.system,
            "platform_version": "",
            "python_full_version": FULL_VERSIONS[self.python],
            "python_version": self.python,
            "sys_platform": platform.sys_platform,
        }

    @cached_property
    def tags(self) -> frozenset[Tag]:
        """The tags of the wheels that can be installed there."""
        return frozenset(self._tags())

    def _tags(self) -> Iterator[Tag]:
        version = tuple(map(int, self.python.split(".")))
        interpreter = "cp" + self.python.replace(".", "")
        platforms = self.platform.wheel_platforms
        yield from cpython_tags(version, abis=[interpreter], platforms=platforms)
        yield from compatible_tags(version, interpreter=interpreter, platforms=platforms)

    @cached_property
    def pip_options(self) -> tuple[str, ...]:
        """What makes pip choose wheels for there instead of for here."""
        platforms = (f"--platform={tag}" for tag in self.platform.wheel_platforms)
        return ("--only-binary=:all:", f"--python-version={self.python}", "--implementation=cp", *platforms)
