"""Curation of folders of images with the tracker, the encoder and the solver."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.errors import Cancelled, LikenessError, PhotoError
from ml_backend.head.head_model import HeadModel
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.curation import Curation, CurationOptions, JudgedPhoto, curate, load_view
from ml_backend.personalise.curation_report import table
from ml_backend.personalise.photo_judgement import Verdict
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light

IMAGE_PX, PX_PER_M = 320, 1100.0
# on the person's left and right
TURNS = (0.0, 0.4, -0.4)


@pytest.fixture(scope="module")
def models() -> LoadedModels:
    return LoadedModels()


def photo_of(models: LoadedModels, shape: torch.Tensor, yaw: float) -> np.ndarray:
    """A render (IMAGE_PX squared, 3) of a person, sRGB."""
    head: HeadModel = models.head(None)
    pose = torch.zeros(15)
    pose[1] = yaw
    posed = head.vertices(shape[None], torch.zeros(1, head.num_expression), pose[None])[0]
    light = ambient_light(0.8)
    light[2] += 0.4
    middle = (IMAGE_PX / 2, IMAGE_PX / 2)
    camera = Camera(SCALED_ORTHOGRAPHIC, (IMAGE_PX, IMAGE_PX), scale_px_per_m=PX_PER_M, centre_px=middle)
    texture = models.albedo.texture(torch.zeros(models.albedo.num_coefficients)).clamp(0, 1)
    return render_head(head, posed, camera, light, texture)


def write(path: Path, pixels: np.ndarray) -> None:
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1]
    path.write_bytes(encoded.tobytes())


@pytest.fixture(scope="module")
def folder(models: LoadedModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three views of one person, and what else lies in folders."""
    folder = tmp_path_factory.mktemp("photos")
    shape = torch.randn(models.head(None).num_shape, generator=torch.Generator().manual_seed(5))
    views = [photo_of(models, shape, yaw) for yaw in TURNS]
    for number, view in enumerate(views):
        write(folder / f"view_{number}.png", view)
    write(folder / "copy.jpg", cv2.resize(views[0], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA))
    write(folder / "soft.webp", cv2.GaussianBlur(views[1], (0, 0), 3))
    write(folder / "far.tiff", cv2.resize(views[2], (100, 100), interpolation=cv2.INTER_AREA))
    write(folder / "wall.png", np.full((200, 200, 3), 120, np.uint8))
    content = (folder / "view_0.png").read_bytes()
    (folder / "broken.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def curation(models: LoadedModels, folder: Path) -> Curation:
    return curate(folder, models)


def photo(curation: Curation, name: str) -> JudgedPhoto:
    return next(row for row in curation.photos if row.name == name)


def test_every_file_of_a_folder_is_judged(curation: Curation) -> None:
    found = {row.name: row.verdict for row in curation.photos}
    assert found == {
        "broken.png": Verdict.UNREADABLE,
        "copy.jpg": Verdict.DUPLICATE,
        "empty.jpg": Verdict.UNREADABLE,
        "far.tiff": Verdict.TOO_SMALL,
        "soft.webp": Verdict.BLURRED,
        "view_0.png": Verdict.USED,
        "view_1.png": Verdict.USED,
        "view_2.png": Verdict.USED,
        "wall.png": Verdict.NO_FACE,
    }, table(curation)
    assert curation.chosen[0] == "view_0.png"
    assert photo(curation, "view_1.png").figures.yaw == pytest.approx(TURNS[1], abs=0.12)
    assert photo(curation, "view_2.png").figures.yaw == pytest.approx(TURNS[2], abs=0.12)
    assert all(row.thumbnail.shape == (96, 96, 3) for row in curation.photos if row.verdict != Verdict.UNREADABLE)


def test_a_chosen_photo_is_loaded_again_as_it_was_judged(curation: Curation, models: LoadedModels) -> None:
    judged = photo(curation, "view_1.png")
    view = load_view(judged, models)
    assert view.name == "view_1.png" and view.pixels.shape == (IMAGE_PX, IMAGE_PX, 3)
    assert np.array_equal(view.face.landmarks_px, judged.face.landmarks_px)
    small = load_view(judged, models, IMAGE_PX // 2)
    assert small.pixels.shape == (IMAGE_PX // 2, IMAGE_PX // 2, 3)
    again = models.tracker.find_faces(small.pixels)[0]
    assert np.abs(again.landmarks_px - small.face.landmarks_px)[:, :2].mean() < 1.5


def test_a_photo_that_has_changed_is_not_fitted_with_old_landmarks(
    curation: Curation, models: LoadedModels, folder: Path, tmp_path: Path
) -> None:
    judged = photo(curation, "view_1.png")
    copy = tmp_path / "view_1.png"
    shutil.copy(folder / "view_2.png", copy)
    changed = JudgedPhoto(**{**vars(judged), "path": copy})
    with pytest.raises(PhotoError, match="has changed"):
        load_view(changed, models)


def test_cancelling_stops_at_once(models: LoadedModels, folder: Path) -> None:
    seen: list[str] = []

    def progress(text: str, _fraction: float) -> None:
        seen.append(text)
        if "copy.jpg" in text:
            raise Cancelled()

    with pytest.raises(Cancelled):
        curate(folder, models, progress=progress)
    assert seen == ["loading the models", "looking at broken.png", "looking at copy.jpg"]


def test_a_recogniser_that_does_not_answer_is_refused_at_once(
    models: LoadedModels, folder: Path, tmp_path: Path
) -> None:
    class OfOneNumber(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean()

    path = tmp_path / "recogniser.pt"
    torch.jit.script(OfOneNumber()).save(str(path))
    with pytest.raises(LikenessError, match="gives no features"):
        curate(folder, models, CurationOptions(recognition=path))
    with pytest.raises(LikenessError, match="another head model"):
        curate(folder, models, CurationOptions(person=np.zeros(3)))


def test_photographs_of_one_man_among_others(models: LoadedModels, shared_folder: Path, tmp_path: Path) -> None:
    photos = shared_folder / "photos"
    for name in ("obama.jpg", "obama2.jpg", "obama3.jpg", "obama_partial_face2.jpg"):
        shutil.copy(photos / "person_obama" / name, tmp_path)
    shutil.copy(photos / "single" / "AFLW2000_image00302.jpg", tmp_path / "woman.jpg")
    curation = curate(tmp_path, models)
    found = {row.name: row.verdict for row in curation.photos}
    assert [found[f"obama{number}.jpg"] for number in ("", 2, 3)] == [Verdict.USED] * 3, table(curation)
    assert found["woman.jpg"] is Verdict.OTHER_PERSON, table(curation)
    assert found["obama_partial_face2.jpg"] in (Verdict.CUT_OFF, Verdict.DUPLICATE), table(curation)
