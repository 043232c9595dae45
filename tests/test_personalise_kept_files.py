"""What a run on a folder keeps on the disk: whole or not at all, by its key, bounded in size and age."""

from __future__ import annotations

import os
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from addon.exchange.user_cache import default_cache_folder
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.parameters import FitParameters
from ml_backend.personalise import kept_files as kept_files_module
from ml_backend.personalise.face_readings import FaceReading, PhotoReading
from ml_backend.personalise.folder_images import FolderImage
from ml_backend.personalise.joint_fit import JointFit
from ml_backend.personalise.kept_files import OLDEST_S, RUNS_FOLDER, KeptContent, KeptFiles, digest, kept_files
from ml_backend.personalise.kept_fit_file import fit_content, fit_of
from ml_backend.personalise.kept_reading_file import reading_content, reading_of
from ml_backend.personalise.person_identity import FaceIdentity
from ml_backend.personalise.photo_judgement import Fingerprint, PhotoFigures, Verdict
from ml_backend.personalise.spread_choice import PhotoPlace
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.tracking.face_tracker import TrackedFace

KEY = digest("a run")
RANDOM = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


@pytest.fixture
def files(tmp_path: Path) -> KeptFiles:
    return KeptFiles(tmp_path / "run")


def through_disk(files: KeptFiles, content: KeptContent) -> KeptContent:
    files.write("thing", KEY, content.arrays, content.document)
    return files.read("thing", KEY)


def same(one: object, other: object) -> bool:
    """Whether two records hold the same, to the bit."""
    if isinstance(one, torch.Tensor | np.ndarray):
        return np.array_equal(one, other) and one.dtype == other.dtype
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return one == other


def a_face(number: int, **changes: object) -> FaceReading:
    view = torch.from_numpy(floats(3))
    face = FaceReading(
        number=number,
        face=TrackedFace(floats(478, 3), floats(4), 0.9, 0.8, 0.1),
        start=FitParameters(*(torch.from_numpy(floats(size)) for size in (7, 5, 15)), view, None, (400, 300)),
        identity=FaceIdentity(floats(7), floats(7)),
        figures=PhotoFigures(0.5, 120.3, 0.1, -0.2, 1.2, 1.0),
        fingerprint=Fingerprint(floats(576), RANDOM.random(576) > 0.5, floats(478, 2)),
        place=PhotoPlace(0.1, -0.2, floats(68, 3), floats(9, 3), 0.4),
        fault=None,
        thumbnail=RANDOM.integers(0, 255, (96, 96, 3)).astype(np.uint8),
    )
    return replace(face, **changes)


def test_readings_come_back_to_the_bit(files: KeptFiles) -> None:
    image = FolderImage("a.jpg", Path("a.jpg"))
    doubtful = a_face(
        2, fault=(Verdict.BLURRED, "The face is blurred."), identity=FaceIdentity(floats(7), floats(7), floats(12))
    )
    for reading in (
        PhotoReading(image, "00", (400, 300), (a_face(1), doubtful), 3),
        PhotoReading(image, "00", (400, 300), thumbnail=np.zeros((96, 96, 3), np.uint8)),
    ):
        assert same(reading_of(through_disk(files, reading_content(reading)), image), reading)


def test_a_reading_that_lacks_something_is_none(files: KeptFiles) -> None:
    image = FolderImage("a.jpg", Path("a.jpg"))
    content = reading_content(PhotoReading(image, "00", (400, 300), (a_face(1),), 1))
    less = {name: value for name, value in content.arrays.items() if name != "1.place.light"}
    assert reading_of(KeptContent(less, content.document), image) is None
    assert reading_of(KeptContent(content.arrays, {"sha256": "00"}), image) is None


def a_fit() -> JointFit:
    camera = Camera(SCALED_ORTHOGRAPHIC, (400, 300), scale_px_per_m=900.5, centre_px=(200.25, 150.5))
    shape, albedo = torch.from_numpy(floats(7)), torch.from_numpy(floats(4))
    fits = tuple(
        CoarseFit(
            shape, *(torch.from_numpy(floats(size)) for size in (5, 15)), camera, torch.from_numpy(floats(9, 3)),
            albedo, error, ("The mouth is hidden.",),
        )
        for error in (1.25, 2.5)
    )  # fmt: skip
    return JointFit(shape, albedo, torch.from_numpy(floats(30, 3)), fits, (1.25, 2.5), (1.0, 0.5))


def test_a_joint_fit_comes_back_to_the_bit_and_for_its_own_photos_alone(files: KeptFiles) -> None:
    joint = a_fit()
    content = through_disk(files, fit_content(joint, ["a.jpg", "b.jpg"]))
    assert same(fit_of(content, ["a.jpg", "b.jpg"]), joint)
    assert fit_of(content, ["a.jpg", "c.jpg"]) is None
    assert fit_of(KeptContent({}, content.document), ["a.jpg", "b.jpg"]) is None


def test_another_key_finds_nothing(files: KeptFiles) -> None:
    files.write("thing", KEY, {"a": floats(3)}, {"b": 1})
    assert files.has("thing", KEY) and files.read("thing", KEY).document == {"b": 1}
    assert not files.has("thing", digest("another")) and files.read("thing", digest("another")) is None
    # keys that begin alike share a name, and are told apart all the same
    assert files.read("thing", KEY[:-1] + "x") is None


@pytest.mark.parametrize("place", [-1, 40, 4])
def test_what_is_damaged_is_as_good_as_none(files: KeptFiles, place: int) -> None:
    files.write("thing", KEY, {"a": floats(300)}, {"b": 1})
    (path,) = files.folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place:][1:])
    assert files.read("thing", KEY) is None
    path.write_bytes(whole[: len(whole) // 2])
    assert files.read("thing", KEY) is None
    files.write("thing", KEY, {"a": floats(300)}, {"b": 2})
    assert files.read("thing", KEY).document == {"b": 2}


def test_a_disk_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    files = KeptFiles(tmp_path / "run")
    files.write("thing", KEY, {}, {})
    assert files.read("thing", KEY) is None
    files.remove()


def test_each_folder_has_its_place_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files_module, "default_cache_folder", lambda: tmp_path / "cache")
    one, other = kept_files(tmp_path / "one"), kept_files(tmp_path / "other")
    assert one.folder != other.folder
    assert one.folder.parent == tmp_path / "cache" / RUNS_FOLDER
    assert kept_files(tmp_path / "x" / ".." / "one").folder == one.folder
    assert default_cache_folder().name == "likeness"


def run_of(cache: Path, name: str, age_s: float, size: int) -> Path:
    files = kept_files(cache / name, cache)
    files.write("thing", KEY, {"a": np.zeros(size, np.uint8)}, {})
    for path in (*files.folder.iterdir(), files.folder):
        os.utime(path, (time.time() - age_s,) * 2)
    return files.folder


def test_old_runs_and_too_many_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, day, hour = (run_of(tmp_path, f"{age}", age, 5000) for age in (OLDEST_S + 60, 86400.0, 3600.0))
    own = run_of(tmp_path, "own", OLDEST_S + 60, 5000)
    kept_files(tmp_path / "own", tmp_path)
    assert not old.exists() and day.exists() and hour.exists() and own.exists()
    monkeypatch.setattr(kept_files_module, "MOST_BYTES", 9000)
    kept_files(tmp_path / "own", tmp_path)
    assert not day.exists() and hour.exists() and own.exists()


def test_what_a_killed_writer_left_goes_when_it_is_stale(tmp_path: Path) -> None:
    folder = run_of(tmp_path, "photos", 0.0, 10)
    fresh, stale = folder / ".thing.safetensors.1.partial", folder / ".thing.safetensors.2.partial"
    for path in (fresh, stale):
        path.write_bytes(b"half")
    os.utime(stale, (time.time() - 2 * 3600.0,) * 2)
    kept_files(tmp_path / "photos", tmp_path)
    assert fresh.exists() and not stale.exists()
