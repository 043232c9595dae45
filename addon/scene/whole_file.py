"""Writes a file whole or not at all: beside its target first, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ..exchange.errors import LikenessError


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Hand out a name beside the target; what was written there takes the target's place when the block ends well.

    Args:
        path: the target; its folder is made, an existing file is replaced.

    Raises:
        LikenessError: the folder cannot be written, or the disk is full (what Blender says of both is a RuntimeError).
    """
    path = path.absolute()
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except (RuntimeError, OSError) as error:
        raise LikenessError(
            "output_not_written",
            f"{path} cannot be written.",
            "Choose a folder that you may write to, on a disk with space left.",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
