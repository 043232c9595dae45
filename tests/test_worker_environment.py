"""Whether a Python can run the backend: what is wrong with it is one sentence, and the next step another."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from addon.exchange.errors import LikenessError
from addon.exchange.worker_messages import PhotoRequest
from addon.worker.backend_environment import BackendEnvironment, check_environment
from addon.worker.job_queue import WorkerState
from tests.worker_programs import PYTHON, ROOT, Watched, fake_environment, real_environment, result_of


def refused(environment: BackendEnvironment, timeout_s: float = 30.0, device: str | None = "cpu") -> LikenessError:
    with pytest.raises(LikenessError) as refusal:
        result_of(check_environment(environment, timeout_s, device))
    assert refusal.value.message.endswith(".")
    assert "\n" not in refusal.value.message
    assert refusal.value.hint.endswith(".")
    return refusal.value


def with_prelude(folder: Path, program: str) -> BackendEnvironment:
    """Our backend in a Python that runs something first, as a broken installation does."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    return BackendEnvironment(PYTHON, (ROOT, folder))


def without(name: str) -> str:
    return (
        "import importlib.util\noriginal = importlib.util.find_spec\n"
        f"importlib.util.find_spec = lambda name, *rest: None if name == {name!r} else original(name, *rest)\n"
    )


OLD_PYTHON = (
    "import sys, platform\nsys.version_info = (3, 8, 10, 'final', 0)\nplatform.python_version = lambda: '3.8.10'\n"
)


def test_a_python_that_works_is_described():
    report = result_of(check_environment(real_environment(), device="cpu"))
    assert report.python == ".".join(map(str, sys.version_info[:3]))
    assert report.torch.startswith("2.")
    assert report.device == "cpu"
    assert report.threads >= 1
    assert "core" in report.device_name


def test_a_device_that_is_not_there():
    torch = pytest.importorskip("torch")
    absent = next(
        name
        for name, there in (("mps", torch.backends.mps.is_available()), ("cuda", torch.cuda.is_available()))
        if not there
    )
    assert refused(real_environment(), device=absent).code == "device_missing"


def test_missing_python(tmp_path: Path):
    assert refused(BackendEnvironment(tmp_path / "python", (ROOT,))).code == "python_missing"


@pytest.mark.skipif(sys.platform == "win32", reason="no executable bit there")
def test_a_file_that_is_no_program(tmp_path: Path):
    (tmp_path / "python").write_text("not a program")
    assert refused(BackendEnvironment(tmp_path / "python", (ROOT,))).code == "python_unusable"
    (tmp_path / "python").chmod(0o755)
    assert refused(BackendEnvironment(tmp_path / "python", (ROOT,))).code == "python_unusable"
    assert refused(BackendEnvironment(tmp_path, (ROOT,))).code == "python_unusable"


@pytest.mark.skipif(sys.platform == "win32", reason="no such programs there")
def test_another_program():
    assert refused(BackendEnvironment(Path("/bin/true"), (ROOT,))).code == "python_unusable"


@pytest.mark.parametrize(
    ("prelude", "code", "words"),
    [
        (without("torch"), "torch_missing", "no torch"),
        (without("numpy"), "numpy_missing", "no numpy"),
        (OLD_PYTHON, "python_version", "3.8.10"),
    ],
    ids=["torch missing", "numpy missing", "old Python"],
)
def test_what_is_missing_is_named_by_the_test_button_and_by_the_queue(
    tmp_path: Path, prelude: str, code: str, words: str
):
    environment = with_prelude(tmp_path / "broken", prelude)
    error = refused(environment)
    assert error.code == code
    assert words in error.message
    with Watched(environment, tmp_path / "log.txt") as w:
        job = w.queue.add(PhotoRequest("/a", "/b"), "photo")
        w.finish()
        assert job.error.code == code
        assert w.queue.worker_state is WorkerState.FAILED
        # it is not tried in vain
        assert len(w.workers) == 1


def test_our_own_files_missing(tmp_path: Path):
    assert refused(BackendEnvironment(PYTHON, (tmp_path,))).code == "backend_packages"


def test_another_version(tmp_path: Path):
    environment = fake_environment(tmp_path / "fake", "say(**{**READY, 'protocol': 99})")
    assert refused(environment).code == "worker_protocol"


def test_no_answer(tmp_path: Path):
    environment = fake_environment(tmp_path / "fake", "time.sleep(60)")
    assert refused(environment, timeout_s=0.5).code == "backend_slow"


def test_paths_with_spaces_and_other_alphabets(tmp_path: Path):
    folder = tmp_path / "Ünï cödé 写真"
    environment = fake_environment(folder, "say(**READY)")
    python = folder / "my python"
    python.symlink_to(PYTHON)
    # a link lies beside no pyvenv.cfg; the standard library is all that this needs
    assert result_of(check_environment(BackendEnvironment(python, environment.search_paths))).version == "0"


def test_search_paths_come_in_their_order():
    environment = BackendEnvironment(PYTHON, (Path("/extension"), Path("/wheels")))
    assert environment.variables()["PYTHONPATH"] == os.pathsep.join([str(Path("/extension")), str(Path("/wheels"))])
