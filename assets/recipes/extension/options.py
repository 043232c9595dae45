"""The options of the verb that builds the extension: build.py reads them, and hands them on to this package."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser, out: Path) -> None:
    """Put the options on a parser.

    Args:
        out: the folder that is written where none is named.
    """
    parser.add_argument(
        "--platform",
        action="append",
        default=[],
        metavar="NAME",
        help="also a zip that brings its wheels, for windows-x64, macos-arm64 or linux-x64; repeatable",
    )
    parser.add_argument("--python", default="3.11,3.13", metavar="LIST", help="Pythons of those zips (%(default)s)")
    parser.add_argument("--index-url", metavar="URL", help="where torch is taken from, for builds without CUDA")
    parser.add_argument("--check", action="store_true", help="install the small zip and test what was installed")
    parser.add_argument("--out", type=Path, default=out, help="folder to write (default: %(default)s)")


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The same options as text, for a process in another folder."""
    options = ["--out", str(arguments.out.absolute()), "--python", arguments.python]
    options += [text for platform in arguments.platform for text in ("--platform", platform)]
    options += ["--index-url", arguments.index_url] if arguments.index_url else []
    return [*options, *(["--check"] if arguments.check else [])]
