"""Face crops, head codes, the coarse encoder and its weights file."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.errors import AssetMissing
from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import rotation_matrices
from ml_backend.learned import plain_vit, timm_models
from ml_backend.learned.coarse_encoder import CoarseEncoder, EncoderConfig
from ml_backend.learned.encode_photo import encode_photo
from ml_backend.learned.face_crop import CROP_SIDE, FaceCrop, face_crop, mean_crop_camera, photo_view
from ml_backend.learned.head_code import CodeSizes, HeadCode
from ml_backend.learned.view_motion import ImageSimilarity, axis_angle, light_rotation, move_view
from ml_backend.learned.weights_file import (
    COARSE_FORMAT,
    read_coarse_encoder,
    read_weights,
    write_coarse_weights,
    write_weights,
)
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.spherical_harmonics import ambient_light, shading
from ml_backend.tracking import landmark_topology as topology
from tests.toy_head import NUM_EXPRESSION, NUM_SHAPE, toy_head

ROOT = Path(__file__).resolve().parents[1]
SIZES = CodeSizes(NUM_SHAPE, NUM_EXPRESSION, 3)
SMALL = EncoderConfig(image_px=32, hidden=16)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return toy_head()


@pytest.fixture(scope="module")
def encoder(head: HeadModel) -> CoarseEncoder:
    torch.manual_seed(0)
    encoder = CoarseEncoder(SMALL, SIZES).eval()
    encoder.set_mean_view(head)
    return encoder


def random_code(count: int, seed: int = 0) -> HeadCode:
    random = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(count, *size, generator=random)

    camera = torch.tensor([8.0, 0.1, -0.2]) + 0.1 * normal(3)
    return HeadCode(normal(NUM_SHAPE), normal(NUM_EXPRESSION), 0.5 * normal(15), normal(3), camera, normal(9, 3))


def test_timm_is_imported_and_torch_left_as_it_was() -> None:
    before = torch.library.register_fake
    assert timm_models.timm_module().__name__ == "timm"
    assert torch.library.register_fake is before
    with pytest.raises(ValueError, match="no network named vit_of_nobody"):
        timm_models.create_model("vit_of_nobody")


def test_only_torchvisions_operators_are_passed_over() -> None:
    before = torch.library.register_fake
    with pytest.raises(RuntimeError, match="other"), timm_models._tolerant_descriptions():
        described = torch.library.register_fake("torchvision::no_such_operator")
        assert described(math.sqrt) is math.sqrt
        torch.library.register_fake("other::no_such_operator")(math.sqrt)
    assert torch.library.register_fake is before


def test_crop_is_upright_and_as_large_as_its_convention() -> None:
    landmarks = tracker_face()
    plain = face_crop(landmarks)
    assert plain.roll == pytest.approx(0, abs=1e-6)
    assert plain.side_px == pytest.approx(CROP_SIDE * np.ptp(landmarks, axis=0).max())
    for roll in (-2.5, -0.6, 1.2):
        cosine, sine = math.cos(roll), math.sin(roll)
        turned = landmarks @ np.array([[cosine, sine], [-sine, cosine]]) * 3 + (40, -7)
        crop = face_crop(turned)
        assert crop.roll == pytest.approx(roll, abs=1e-6)
        assert np.abs(crop.to_crop(turned) - plain.to_crop(landmarks)).max() < 1e-5
        assert np.abs(crop.to_photo(crop.to_crop(turned)) - turned).max() < 1e-3


def test_crop_of_the_68_points_is_like_that_of_the_478() -> None:
    landmarks = tracker_face()
    crop, other = face_crop(landmarks), face_crop(landmarks[topology.IBUG_68_FROM_478])
    assert other.roll == pytest.approx(crop.roll, abs=0.02)


@pytest.mark.parametrize("side_px", [60.0, 500.0])
def test_pixels_of_the_crop_are_where_its_map_says(side_px: float) -> None:
    photo = np.zeros((400, 500, 3), np.uint8)
    spot = np.array([260.0, 180.0])
    radius = side_px / 12
    cv2.circle(photo, tuple(np.int32((spot - 0.5) * 16)), int(radius * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)
    crop = FaceCrop((250.0, 190.0), side_px, 0.7)
    pixels = crop.cut(photo, 96).astype(np.float64)[..., 0]
    rows, columns = np.mgrid[:96, :96] + 0.5
    seen = np.array([(columns * pixels).sum(), (rows * pixels).sum()]) / pixels.sum()
    expected = (crop.to_crop(spot[None])[0] + 1) * 48
    assert np.abs(seen - expected).max() < 0.1


def test_crop_is_black_outside_of_the_photo() -> None:
    crop = FaceCrop((0.0, 50.0), 100.0, 0.0).cut(np.full((100, 100, 3), 200, np.uint8), 50)
    assert crop[:, :24].max() == 0
    assert crop[:, 26:].min() == 200


def test_a_head_in_its_crop_is_the_same_head_in_the_photo(head: HeadModel) -> None:
    for number in range(5):
        code = random_code(1, number)
        crop = FaceCrop((400.0 - 30 * number, 300.0), 180.0 + 40 * number, 1.3 * number - 2.6)
        in_crop = code.project(head.vertices(code.shape, code.expression, code.pose))[0]
        view = photo_view(crop, code, head)
        scale, x, y = view.camera[0].tolist()
        camera = Camera(SCALED_ORTHOGRAPHIC, (800, 600), scale_px_per_m=scale, centre_px=(x, y))
        in_photo = camera.project(head.vertices(code.shape, code.expression, view.pose)[0])[:, :2]
        assert np.abs(crop.to_photo(in_crop.numpy()) - in_photo.numpy()).max() < 1e-3


def test_light_turns_with_the_head() -> None:
    random = torch.Generator().manual_seed(1)
    rotation = rotation_matrices(torch.randn(4, 3, generator=random))
    light = torch.randn(4, 9, 3, generator=random)
    normals = torch.nn.functional.normalize(torch.randn(20, 3, generator=random), dim=1)
    turned = light_rotation(rotation) @ light
    for item in range(4):
        expected = shading(normals, light[item])
        assert torch.allclose(shading(normals @ rotation[item].T, turned[item]), expected, atol=1e-4)


def test_moving_a_view_twice_is_moving_it_by_both(head: HeadModel) -> None:
    code = random_code(3)
    root = head.joints(code.shape)[:, 0]
    there = ImageSimilarity(torch.tensor([2.0, 0.5, 1.0]), torch.tensor([0.4, -1.0, 2.0]), torch.ones(3, 2))
    back = ImageSimilarity(1 / there.scale, -there.roll, torch.zeros(3, 2))
    back = ImageSimilarity(back.scale, back.roll, -back.apply(there.shift[:, None])[:, 0])
    moved = move_view(code.pose, code.camera, code.light, root, there)
    again = move_view(moved.pose, moved.camera, moved.light, root, back)
    assert torch.allclose(again.camera, code.camera, atol=1e-4)
    assert torch.allclose(rotation_matrices(again.pose[:, :3]), rotation_matrices(code.pose[:, :3]), atol=1e-5)
    assert torch.allclose(again.light, code.light, atol=1e-4)


def test_axis_angle_undoes_rotation_matrices() -> None:
    random = torch.Generator().manual_seed(2)
    vectors = torch.nn.functional.normalize(torch.randn(200, 3, generator=random, dtype=torch.float64), dim=1)
    vectors = vectors * torch.linspace(0, math.pi - 1e-4, 200, dtype=torch.float64)[:, None]
    assert torch.allclose(axis_angle(rotation_matrices(vectors)), vectors, atol=1e-7)


@pytest.mark.parametrize("name", plain_vit.SIZES)
def test_plain_transformer_is_the_one_of_timm(name: str) -> None:
    torch.manual_seed(2)
    theirs = timm_models.create_model(name, num_classes=0, img_size=32).eval()
    ours = plain_vit.plain_body(name, 32).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = theirs(images)
        assert torch.allclose(ours(images), expected, atol=1e-5 * float(expected.abs().max()))
    assert ours.num_features == theirs.num_features


def test_reading_a_head_needs_no_timm(encoder: CoarseEncoder, tmp_path: Path) -> None:
    path = tmp_path / "coarse_encoder.safetensors"
    write_coarse_weights(path, encoder, "toy", {})
    program = (
        "import sys, pathlib; from ml_backend.learned.weights_file import read_coarse_encoder; "
        "read_coarse_encoder(pathlib.Path(sys.argv[1])); sys.exit('timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT).returncode == 0


def test_missing_timm_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    # what Python does where a package is not installed
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(timm_models.TrainingPackageMissing, match="timm") as caught:
        timm_models.create_model("vit_tiny_patch16_224")
    assert "requirements-training.txt" in caught.value.hint


def test_code_and_vector_are_the_same() -> None:
    code = random_code(4)
    again = HeadCode.from_vector(code.vector, code.sizes)
    assert code.vector.shape == (4, SIZES.length)
    assert torch.equal(again.light, code.light)
    assert torch.equal(again.camera, code.camera)
    assert torch.equal(code.select(torch.tensor([2])).vector[0], code.vector[2])


def test_zero_output_is_the_mean_head_in_its_crop(head: HeadModel) -> None:
    encoder = CoarseEncoder(SMALL, SIZES)
    encoder.set_mean_view(head)
    torch.nn.init.zeros_(encoder.to_code[-1].weight)
    code = encoder(torch.rand(2, 3, 32, 32))
    assert torch.allclose(code.camera, mean_crop_camera(head).expand(2, 3), atol=1e-5)
    assert torch.allclose(code.light, ambient_light().expand(2, 9, 3))
    assert not code.shape.any()
    assert not code.pose.any()


def test_a_turned_head_stays_in_its_place(head: HeadModel) -> None:
    encoder = CoarseEncoder(SMALL, SIZES)
    encoder.set_mean_view(head)
    torch.nn.init.zeros_(encoder.to_code[-1].weight)
    # the global rotation's second number: a turn to the left
    with torch.no_grad():
        encoder.to_code[-1].bias[NUM_SHAPE + NUM_EXPRESSION + 1] = 1.5
    code = encoder(torch.rand(1, 3, 32, 32))
    face = head.skinned.template[head.masks["face"] > 0.5].mean(0)
    root = head.skinned.joint_template[0]
    turned = rotation_matrices(code.pose[0, :3]) @ (face - root) + root
    straight = encoder.mean_code[-30:-27][None].clone()
    assert float(code.pose[0, 1]) == pytest.approx(0.75)
    assert torch.allclose(code.project(turned[None, None])[0, 0], straight[0, 1:], atol=1e-5)


def test_encoder_takes_crops_of_other_sizes(encoder: CoarseEncoder) -> None:
    with torch.no_grad():
        assert len(encoder(torch.rand(3, 3, 48, 48))) == 3


def test_half_precision_leaves_the_geometry_whole(head: HeadModel) -> None:
    encoder = CoarseEncoder(SMALL, SIZES)
    encoder.set_mean_view(head)
    torch.nn.init.zeros_(encoder.to_code[-1].weight)
    with torch.autocast("cpu", torch.bfloat16):
        code = encoder(torch.rand(1, 3, 32, 32))
    assert torch.allclose(code.camera[0], mean_crop_camera(head), atol=1e-5)


@pytest.fixture(scope="module")
def landmark_reader(head: HeadModel) -> CoarseEncoder:
    torch.manual_seed(1)
    encoder = CoarseEncoder(replace(SMALL, landmarks=True), SIZES).eval()
    encoder.set_mean_view(head)
    # the last layer begins small, which would hide everything
    with torch.no_grad():
        encoder.to_code[-1].weight.mul_(100)
    return encoder.requires_grad_(False)


def test_landmarks_are_read_and_unknown_ones_say_nothing(landmark_reader: CoarseEncoder) -> None:
    images = torch.rand(2, 3, 32, 32)
    alone = landmark_reader(images).vector
    landmarks = landmark_reader.mean_landmarks + 0.1 * torch.randn(2, 478, 2)
    assert (landmark_reader(images, landmarks).vector - alone).abs().max() > 0.01
    assert torch.equal(landmark_reader(images, landmark_reader.mean_landmarks.expand(2, -1, -1)).vector, alone)
    landmarks[1] = torch.nan
    half_known = landmark_reader(images, landmarks).vector
    assert half_known.isfinite().all()
    assert torch.allclose(half_known[1], alone[1], atol=1e-6)


def test_encoder_of_pictures_alone_takes_no_landmarks(encoder: CoarseEncoder) -> None:
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoder(images, torch.rand(1, 478, 2)).vector, encoder(images).vector)


def test_a_photo_of_twice_the_size_has_the_same_head(head: HeadModel, landmark_reader: CoarseEncoder) -> None:
    random = np.random.default_rng(3)
    pixels = cv2.resize(random.integers(0, 256, (12, 12, 3), np.uint8), (96, 96), interpolation=cv2.INTER_CUBIC)
    points = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].numpy()
    landmarks = np.column_stack([48 + 200 * points[:, 0], 48 - 200 * points[:, 1], points[:, 2]]).astype(np.float32)
    twice = cv2.resize(pixels, (192, 192), interpolation=cv2.INTER_NEAREST)
    small, large = (
        encode_photo(image, tracked_face(points_px), head, landmark_reader)
        for image, points_px in ((pixels, landmarks), (twice, landmarks * np.float32([2, 2, 1])))
    )
    assert torch.allclose(small.shape, large.shape, atol=0.02)
    assert torch.allclose(small.pose, large.pose, atol=0.02)
    assert float(large.view[0] - small.view[0]) == pytest.approx(math.log(2), abs=0.01)
    assert torch.allclose(large.view[1:], 2 * small.view[1:], atol=1.0)
    assert large.image_size_px == (192, 192)


def test_a_perspective_start_has_the_same_size_in_the_photo(head: HeadModel, landmark_reader: CoarseEncoder) -> None:
    pixels = np.zeros((96, 128, 3), np.uint8)
    points = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0].numpy()
    landmarks = np.column_stack([64 + 200 * points[:, 0], 48 - 200 * points[:, 1], points[:, 2]]).astype(np.float32)
    flat = encode_photo(pixels, tracked_face(landmarks), head, landmark_reader)
    deep = encode_photo(pixels, tracked_face(landmarks), head, landmark_reader, focal_px=300.0)
    assert deep.px_per_m == pytest.approx(flat.px_per_m, rel=1e-5)
    assert torch.equal(deep.view[1:], flat.view[1:])


def tracked_face(landmarks_px: np.ndarray) -> SimpleNamespace:
    """The part of a tracked face that the encoder reads."""
    return SimpleNamespace(landmarks_px=landmarks_px)


def test_weights_come_back_in_half_precision(encoder: CoarseEncoder, tmp_path: Path) -> None:
    path = tmp_path / "coarse_encoder.safetensors"
    write_coarse_weights(path, encoder, "toy", {"steps": 7})
    assert read_weights(path, COARSE_FORMAT).provenance == {"steps": 7}
    again = read_coarse_encoder(path)
    assert again.config == SMALL
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        difference = (again(image).vector - encoder(image).vector).abs().max()
    assert 0 < float(difference) < 0.02


def test_weights_that_cannot_be_used_are_named(encoder: CoarseEncoder, tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    write_coarse_weights(good, encoder, "toy", {})
    content = good.read_bytes()
    (tmp_path / "torn.safetensors").write_bytes(content[: len(content) // 2])
    write_weights(tmp_path / "other.safetensors", encoder.state_dict(), "likeness-other-1", {}, {})
    arrays = {**encoder.state_dict(), "mean_code": torch.full((SIZES.length,), float("nan"))}
    config = read_weights(good, COARSE_FORMAT).config
    write_weights(tmp_path / "broken.safetensors", arrays, COARSE_FORMAT, config, {})
    del arrays["mean_code"]
    write_weights(tmp_path / "short.safetensors", arrays, COARSE_FORMAT, config, {})
    write_weights(tmp_path / "vague.safetensors", encoder.state_dict(), COARSE_FORMAT, {"encoder": 3}, {})
    for name in ("absent", "torn", "other", "broken", "short", "vague"):
        with pytest.raises(AssetMissing) as caught:
            read_coarse_encoder(tmp_path / f"{name}.safetensors")
        assert f"{name}.safetensors" in caught.value.message
        assert caught.value.message.count("\n") == 0


def tracker_face() -> np.ndarray:
    """(478,2) points of the mean head's front as the tracker would number them: eyes above, mouth below."""
    random = np.random.default_rng(0)
    points = random.uniform((100, 100), (200, 240), (topology.NUM_LANDMARKS, 2))
    for group, centre in (
        (topology.RIGHT_EYE, (125, 140)),
        (topology.LEFT_EYE, (175, 140)),
        (topology.LIPS_OUTER, (150, 205)),
    ):
        angle = np.linspace(0, 2 * np.pi, len(group), endpoint=False)
        points[list(group)] = np.array(centre) + 9 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return points
