"""An interrupted run on a folder of photos goes on where it was, and ends as one that was not interrupted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from addon.exchange.avatar_package import PERSON_FILE, read_package
from addon.exchange.safetensors_file import read_safetensors
from ml_backend.__main__ import main
from ml_backend.learned.adapters import person_state, with_adapters
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise import folder_avatar
from ml_backend.personalise import kept_files as kept_files_module
from ml_backend.personalise.curation import CurationOptions
from ml_backend.personalise.face_readings import FaceReader
from ml_backend.personalise.folder_avatar import FolderOptions, FolderStage, make_folder_avatar
from ml_backend.personalise.kept_files import KeptFiles, kept_files
from ml_backend.personalise.train_adapters import AdapterTraining
from ml_backend.pipeline import PipelineOptions
from tests.rendered_person import write_person

OPTIONS = FolderOptions(
    avatar=PipelineOptions(texture_px=256, displacement_px=256),
    adapters=AdapterTraining(coarse_steps=2, detail_steps=2, batch_size=2),
)
READ, FIT, ENCODER, STUDENT = "read", "fit_jointly", "train_encoder", "train_student"


@pytest.fixture(scope="module")
def models() -> LoadedModels:
    return LoadedModels()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("person") / "photos"
    write_person(folder, 3)
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each costly thing is done from now on."""
    counts: Counter[str] = Counter()

    def count(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def counted(*arguments, **named):
            counts[name] += 1
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, counted)

    count(FaceReader, READ)
    for name in (FIT, ENCODER, STUDENT):
        count(folder_avatar, name)
    return counts


class Run:
    """One run, stopped where a text is told."""

    def __init__(self, photos: Path, package: Path, models: LoadedModels, files: KeptFiles | None) -> None:
        self._arguments = photos, package
        self._models, self._files = models, files
        self.told: list[str] = []

    def go(self, options: FolderOptions = OPTIONS, stop_at: str = "never") -> None:
        self.told.clear()

        def progress(_stage: FolderStage, text: str, _fraction: float) -> None:
            self.told.append(text)
            if stop_at in text:
                raise KeyboardInterrupt

        make_folder_avatar(*self._arguments, options, progress, self._models, files=self._files)


@pytest.mark.slow
def test_a_run_goes_on_and_ends_as_without_the_interrupt(
    photos: Path, models: LoadedModels, tmp_path: Path, done: Counter[str]
) -> None:
    files = kept_files(photos, tmp_path / "cache")
    run = Run(photos, tmp_path / "avatar", models, files)
    with pytest.raises(KeyboardInterrupt):
        run.go(stop_at="looking at 2.png")
    assert done == {READ: 2}
    with pytest.raises(KeyboardInterrupt):
        run.go(stop_at="the person's wrinkles")
    assert run.told[0] == "goes on from: 2 photos read"
    assert done == {READ: 4, FIT: 1, ENCODER: 1, STUDENT: 1}
    assert not (tmp_path / "avatar").exists()
    done.clear()
    (trained,) = files.folder.glob("encoder_*")
    encoder, _ = read_safetensors(trained)
    # three photos are too few to learn how to read a fourth
    as_shared = person_state(with_adapters(models.coarse_encoder))
    assert all(np.array_equal(encoder[name], value.numpy()) for name, value in as_shared.items())
    run.go()
    assert run.told[0] == "goes on from: 3 photos read, joint fit, the person's encoder"
    # the broken file is looked at again: it may have failed by chance
    assert done == {READ: 1, STUDENT: 1}
    assert not files.folder.exists()
    networks, _ = read_safetensors(tmp_path / "avatar" / PERSON_FILE)
    assert encoder and all(np.array_equal(networks[f"coarse.{name}"], encoder[name].astype("f2")) for name in encoder)
    Run(photos, tmp_path / "at_once", models, None).go(replace(OPTIONS, adapters=None))
    resumed, at_once = (read_package(tmp_path / name) for name in ("avatar", "at_once"))
    # sums depend on where numbers lie in memory
    assert np.allclose(resumed.head.vertices, at_once.head.vertices, atol=1e-5)
    assert np.allclose(resumed.parameters.expression, at_once.parameters.expression, atol=1e-2)


@pytest.mark.slow
def test_other_options_do_again_what_depends_on_them(
    photos: Path, models: LoadedModels, tmp_path: Path, done: Counter[str]
) -> None:
    files = kept_files(photos, tmp_path / "cache")
    run = Run(photos, tmp_path / "avatar", models, files)
    with pytest.raises(KeyboardInterrupt):
        run.go(stop_at="the person's head")
    done.clear()
    # the maps come later
    larger = replace(OPTIONS, avatar=PipelineOptions(texture_px=512, displacement_px=256))
    with pytest.raises(KeyboardInterrupt):
        run.go(larger, stop_at="the person's head")
    assert done == {READ: 1, ENCODER: 1}
    done.clear()
    without = replace(OPTIONS, curation=CurationOptions(overruled={"1.png": False}), adapters=None)
    with pytest.raises(KeyboardInterrupt):
        run.go(without, stop_at="photos held out")
    assert run.told[0] == "goes on from: 3 photos read"
    assert done == {READ: 1, FIT: 1}
    # a damaged file is as good as none
    for path in files.folder.glob("joint_*"):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    done.clear()
    with pytest.raises(KeyboardInterrupt):
        run.go(stop_at="photos held out")
    assert done == {READ: 1, FIT: 1}


@pytest.mark.slow
def test_the_command_goes_on_or_begins_anew(
    photos: Path, tmp_path: Path, done: Counter[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(kept_files_module, "default_cache_folder", lambda: tmp_path / "cache")
    order = ["folder", str(photos), "--out", str(tmp_path / "avatar"), "--texture-size", "256"]
    order += ["--displacement-size", "256", "--no-adapters"]

    def full_disk(*_arguments) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder_avatar, "write_avatar", full_disk)
        assert main(order) != 0
    capsys.readouterr()
    done.clear()
    with monkeypatch.context() as patch:
        patch.setattr(folder_avatar, "write_avatar", full_disk)
        assert main(order) != 0
    assert "goes on from: 3 photos read, joint fit\n" in capsys.readouterr().err
    assert done == {READ: 1}
    assert main([*order, "--restart"]) == 0
    assert "goes on from" not in capsys.readouterr().err
    assert done == {READ: 5, FIT: 1}
