"""Wrinkles in the avatar package: written by the pipeline, read back, refused when damaged, exact for any frame."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.avatar_package import (
    COMPRESSED_FILE,
    EXPANDED_FILE,
    WRINKLE_FILES,
    WRINKLES_FILE,
    AvatarPackage,
    check_target,
    read_package,
)
from addon.exchange.errors import LikenessError, PackageError
from addon.exchange.safetensors_file import read_safetensors, write_safetensors
from ml_backend.learned.detail_weights import DETAIL_FILE
from ml_backend.pipeline import PipelineOptions, make_avatar
from ml_backend.wrinkles.bake_wrinkles import person_seed
from ml_backend.wrinkles.distil_prior import sampled_tension_scale
from ml_backend.wrinkles.frame_displacement import FrameModel, displacement_of_frame
from ml_backend.wrinkles.tension import vertex_tension
from tests.scene_small_avatar import small_package

SIZE_PX = 512
AGE = 0.7
BROWS_UP = {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, astronaut_photo: Path) -> AvatarPackage:
    folder = tmp_path_factory.mktemp("wrinkles") / "avatar"
    options = PipelineOptions(texture_px=256, displacement_px=SIZE_PX, wrinkle_age=AGE)
    make_avatar(astronaut_photo, folder, options)
    return read_package(folder)


@pytest.fixture(scope="module")
def frames(package) -> FrameModel:
    return FrameModel(package)


def forehead(frames: FrameModel) -> np.ndarray:
    """Flat texels that forehead lines fold."""
    return next(layer for layer in frames.prior.layers if layer.system.name == "forehead").index


def quantum_m(package: AvatarPackage) -> float:
    """The step between two values of the wrinkle maps' files."""
    return package.description.wrinkles.scale_mm * 1e-3 / 65535


def test_the_pipeline_records_its_wrinkles(package, astronaut_photo):
    wrinkles = package.description.wrinkles
    assert wrinkles.size_px == SIZE_PX
    assert wrinkles.age == AGE
    assert wrinkles.seed == person_seed(hashlib.sha256(astronaut_photo.read_bytes()).hexdigest())
    assert 0.02 < wrinkles.full_compression < 0.5
    assert 0.02 < wrinkles.full_stretch < 0.9
    assert 0 < wrinkles.distillation_error_um < 60
    assert set(WRINKLE_FILES) <= {path.name for path in package.folder.iterdir()}
    assert package.wrinkles.line_gain.shape == (len(package.head.vertices),)
    assert wrinkles.detail_weights == hashlib.sha256(DETAIL_FILE.read_bytes()).hexdigest()
    assert package.wrinkles.detail.texture.shape == (*package.wrinkles.detail.confidence.shape, 3)
    assert package.wrinkles.detail.confidence.max() > 200


def test_at_rest_the_exact_frame_is_the_neutral_map(package, frames):
    at_rest = frames.displacement({}, {})
    assert np.abs(at_rest - frames.neutral_m).max() < 2e-8
    written = cv2.imread(str(package.folder / "displacement.png"), cv2.IMREAD_UNCHANGED)
    assert written.dtype == np.uint16 and written.shape == (SIZE_PX, SIZE_PX)


def test_an_exact_frame_has_the_models_lines(package, frames):
    shown = frames.displacement(BROWS_UP, {}) - frames.displacement({}, {})
    posed = frames.posed(BROWS_UP, {})
    model = frames.prior.line_change(posed, package.wrinkles.line_gain)
    tension = vertex_tension(frames.surface.neutral, posed, frames.surface.edges)
    model += frames.detail_gain * frames.learned.change_m(tension)
    lines = forehead(frames)
    assert np.corrcoef(shown.reshape(-1)[lines], model.reshape(-1)[lines])[0, 1] > 0.98
    assert np.array_equal(shown, displacement_of_frame(package, BROWS_UP, {}) - displacement_of_frame(package, {}, {}))


def test_the_maps_of_the_package_play_the_model(package, frames):
    """What was distilled when the package was made is what is distilled from its files."""
    model = frames.distilled.compressed_m + frames.detail_gain * frames.learned.compressed_m
    difference = frames.compressed_m - model
    lines = forehead(frames)
    both = frames.compressed_m.reshape(-1)[lines], model.reshape(-1)[lines]
    assert np.corrcoef(*both)[0, 1] > 0.98
    # the rest is the photo's own
    assert np.abs(difference).max() < 3e-4 + quantum_m(package)


def test_without_the_model_wrinkles_are_the_priors(tmp_path, astronaut_photo):
    folder = tmp_path / "solved"
    make_avatar(astronaut_photo, folder, PipelineOptions(texture_px=256, displacement_px=256, use_model=False))
    solved = read_package(folder)
    assert solved.description.wrinkles.detail_weights is None and solved.wrinkles.detail is None
    frames = FrameModel(solved)
    shown = frames.displacement(BROWS_UP, {}) - frames.displacement({}, {})
    model = frames.prior.line_change(frames.posed(BROWS_UP, {}), solved.wrinkles.line_gain)
    lines = forehead(frames)
    assert np.corrcoef(shown.reshape(-1)[lines], model.reshape(-1)[lines])[0, 1] > 0.98


def test_frames_of_other_weights_are_refused(package, tmp_path):
    """The maps were distilled from what the weights said then."""
    folder = shutil.copytree(package.folder, tmp_path / "other")
    document = json.loads((folder / "avatar.json").read_text())
    document["wrinkles"]["detail_weights"] = "0" * 64
    (folder / "avatar.json").write_text(json.dumps(document))
    with pytest.raises(LikenessError, match="another version of detail"):
        displacement_of_frame(read_package(folder), BROWS_UP, {})


def test_bones_pose_as_the_head_model_does(package, frames):
    turned = frames.posed({}, {"root": (0.0, 0.7, 0.0)})
    assert torch.linalg.vector_norm(turned - frames.surface.neutral, dim=1).max() > 0.02
    scale, _ = sampled_tension_scale(frames.surface)
    assert scale.full_compression == pytest.approx(package.description.wrinkles.full_compression, rel=1e-3)
    still, seen = frames.displacement(BROWS_UP, {}), frames.displacement(BROWS_UP, {"root": (0.0, 0.7, 0.0)})
    assert np.abs(still - seen).max() < 1e-6
    opened = frames.displacement({}, {"jaw": (0.3, 0.0, 0.0)})
    assert np.abs(opened - frames.displacement({}, {})).max() > 5e-6


@pytest.mark.parametrize(
    ("keys", "bones", "code"),
    [({"browUp": 1.0}, {}, "unknown_key"), ({}, {"shoulder": (0.0, 0.0, 0.0)}, "unknown_joint")],
)
def test_unknown_names_are_refused(frames, keys, bones, code):
    with pytest.raises(LikenessError) as refusal:
        frames.displacement(keys, bones)
    assert refusal.value.code == code


def test_a_package_without_wrinkles_still_reads(tmp_path):
    older = small_package(tmp_path / "older", "orthographic")
    assert older.description.wrinkles is None and older.wrinkles is None
    with pytest.raises(LikenessError, match="has no wrinkles"):
        displacement_of_frame(older, {}, {})


def set_number(name: str, value: float | None) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        document = json.loads((folder / "avatar.json").read_text())
        document["wrinkles"][name] = value
        (folder / "avatar.json").write_text(json.dumps(document))

    return damage


def set_array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        arrays, _ = read_safetensors(folder / WRINKLES_FILE)
        write_safetensors(folder / WRINKLES_FILE, {**arrays, name: change(arrays[name])})
        record(folder, WRINKLES_FILE)

    return damage


def record(folder: Path, name: str) -> None:
    """Let avatar.json know a changed file, so that what is in it is looked at."""
    document = json.loads((folder / "avatar.json").read_text())
    content = (folder / name).read_bytes()
    document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "avatar.json").write_text(json.dumps(document))


def eight_bits(folder: Path) -> None:
    cv2.imwrite(str(folder / EXPANDED_FILE), np.zeros((SIZE_PX, SIZE_PX), np.uint8))
    record(folder, EXPANDED_FILE)


def smaller(folder: Path) -> None:
    cv2.imwrite(str(folder / COMPRESSED_FILE), np.zeros((64, 64), np.uint16))
    record(folder, COMPRESSED_FILE)


DAMAGES = {
    "scale": (set_number("scale_mm", 0), "wrinkles.scale_mm is not positive"),
    "compression": (set_number("full_compression", -0.1), "full_compression is not positive"),
    "stretch": (set_number("full_stretch", 0.0), "full_stretch is not positive"),
    "age": (set_number("age", 1.5), "age is not between 0 and 1"),
    "seed": (set_number("seed", 2**32), "seed is not between"),
    "error": (set_number("distillation_error_um", -1.0), "is negative"),
    "map gone": (lambda folder: (folder / COMPRESSED_FILE).unlink(), "wrinkles_compressed.png is missing"),
    "arrays gone": (lambda folder: (folder / WRINKLES_FILE).unlink(), "wrinkles.safetensors is missing"),
    "map of 8 bits": (eight_bits, "wrinkles_expanded.png has the wrong"),
    "map too small": (smaller, "wrinkles_compressed.png is 64 x 64"),
    "gain of another head": (set_array("line_gain", lambda gain: gain[:-1]), "line_gain has the shape"),
    "detail of another head": (set_array("detail_gain", lambda gain: gain[:-1]), "detail_gain has the shape"),
    "detail cut": (set_array("detail_texture", lambda image: image[:-1]), "detail_texture is not an image"),
    "detail in floats": (set_array("detail_confidence", np.float32), "detail_confidence is not an image"),
    "detail without weights": (set_number("detail_weights", None), "learned detail are not both there"),
    "anchor unknown": (set_array("anchor_landmarks", lambda numbers: numbers + 478), "points beyond"),
    "anchor nowhere": (set_array("anchors", lambda points: points * np.float32("nan")), "not numbers"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_wrinkles_are_refused(package, tmp_path, name):
    damage, words = DAMAGES[name]
    folder = tmp_path / "avatar"
    shutil.copytree(package.folder, folder)
    damage(folder)
    with pytest.raises(PackageError, match=words):
        read_package(folder)


def test_an_avatar_with_wrinkles_may_be_replaced(package):
    check_target(package.folder)


@pytest.mark.parametrize("age", [-0.1, 1.01, float("nan")])
def test_impossible_ages_are_refused(age):
    with pytest.raises(LikenessError, match="age of skin"):
        PipelineOptions(wrinkle_age=age)


def test_no_two_frames_share_state(frames):
    before = frames.displacement({}, {})
    frames.displacement(BROWS_UP, {"jaw": (0.2, 0.0, 0.0)})
    assert np.array_equal(before, frames.displacement({}, {}))
