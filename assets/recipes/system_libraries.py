"""Libraries of the system that Blender's Python module loads, and the packages that bring them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

# The closure of the module's NEEDED entries that its wheel does not carry: (Debian and Ubuntu, Fedora). Cycles on the
# processor needs nothing more.
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
