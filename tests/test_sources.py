"""Source packages: fetched once, checked, and one sentence where they cannot be had."""

from __future__ import annotations

import hashlib
import sys

import pytest

from assets.recipes import sources
from assets.recipes.refusal import Refusal


def _source(content: bytes) -> sources.Source:
    program = f"open('thing.whl', 'wb').write({content!r})"
    return sources.Source((sys.executable, "-c", program), "thing.whl", hashlib.sha256(b"right").hexdigest())


FAILING = (sys.executable, "-c", "raise SystemExit(1)")


def test_fetch_downloads_once(tmp_path):
    folder = tmp_path / "new"
    path = sources.fetch(_source(b"right"), folder, sys.executable)
    assert path.read_bytes() == b"right"
    failing = sources.Source(FAILING, path.name, _source(b"").sha256)
    assert sources.fetch(failing, folder, sys.executable) == path
    assert [file.name for file in folder.iterdir()] == ["thing.whl"]


def test_fetch_refuses_another_file(tmp_path):
    with pytest.raises(Refusal, match="is not the file it should be"):
        sources.fetch(_source(b"wrong"), tmp_path, sys.executable)


def test_fetch_without_network(tmp_path):
    with pytest.raises(Refusal, match=r"thing\.whl could not be downloaded"):
        sources.fetch(sources.Source(FAILING, "thing.whl", ""), tmp_path, sys.executable)
    assert not list(tmp_path.iterdir())


def test_fetch_without_npm(tmp_path):
    source = sources.Source(("npm-that-is-not-there", "pack"), "thing.tgz", "")
    with pytest.raises(Refusal, match=r"npm-that-is-not-there is missing; install Node\.js"):
        sources.fetch(source, tmp_path, sys.executable)
