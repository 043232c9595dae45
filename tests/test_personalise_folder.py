"""A folder of photos becomes one avatar; a package says who somebody is in a further photo."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from addon.exchange.avatar_package import PERSON_FILE, AvatarPackage, read_package
from addon.exchange.errors import LikenessError
from ml_backend.__main__ import main
from ml_backend.head.head_file import load_head
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise import kept_files
from ml_backend.personalise.curation import CurationOptions
from ml_backend.personalise.folder_avatar import FolderOptions, FolderResult, make_folder_avatar
from ml_backend.personalise.known_person import read_known_person
from ml_backend.personalise.person_networks import read_person_networks
from ml_backend.personalise.train_adapters import AdapterTraining, crop_code
from ml_backend.pipeline import PipelineOptions, make_avatar
from ml_backend.wrinkles.frame_displacement import FrameModel
from tests.rendered_person import write_person

AVATAR = PipelineOptions(texture_px=512, displacement_px=256)


@pytest.fixture(scope="module")
def models() -> LoadedModels:
    return LoadedModels()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of one person and a file that is no photo; a fourth photo beside the folder."""
    folder = tmp_path_factory.mktemp("person")
    write_person(folder / "photos", 4, image_px=400)
    (folder / "photos" / "3.png").rename(folder / "later.png")
    return folder


@pytest.fixture(scope="module")
def made(photos: Path, models: LoadedModels, tmp_path_factory: pytest.TempPathFactory) -> FolderResult:
    told: list[float] = []
    options = FolderOptions(avatar=AVATAR, adapters=AdapterTraining(coarse_steps=3, detail_steps=3, batch_size=2))
    package = tmp_path_factory.mktemp("made") / "avatar"
    result = make_folder_avatar(
        photos / "photos", package, options, lambda _stage, _text, fraction: told.append(fraction), models
    )
    assert told == sorted(told) and told[0] == 0 and 0.9 < told[-1] < 1
    return result


@pytest.fixture(scope="module")
def package(made: FolderResult) -> AvatarPackage:
    return read_package(made.package)


def test_the_package_records_what_became_of_each_photo(made: FolderResult, package: AvatarPackage) -> None:
    record = {photo.name: photo for photo in package.description.provenance.folder}
    assert set(record) == {"0.png", "1.png", "2.png", "broken.jpg"}
    assert record["broken.jpg"].verdict == "unreadable" and record["broken.jpg"].landmark_error_percent is None
    used = [photo for photo in record.values() if photo.verdict == "used"]
    assert len(used) >= 2 and all(0 < photo.landmark_error_percent < 6 for photo in used)
    assert package.description.provenance.photo.original_name in made.curation.chosen
    assert package.description.name == "photos"


def test_the_neutral_carries_the_persons_offsets(made: FolderResult, package: AvatarPackage) -> None:
    head = load_head()
    plain = head.vertices(made.joint.shape[None], torch.zeros(1, head.num_expression), torch.zeros(1, 15))[0]
    offsets = torch.from_numpy(package.head.vertices) - plain
    assert torch.allclose(offsets, made.joint.offsets_m, atol=1e-6)


def test_the_persons_networks_are_in_the_package(made: FolderResult, package: AvatarPackage, models) -> None:
    path = made.package / PERSON_FILE
    assert package.description.person_networks
    assert path.stat().st_size < 4 * 2**20
    networks = read_person_networks(path, models.coarse_encoder, models.detail_student)
    shared, own = models.detail_student.x_d, networks.student.x_d
    # half precision alone does not make the difference
    assert float((own - shared).abs().max()) > 1e-4


def test_networks_for_other_weights_are_refused(made: FolderResult, models: LoadedModels, tmp_path: Path) -> None:
    content = (made.package / PERSON_FILE).read_bytes()
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    digest = json.loads(header)["__metadata__"]["coarse_weights"].encode()
    other = tmp_path / PERSON_FILE
    other.write_bytes(content.replace(digest, b"0" * len(digest)))
    with pytest.raises(LikenessError, match="other weights"):
        read_person_networks(other, models.coarse_encoder, models.detail_student)
    other.write_bytes(content[: len(content) // 2])
    with pytest.raises(LikenessError, match="damaged"):
        read_person_networks(other, models.coarse_encoder, models.detail_student)


def test_a_further_photo_keeps_who_it_is(made: FolderResult, package: AvatarPackage, photos, models, tmp_path) -> None:
    options = replace(AVATAR, person=made.package)
    later = read_package(make_avatar(photos / "later.png", tmp_path / "later", options, models=models).package)
    assert np.array_equal(later.parameters.shape, package.parameters.shape)
    assert np.allclose(later.head.vertices, package.head.vertices, atol=1e-6)
    assert not np.allclose(later.head.photo_vertices, package.head.photo_vertices, atol=1e-3)
    assert later.description.wrinkles.seed == package.description.wrinkles.seed
    assert later.description.person_networks
    # and is somebody from whom the next one can be made
    assert read_known_person(later.folder, models).seed == package.description.wrinkles.seed


def test_exact_frames_are_by_the_persons_network(package: AvatarPackage) -> None:
    frames = FrameModel(package)
    assert np.abs(frames.displacement({}, {}) - frames.neutral_m).max() < 2e-8
    folded = frames.displacement({"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}, {})
    assert np.abs(folded - frames.neutral_m).max() > 2e-5


def test_crop_codes_are_the_fits(made: FolderResult, models: LoadedModels) -> None:
    """A fit in a crop's coordinates puts the vertices where its own camera does."""
    from ml_backend.learned.face_crop import face_crop
    from ml_backend.personalise.curation import load_view

    judged = {photo.name: photo for photo in made.curation.photos}
    name, fit = made.curation.chosen[0], made.joint.fits[0]
    view, head = load_view(judged[name], models), models.head(None)
    crop = face_crop(view.face.landmarks_px)
    code = crop_code(crop, fit, head)
    in_photo = fit.camera.project(head.vertices(fit.shape[None], fit.expression[None], fit.pose[None])[0])[:, :2]
    in_crop = code.project(head.vertices(code.shape, code.expression, code.pose))[0]
    assert np.allclose(crop.to_photo(in_crop.numpy()), in_photo.numpy(), atol=0.05)


def test_one_photo_is_too_few(photos: Path, models: LoadedModels, tmp_path: Path) -> None:
    options = FolderOptions(CurationOptions(overruled={"0.png": False, "1.png": False}), AVATAR, None)
    with pytest.raises(LikenessError, match="photos that can be used"):
        make_folder_avatar(photos / "photos", tmp_path / "none", options, models=models)
    assert not (tmp_path / "none").exists()


def test_a_stopped_run_leaves_the_old_avatar(made: FolderResult, photos, models) -> None:
    before = {path.name: path.read_bytes() for path in made.package.iterdir()}

    class Stopped(Exception):
        pass

    def stop(_stage, _text: str, fraction: float) -> None:
        if fraction > 0.75:
            raise Stopped

    with pytest.raises(Stopped):
        make_folder_avatar(photos / "photos", made.package, FolderOptions(avatar=AVATAR, adapters=None), stop, models)
    assert {path.name: path.read_bytes() for path in made.package.iterdir()} == before


def test_the_command_makes_an_avatar_and_updates_it(photos: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(kept_files, "default_cache_folder", lambda: tmp_path / "cache")
    shutil.copy(photos / "later.png", photos / "photos" / "more.png")
    sizes = ["--texture-size", "256", "--displacement-size", "256", "--no-adapters"]
    out = tmp_path / "by_command"
    assert main(["folder", str(photos / "photos"), "--out", str(out), "--name", "Somebody", *sizes]) == 0
    printed = capsys.readouterr().out
    assert "broken.jpg" in printed and "unreadable" in printed and str(out) in printed
    assert "Held out: 1 of these, " in printed
    assert main(["folder", str(photos / "photos"), "--update", str(out), "--leave-out", "0.png", "--json", *sizes]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["package"] == str(out) and "0.png" not in document["curation"]["chosen"]
    # three photos are too few to hold one out
    assert document["held_out"] is None
    assert main(["folder", str(photos / "photos"), *sizes]) == 2
    assert "--out PACKAGE" in capsys.readouterr().err
