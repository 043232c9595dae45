"""What the repository promises about itself: its size, its notices, its documents' links."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAX_TRACKED_BYTES = 48 * 2**20
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def tracked_files() -> list[Path]:
    """Files that git tracks or would track; skips where there is no git."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("git does not read this checkout")
    return [path for name in done.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_repository_stays_small():
    assert sum(path.stat().st_size for path in tracked_files()) < MAX_TRACKED_BYTES


def test_every_dependency_has_its_line():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip(): row for row in readme.splitlines() if row.startswith("| ")}
    wanted = [
        re.match(r"[\w.-]+", line)[0]
        for file in ("requirements.txt", "requirements-training.txt", "requirements-test.txt")
        for line in (ROOT / file).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert len(wanted) >= 11
    for name in wanted:
        reason, licence = (cell.strip() for cell in rows[name].split("|")[2:4])
        assert reason, name
        assert licence, name


def test_every_shipped_asset_has_its_notice():
    notice = (ROOT / "NOTICE.md").read_text(encoding="utf-8")
    shipped = [path.name for path in (ROOT / "assets").glob("*.safetensors")]
    assert len(shipped) == 6
    for name in shipped:
        assert f"assets/{name}" in notice
    for licence in re.findall(r"`(assets/licences/[^`]+)`", notice):
        assert (ROOT / licence).stat().st_size > 1000, licence


def test_licence_is_whole():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("GNU GENERAL PUBLIC LICENSE")
    assert "Version 3, 29 June 2007" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (document.parent / target).exists(), f"{document.name} links to {target}"
    for folder, name in re.findall(r"`((?:addon|ml_backend|assets|tests)/[\w/]*?)([\w.]+\.py)`", text):
        assert (ROOT / folder / name).is_file(), f"{document.name} names {folder}{name}"


def test_readme_opens_with_the_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    assert commands[:2] == ["python3 build.py demo", "python3 build.py test"]
