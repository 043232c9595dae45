"""The pipeline's options, its choice of a face, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from addon.exchange.avatar_package import read_package
from addon.exchange.errors import AssetMissing, Cancelled, LikenessError, PhotoError
from ml_backend.__main__ import build_parser, options_from
from ml_backend.learned.detail_weights import read_student
from ml_backend.learned.weights_file import read_coarse_encoder
from ml_backend.loaded_models import LoadedModels
from ml_backend.pipeline import PipelineOptions, Stage, choose_face, make_avatar
from ml_backend.tracking.face_tracker import TrackedFace

SMALL = PipelineOptions(texture_px=256, displacement_px=256)


def face(width_px: float) -> TrackedFace:
    return TrackedFace(np.zeros((478, 3), np.float32), np.array([0, 0, width_px, 1], np.float32), 1.0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"face": 0}, "face_number"),
        ({"texture_px": 255}, "texture_size"),
        ({"texture_px": 4097}, "texture_size"),
        ({"displacement_px": 0}, "texture_size"),
        ({"focal_35mm_mm": 4.9}, "focal_length"),
        ({"focal_35mm_mm": float("nan")}, "focal_length"),
    ],
)
def test_impossible_options_are_refused_when_made(options: dict, code: str):
    with pytest.raises(LikenessError) as refusal:
        PipelineOptions(**options)
    assert refusal.value.code == code
    assert refusal.value.hint


def test_limits_themselves_are_possible():
    PipelineOptions(texture_px=256, displacement_px=4096, focal_35mm_mm=5)


def test_faces_are_counted_from_one():
    faces = [face(200), face(100)]
    assert choose_face(faces, 1, "a.jpg") is faces[0]
    assert choose_face(faces, 2, "a.jpg") is faces[1]


@pytest.mark.parametrize(
    ("count", "number", "words"),
    [(0, 1, "No face was found in a.jpg"), (1, 9, "shows only one face"), (3, 4, "shows only 3 faces")],
)
def test_a_face_that_is_not_there(count: int, number: int, words: str):
    with pytest.raises(PhotoError, match=words) as refusal:
        choose_face([face(100)] * count, number, "a.jpg")
    assert refusal.value.hint


@pytest.mark.parametrize("stage", Stage)
def test_cancelling_at_any_stage_keeps_the_older_avatar(tmp_path: Path, astronaut_photo: Path, stage: Stage):
    package = tmp_path / "avatar"
    if stage is Stage.WRITE_PACKAGE:
        # what lies there already stays as it was
        package.mkdir()
        (package / "avatar.json").write_text('{"format": "likeness-avatar"}')
    before = sorted(path.name for path in tmp_path.rglob("*"))

    def cancel(reached: Stage, _fraction: float) -> None:
        if reached is stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_avatar(astronaut_photo, package, SMALL, cancel)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_result_progress_and_threads(tmp_path: Path, astronaut_photo: Path):
    reports: list[tuple[Stage, float]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        result = make_avatar(astronaut_photo, tmp_path / "avatar", SMALL, lambda *report: reports.append(report))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert [stage for stage, _ in reports] == [*Stage, Stage.WRITE_PACKAGE]
    assert [fraction for _, fraction in reports] == sorted(fraction for _, fraction in reports)
    assert reports[-1][1] == 1.0
    assert set(result.timings_s) == {stage.value for stage in Stage}
    assert all(seconds > 0 for seconds in result.timings_s.values())
    written = read_package(result.package).description
    assert written == result.description
    assert set(written.timings_s) == set(result.timings_s) - {Stage.WRITE_PACKAGE.value}


def test_perspective_takes_the_focal_length_that_is_given(tmp_path: Path, astronaut_photo: Path):
    options = PipelineOptions(texture_px=256, displacement_px=256, focal_35mm_mm=85)
    camera = make_avatar(astronaut_photo, tmp_path / "avatar", options).description.camera
    assert camera.kind == "perspective"
    # the film's diagonal is to 85 mm as the photo's is to the focal length in pixels
    assert camera.focal_px == pytest.approx(85 * np.hypot(512, 512) / np.hypot(36, 24), rel=1e-3)
    # the head is then as far away as its size in the photo says: the eye corners' 90 mm appear 64 pixels wide
    assert camera.translation_m[2] == pytest.approx(camera.focal_px * 0.09 / 64, rel=0.25)


@pytest.mark.parametrize(
    ("network", "read"), [("coarse_encoder", read_coarse_encoder), ("detail_student", read_student)]
)
def test_damaged_weights_are_named_and_the_solver_alone_needs_none(
    network: str, read: Callable, tmp_path: Path, astronaut_photo: Path, monkeypatch: pytest.MonkeyPatch
):
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"nothing of the kind")
    monkeypatch.setattr(LoadedModels, network, property(lambda _models: read(weights)))
    with pytest.raises(AssetMissing, match=r"weights\.safetensors"):
        make_avatar(astronaut_photo, tmp_path / "avatar", SMALL)
    assert not (tmp_path / "avatar").exists()
    result = make_avatar(astronaut_photo, tmp_path / "avatar", replace(SMALL, use_model=False))
    assert result.description.quality.landmark_error_percent < 2


def test_a_known_person_and_a_head_file_do_not_go_together():
    with pytest.raises(LikenessError, match="known person"):
        PipelineOptions(person=Path("avatar"), use_model=False)


def test_no_model_is_an_option_of_the_command_line():
    start = ["photo", "a.jpg", "--out", "b"]
    assert options_from(build_parser().parse_args(start)).use_model
    assert not options_from(build_parser().parse_args([*start, "--no-model"])).use_model
