"""Renders a saved file as a render farm does: from the command line, in a fresh Blender that has no add-on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# what `blender -b FILE -a` does; -I: neither the repository nor the user's folders are on Python's path
_RENDER = """
import sys
try:
    import addon
except ImportError:
    pass
else:
    sys.exit("the add-on is there")
import bpy
bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
bpy.ops.render.render(animation=True)
"""
_TIMEOUT_S = 300


def render(blend: Path) -> None:
    """Render the animation of a file in a process of its own, by the file's own settings."""
    command = [sys.executable, "-I", "-c", _RENDER, str(blend)]
    done = subprocess.run(command, cwd=blend.parent, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
