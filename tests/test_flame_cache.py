"""A FLAME file is registered once; the kept result is used only while everything that it came from is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from addon.exchange.errors import HeadFileError
from ml_backend.head import register_head
from ml_backend.head.flame_file import FlameArrays
from ml_backend.head.head_file import OPEN_HEAD_FILE
from tests.test_flame_file import small_flame

pytestmark = pytest.mark.skipif(not OPEN_HEAD_FILE.exists(), reason="the open head has not been built")


class CountedRegistration:
    """Stands in for the ten seconds of a registration, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, flame: FlameArrays, *_: object) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        self.calls += 1
        return {"template": flame.template.astype(np.float32)}, {"format": "likeness-head-1", "name": "flame"}


@pytest.fixture
def registration(monkeypatch: pytest.MonkeyPatch) -> CountedRegistration:
    counted = CountedRegistration()
    monkeypatch.setattr(register_head, "register_flame", counted)
    return counted


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    np.savez(folder / "flame.npz", **small_flame())
    return folder / "flame.npz"


def kept_files(cache: Path) -> list[Path]:
    return sorted(cache.iterdir())


def test_second_load_comes_from_the_cache(model: Path, tmp_path: Path, registration: CountedRegistration) -> None:
    cache = tmp_path / "new" / "cache"
    first, second = (register_head.load_flame_head(model, cache) for _ in range(2))
    assert registration.calls == 1
    assert np.array_equal(first[0]["template"], second[0]["template"])
    assert first[1] == second[1]
    assert [path.suffix for path in kept_files(cache)] == [".safetensors"]


def test_another_model_code_or_side_file_is_registered_again(
    model: Path, tmp_path: Path, registration: CountedRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_head.load_flame_head(model, tmp_path / "cache")
    np.savez(model, **{**small_flame(), "weights": np.eye(5)[np.arange(40) % 5]})
    register_head.load_flame_head(model, tmp_path / "cache")
    assert registration.calls == 2
    monkeypatch.setattr(register_head, "REGISTRATION_VERSION", -1)
    register_head.load_flame_head(model, tmp_path / "cache")
    assert registration.calls == 3
    (model.parent / "FLAME_masks.pkl").write_bytes(b"}.")  # an empty dict
    register_head.load_flame_head(model, tmp_path / "cache")
    assert registration.calls == 4


@pytest.mark.parametrize("damage", ["cut off", "one bit", "emptied", "no safetensors"])
def test_damaged_cache_is_made_again(
    damage: str, model: Path, tmp_path: Path, registration: CountedRegistration
) -> None:
    cache = tmp_path / "cache"
    intact, _ = register_head.load_flame_head(model, cache)
    (path,) = kept_files(cache)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes({"cut off": data[:-9], "one bit": data, "emptied": b"", "no safetensors": b"x" * 99}[damage])
    again, _ = register_head.load_flame_head(model, cache)
    assert registration.calls == 2
    assert np.array_equal(again["template"], intact["template"])
    register_head.load_flame_head(model, cache)
    assert registration.calls == 2


def test_unusable_cache_folder_costs_time_only(model: Path, tmp_path: Path, registration: CountedRegistration) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.write_text("in the way")
    for _ in range(2):
        arrays, _ = register_head.load_flame_head(model, not_a_folder / "cache")
        assert len(arrays["template"]) == 40
    assert registration.calls == 2


def test_failed_registration_keeps_nothing(
    model: Path, tmp_path: Path, registration: CountedRegistration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise HeadFileError("not_flame", "No eyes.")

    monkeypatch.setattr(register_head, "register_flame", failing)
    with pytest.raises(HeadFileError):
        register_head.load_flame_head(model, tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not kept_files(tmp_path / "cache")


def test_missing_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(HeadFileError, match="cannot be read"):
        register_head.load_flame_head(tmp_path / "flame.pkl", tmp_path / "cache")
