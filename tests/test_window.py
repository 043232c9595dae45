"""The suite that works in real Blenders' windows, where the tool is that makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ASTRONAUT
from tests.window.__main__ import SUITES
from tests.window.machine import why_not

ROOT = Path(__file__).resolve().parents[1]
# all the steps on two cores, with room for a busy machine; and what CI can spare for a set-up from nothing
TIMEOUT_S = 1500
SET_UP_S = 300
END_S = 60


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_an_artist_works_in_a_real_blender(suite: str, tmp_path: Path):
    reason = why_not((suite,)) or ("" if ASTRONAUT.is_file() else "the portrait is not there")
    if reason:
        pytest.skip(reason)
    options = ["--suite", suite, "--pictures", str(tmp_path), "--set-up-limit", str(SET_UP_S)]
    command = [sys.executable, "-m", "tests.window", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        words, complaint = process.communicate(timeout=TIMEOUT_S + SET_UP_S)
    finally:
        # its own ending takes Blender and the screen along
        process.terminate()
        process.wait(END_S)
    if process.returncode == 2:
        # Debian's mirror is not to be reached, for instance
        pytest.skip(complaint.strip().splitlines()[-1])
    assert process.returncode == 0, words + complaint


def test_the_suite_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("tests.window.machine.TOOL", ROOT / "nothing")
    assert "which is not there" in why_not(SUITES)
