"""Training: configs, samples on disk, batches, the loop, and the coarse stage from end to end."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.errors import LikenessError
from ml_backend import __main__ as command_line
from ml_backend.coarse.landmark_term import LANDMARK_SIGMA_M
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.head_code import HeadCode
from ml_backend.learned.view_motion import ImageSimilarity
from ml_backend.learned.weights_file import read_coarse_encoder
from ml_backend.rendering.spherical_harmonics import shading
from ml_backend.training import command, photo_samples
from ml_backend.training.checkpoints import checkpoint_files, read_checkpoint
from ml_backend.training.coarse_batch import AugmentationSettings, CoarseBatch, augment, move_batch
from ml_backend.training.coarse_stage import STAGE
from ml_backend.training.coarse_surface import coarse_surface
from ml_backend.training.coarse_task import CoarseTask
from ml_backend.training.mirrored_faces import FaceMirror
from ml_backend.training.run_folder import LOG_NAME, RunFolder
from ml_backend.training.sample_cache import SHARD_SAMPLES, SampleCache, SampleSource
from ml_backend.training.tracker_noise import POOR_FACTOR, POOR_SHARE, SMOOTH_LENGTH_M, TrackerNoise
from ml_backend.training.training_config import LoopSettings, TrainingError
from ml_backend.training.training_loop import TrainingLoop, learning_rate
from tests.test_training_losses import batch_of, random_code
from tests.toy_head import toy_head

SETTINGS = LoopSettings(
    steps=12, batch_size=4, learning_rate=1e-2, warm_up_steps=3, log_steps=2, sheet_steps=6, evaluation_steps=6,
    checkpoint_steps=5, checkpoints_kept=2,
)  # fmt: skip


@dataclass(frozen=True)
class LineBatch:
    """Points on a line."""

    x: torch.Tensor

    def to(self, device: torch.device | str) -> LineBatch:
        return LineBatch(self.x.to(device))


class LineTask:
    """Learns y = 3 x with chance of its own inside the network (dropout)."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Dropout(0.3), torch.nn.Linear(8, 1))
        self.networks = torch.nn.ModuleDict({"line": layers})

    def batch(self, step: int) -> LineBatch:
        return LineBatch(torch.randn(4, 1, generator=torch.Generator().manual_seed(step)))

    def losses(self, batch: LineBatch) -> dict[str, torch.Tensor]:
        return {"line": (self.networks["line"](batch.x) - 3 * batch.x).square().mean()}

    def sample_sheet(self, batch: LineBatch) -> np.ndarray:
        return np.full((4, 6, 3), 128, np.uint8)

    def evaluate(self) -> dict[str, float]:
        return {"error": float(self.losses(self.batch(1000))["line"])}


def trained(folder: Path, settings: LoopSettings = SETTINGS, minutes: float | None = None) -> LineTask:
    task = LineTask()
    TrainingLoop(task, settings, RunFolder(folder), report=lambda line: None).run(minutes)
    return task


def same_weights(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


# the loop


def test_a_resumed_training_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    # a schedule is part of the config: the first part stops by the last checkpoint, as a killed process would
    trained(tmp_path / "parts")
    for name in ("checkpoint_00000012.pt",):
        (tmp_path / "parts" / name).unlink()
    assert [path.name for path in checkpoint_files(tmp_path / "parts")] == ["checkpoint_00000010.pt"]
    again = trained(tmp_path / "parts")
    assert same_weights(whole.networks, again.networks)
    logs = [(tmp_path / part / LOG_NAME).read_text().splitlines() for part in ("whole", "parts")]
    steps = [[json.loads(line)["step"] for line in log] for log in logs]
    assert steps[0] == steps[1]


def test_time_that_is_over_ends_with_a_checkpoint(tmp_path: Path) -> None:
    task = LineTask()
    loop = TrainingLoop(task, SETTINGS, RunFolder(tmp_path), report=lambda line: None)
    loop.run()
    assert loop.run(minutes=0).finished
    fresh = TrainingLoop(LineTask(), SETTINGS, RunFolder(tmp_path / "none"), report=lambda line: None)
    outcome = fresh.run(minutes=-1)
    assert (outcome.step, outcome.finished) == (0, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_asked_to_end_keeps_its_steps(number: int, tmp_path: Path) -> None:
    task = LineTask()
    batch = task.batch

    def batch_of_a_killed_process(step: int) -> LineBatch:
        if step == 3:
            os.kill(os.getpid(), number)
        return batch(step)

    task.batch = batch_of_a_killed_process
    before = signal.getsignal(number)
    outcome = TrainingLoop(task, SETTINGS, RunFolder(tmp_path), report=lambda line: None).run()
    assert (outcome.step, outcome.finished) == (4, False)
    assert read_checkpoint(checkpoint_files(tmp_path)[-1]).step == 4
    assert signal.getsignal(number) is before


def test_batches_made_ahead_are_the_same(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain")
    ahead = trained(tmp_path / "ahead", replace(SETTINGS, prefetched=3))
    assert same_weights(plain.networks, ahead.networks)


def test_run_folder_has_curves_sheets_log_and_the_newest_checkpoints(tmp_path: Path) -> None:
    trained(tmp_path)
    assert [path.name for path in checkpoint_files(tmp_path)] == ["checkpoint_00000010.pt", "checkpoint_00000012.pt"]
    assert not list(tmp_path.glob(".*"))
    curves = cv2.imread(str(tmp_path / "curves.png"))
    assert curves.std() > 5
    assert cv2.imread(str(tmp_path / "sample_000012.png")).shape == (4, 6, 3)
    records = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    assert [record["step"] for record in records if "losses" in record] == [2, 4, 6, 8, 10, 12]
    assert [record["step"] for record in records if "evaluation" in record] == [6, 12]


def test_learning_rate_warms_up_and_cools_down() -> None:
    rates = [learning_rate(SETTINGS, step) for step in range(SETTINGS.steps + 1)]
    assert rates[0] == pytest.approx(1e-2 / 3)
    assert rates[2] == rates[3] == pytest.approx(1e-2)
    assert rates[12] == pytest.approx(1e-4)
    assert rates[3:] == sorted(rates[3:], reverse=True)


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    trained(tmp_path)
    newest = checkpoint_files(tmp_path)[-1]
    content = newest.read_bytes()
    for damage in (content[: len(content) // 2], b"nothing", b""):
        newest.write_bytes(damage)
        with pytest.raises(TrainingError) as caught:
            read_checkpoint(newest)
        assert newest.name in caught.value.message
    torch.save({"format": "other"}, newest)
    with pytest.raises(TrainingError, match=newest.name):
        read_checkpoint(newest)


def test_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    trained(tmp_path)
    task = LineTask()
    task.networks["line"] = torch.nn.Linear(2, 2)
    with pytest.raises(TrainingError, match="other networks"):
        TrainingLoop(task, SETTINGS, RunFolder(tmp_path), report=lambda line: None)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    task = LineTask()
    task.losses = lambda batch: {"line": batch.x.sum() * math.nan}
    with pytest.raises(TrainingError, match="line"):
        TrainingLoop(task, SETTINGS, RunFolder(tmp_path), report=lambda line: None).run()
    assert not checkpoint_files(tmp_path)


# configs


def test_shipped_config_is_read() -> None:
    config = STAGE.read_config(command.CONFIG_FOLDER / "coarse_tiny.toml")
    assert config.image_px(0) == 112
    assert config.image_px(config.run.steps) == config.encoder.image_px
    own = STAGE.read_config(command.CONFIG_FOLDER / "coarse_own_photos.toml")
    # it goes on from the shipped weights, which were trained by the other one
    assert own.encoder == config.encoder


def test_training_can_begin_with_weights(config_file: Path, tmp_path: Path) -> None:
    config = STAGE.read_config(config_file)
    first = STAGE.make_task(replace(config, run=replace(config.run, seed=5)), tmp_path, "cpu")
    path = tmp_path / "start.safetensors"
    STAGE.write_weights(first, path, {})
    second = STAGE.make_task(replace(config, start_weights=str(path)), tmp_path, "cpu")
    image = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        first.networks.eval(), second.networks.eval()
        assert torch.allclose(first.encoder(image).vector, second.encoder(image).vector, atol=0.02)
    other = replace(config, start_weights=str(path), encoder=replace(config.encoder, hidden=32))
    with pytest.raises(TrainingError, match=r"start\.safetensors"):
        STAGE.make_task(other, tmp_path, "cpu")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[run]\nsteps = 3\nbatch_size = 2\nlearning_rate = 0.1\nstep = 4\n", "run.step"),
        ("[run]\nsteps = 3\nbatch_size = 'two'\nlearning_rate = 0.1\n", "run.batch_size"),
        ("[run]\nsteps = 3\nlearning_rate = 0.1\n", "run.batch_size"),
        ("[run]\nsteps = 0\nbatch_size = 2\nlearning_rate = 0.1\n", "run.steps"),
        ("[run\n", "TOML"),
        ("[run]\nsteps = 3\nbatch_size = 2\nlearning_rate = 0.1\n[losses]\nmode = 'guessed'\n", "losses.mode"),
        ("[run]\nsteps = 3\nbatch_size = 2\nlearning_rate = 0.1\n[data]\nkind = 'images'\nfolder = 'x'\n", "truth"),
        (
            "[run]\nsteps = 3\nbatch_size = 2\nlearning_rate = 0.1\n[data.synthetic]\nseed = 0.5\n",
            "data.synthetic.seed",
        ),
    ],
)
def test_config_that_does_not_fit_is_one_sentence(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TrainingError) as caught:
        STAGE.read_config(path)
    assert "mine.toml" in caught.value.message
    assert word in caught.value.message
    assert "\n" not in caught.value.message


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"absent\.toml"):
        STAGE.read_config(tmp_path / "absent.toml")


# samples


def numbered(number: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(number)
    smooth = cv2.resize(random.integers(0, 256, (3, 3, 3), np.uint8), (24, 24), interpolation=cv2.INTER_CUBIC)
    return {
        "image": smooth,
        "mask": np.where(random.random((24, 24)) < 0.5, 255, 0).astype(np.uint8),
        "values": random.normal(size=(4, 2)).astype(np.float32),
        "number": np.array(number),
    }


def test_cache_gives_what_the_source_made(tmp_path: Path) -> None:
    source = SampleSource(numbered, SHARD_SAMPLES + 5, {"kind": "numbered"})
    cache = SampleCache(tmp_path, source)
    for number in (SHARD_SAMPLES + 4, 0, 7, SHARD_SAMPLES - 1):
        sample, expected = cache[number], numbered(number)
        assert np.array_equal(sample["mask"], expected["mask"])
        assert np.array_equal(sample["values"], expected["values"])
        assert sample["number"] == number
        assert np.abs(sample["image"].astype(int) - expected["image"]).mean() < 4
    with pytest.raises(IndexError):
        cache[SHARD_SAMPLES + 5]


def test_parts_fill_the_cache_together(tmp_path: Path) -> None:
    made = []
    source = SampleSource(lambda number: made.append(number) or numbered(number), 3 * SHARD_SAMPLES, {})
    SampleCache(tmp_path, source).fill(part=0, parts=2)
    assert {number // SHARD_SAMPLES for number in made} == {0, 2}
    SampleCache(tmp_path, source).fill(part=1, parts=2)
    assert sorted(made) == list(range(3 * SHARD_SAMPLES))
    assert SampleCache(tmp_path, source)[300]["number"] == 300
    assert len(made) == 3 * SHARD_SAMPLES


def test_samples_of_other_settings_or_damaged_ones_are_refused(tmp_path: Path) -> None:
    SampleCache(tmp_path, SampleSource(numbered, 3, {"size": 1})).fill()
    with pytest.raises(TrainingError, match="other settings"):
        SampleCache(tmp_path, SampleSource(numbered, 3, {"size": 2}))[0]
    shard = tmp_path / "shard_00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(TrainingError, match="shard_00000"):
        SampleCache(tmp_path, SampleSource(numbered, 3, {"size": 1}))[0]


def test_samples_of_a_shorter_run_are_refused_by_a_longer_one(tmp_path: Path) -> None:
    SampleCache(tmp_path, SampleSource(numbered, 3, {})).fill()
    assert SampleCache(tmp_path, SampleSource(numbered, 2, {}))[1].keys() == numbered(1).keys()
    with pytest.raises(TrainingError, match="too few samples"):
        SampleCache(tmp_path, SampleSource(numbered, 5, {}))[4]


# batches


@pytest.fixture(scope="module")
def toy() -> HeadModel:
    return toy_head()


def toy_batch(toy: HeadModel) -> CoarseBatch:
    code = random_code(4)
    return batch_of(code, coarse_surface(toy), code)


def test_a_moved_batch_keeps_its_truth(toy: HeadModel) -> None:
    surface, batch = coarse_surface(toy), toy_batch(toy)
    motion = ImageSimilarity(torch.tensor([1.1, 0.9, 1.0, 2.0]), torch.tensor([0.3, -0.2, 3.0, 0.0]), torch.ones(4, 2))
    moved = move_batch(batch, motion, surface.model)
    points = moved.truth.project(surface.landmarks_478.on(surface.vertices(moved.truth)))
    assert torch.allclose(points, moved.landmarks_478, atol=1e-4)
    assert torch.allclose(moved.landmarks_68, motion.apply(batch.landmarks_68))


def test_a_moved_image_shows_things_where_the_landmarks_go(toy: HeadModel) -> None:
    batch = toy_batch(toy)
    image = torch.zeros(4, 3, 96, 96)
    image[:, :, 28:32, 60:64] = 1
    motion = ImageSimilarity(torch.full((4,), 1.1), torch.full((4,), 0.4), torch.full((4, 2), 0.1))
    batch = replace(batch, image=image, skin=torch.zeros(4, 96, 96))
    moved = move_batch(batch, motion, coarse_surface(toy).model)
    seen = moved.image[0, 0]
    centres = (torch.arange(96) + 0.5) / 48 - 1
    place = torch.stack([(seen.sum(0) * centres).sum(), (seen.sum(1) * centres).sum()]) / seen.sum()
    expected = motion.apply(torch.tensor([[[62 / 48 - 1, 30 / 48 - 1]]]).expand(4, 1, 2))[0, 0]
    assert torch.allclose(place, expected, atol=2e-3)


def test_variation_comes_from_its_chance_alone(toy: HeadModel) -> None:
    model, settings = coarse_surface(toy).model, AugmentationSettings()

    def varied(seed: int) -> torch.Tensor:
        return augment(toy_batch(toy), settings, model, torch.Generator().manual_seed(seed)).image

    assert torch.equal(varied(1), varied(1))
    assert not torch.equal(varied(1), varied(2))
    still = AugmentationSettings(0, 0, 0, 0, 0, 0, 0, 0, 0)
    kept = augment(toy_batch(toy), still, model, torch.Generator().manual_seed(1))
    assert torch.allclose(kept.image, toy_batch(toy).image, atol=1e-4)


def test_tracker_noise_is_as_large_as_the_fit_believes(toy: HeadModel) -> None:
    batch = toy_batch(toy)
    noise = TrackerNoise(toy, left_out_share=0.0)
    errors = []
    for seed in range(200):
        told = noise(batch, torch.Generator().manual_seed(seed))
        errors.append((told - batch.landmarks_478) / batch.truth.camera[:, :1, None])
    errors = torch.stack(errors)
    # the toy's view bias is zero; one face in POOR_SHARE errs POOR_FACTOR times as much
    expected = LANDMARK_SIGMA_M * (1 - POOR_SHARE + POOR_SHARE * POOR_FACTOR**2) ** 0.5
    assert float(errors.square().mean().sqrt()) == pytest.approx(expected, rel=0.1)
    # neighbours err together: their errors differ by less than those of two that know nothing of each other
    points = toy.landmarks_478.on(toy.skinned.template[None], toy.triangles)[0]
    distance = torch.cdist(points, points) + torch.eye(len(points))
    first, second = divmod(int(distance.argmin()), len(points))
    assert float(distance.min()) < SMOOTH_LENGTH_M / 2
    assert float((errors[..., first, :] - errors[..., second, :]).square().mean()) < expected**2
    again = noise(batch, torch.Generator().manual_seed(199))
    assert torch.equal(again, told)


def test_some_faces_are_told_no_landmarks(toy: HeadModel) -> None:
    batch = toy_batch(toy)
    told = TrackerNoise(toy, left_out_share=1.0)(batch, torch.Generator().manual_seed(0))
    assert told.isnan().all()


def test_mirrored_faces_are_the_reflected_ones() -> None:
    head, albedo = load_head(), load_albedo_model()
    surface = coarse_surface(head)
    random = torch.Generator().manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(2, *size, generator=random)

    expression = 0.3 * normal(head.num_expression).abs()
    camera = torch.tensor([8.0, 0.1, -0.1]).expand(2, 3)
    code = HeadCode(
        normal(head.num_shape), expression, 0.3 * normal(15), normal(albedo.num_coefficients), camera, normal(9, 3)
    )
    mirror = FaceMirror(head, albedo, surface)
    mirrored = mirror.mirrored_code(code)
    vertices, reflected = (head.vertices(each.shape, each.expression, each.pose) for each in (code, mirrored))
    expected = vertices[:, head.mirror_vertex] * torch.tensor([-1.0, 1.0, 1.0])
    # the inner brows' expressions are not symmetric to the last half of a millimetre
    distance = (reflected - expected).norm(dim=-1)
    assert float(distance.max()) < 1e-3
    assert float(distance.mean()) < 2e-5
    normals = torch.nn.functional.normalize(torch.randn(30, 3, generator=random), dim=1)
    seen = shading(normals * torch.tensor([-1.0, 1.0, 1.0]), code.light[0])
    assert torch.allclose(shading(normals, mirrored.light[0]), seen, atol=1e-5)
    batch = batch_of(code, surface, code)
    half = mirror(batch, torch.tensor([False, True]))
    assert torch.equal(half.image[0], batch.image[0])
    assert torch.equal(half.image[1], batch.image[1].flip(2))
    points = half.truth.project(surface.landmarks_68.on(surface.vertices(half.truth)))
    assert torch.allclose(points[:, 17:], half.landmarks_68[:, 17:], atol=5e-3)
    contour = surface.contour_at_yaw(surface.vertices(half.truth), half.truth.pose)
    assert torch.allclose(half.truth.project(contour), half.landmarks_68[:, :17], atol=5e-3)
    assert torch.allclose(half.landmarks_478[0], batch.landmarks_478[0])


def test_an_asymmetric_head_is_not_mirrored(toy: HeadModel) -> None:
    with pytest.raises(TrainingError, match="toy"):
        FaceMirror(toy, load_albedo_model(), coarse_surface(toy))


# the coarse stage

CONFIG = """
[run]
steps = 30
batch_size = 4
learning_rate = 1e-3
warm_up_steps = 5
weight_decay = 0.0
largest_gradient = 20.0
log_steps = 30
sheet_steps = 30
evaluation_steps = 30
checkpoint_steps = 30
[encoder]
image_px = 32
hidden = 64
[data]
samples = 4
cache = "{cache}"
[data.synthetic]
image_px = 32
images_per_person = 4
supersampling = 1.0
map_px = 64
displacement_px = 64
[augmentation]
roll = 0.0
scale = 0.0
shift = 0.0
brightness = 0.0
contrast = 0.0
saturation = 0.0
erased_share = 0.0
[evaluation]
samples = 1
[losses]
silhouette = 0.0
"""


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coarse")
    path = folder / "small.toml"
    path.write_text(CONFIG.format(cache=folder / "samples"))
    return path


def test_coarse_training_learns_four_faces_and_writes_weights(config_file: Path, tmp_path: Path) -> None:
    assert (
        command_line.main(["train", "coarse", "--config", str(config_file), "--run", str(tmp_path), "--device", "cpu"])
        == 0
    )
    records = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    task = STAGE.make_task(STAGE.read_config(config_file), tmp_path, "cpu")
    before = loss_of(task)
    task.networks.load_state_dict(read_checkpoint(checkpoint_files(tmp_path)[-1]).networks)
    assert loss_of(task) < 0.5 * before
    figures = records[-1]["evaluation"]
    assert set(figures) == {
        "boundary_percent", "inner_percent", "overall_percent", "surface_median_mm", "surface_mean_mm",
    }  # fmt: skip
    assert 0 < figures["surface_median_mm"] < 10
    sheet = cv2.imread(str(tmp_path / "sample_000030.png"))
    assert sheet.shape == (3 * 160, 4 * 160, 3)
    encoder = read_coarse_encoder(tmp_path / STAGE.weights_name)
    image = task.batch(0).image
    with torch.no_grad():
        task.networks.eval()
        assert torch.allclose(encoder(image).vector, task.encoder(image).vector, atol=0.05)


def loss_of(task: CoarseTask) -> float:
    with torch.no_grad():
        return float(torch.stack(list(task.losses(task.batch(0)).values())).sum())


def test_batches_of_a_step_are_the_same_in_another_process_state(config_file: Path, tmp_path: Path) -> None:
    config = STAGE.read_config(config_file)
    config = replace(config, augmentation=AugmentationSettings(), losses=replace(config.losses, shape_consistency=1.0))
    first, second = (STAGE.make_task(config, tmp_path, "cpu") for _ in range(2))
    torch.manual_seed(99)
    second.batch(3)
    batch, again = first.batch(7), second.batch(7)
    assert torch.equal(batch.image, again.image)
    assert torch.equal(batch.truth.vector, again.truth.vector)
    # pairs of one person, whose shape is the same
    assert torch.equal(batch.truth.shape[0::2], batch.truth.shape[1::2])


def test_photos_and_videos_train_without_a_truth(
    config_file: Path, tmp_path: Path, astronaut_pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    small = cv2.resize(astronaut_pixels[:320, 60:380], (256, 256), interpolation=cv2.INTER_AREA)
    video = cv2.VideoWriter(str(media / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (256, 256))
    for shift in range(4):
        video.write(np.roll(small, 3 * shift, axis=1)[..., ::-1])
    video.release()
    for name in ("b.png", "c.png"):
        cv2.imwrite(str(media / name), small[..., ::-1])
    (media / "empty.png").write_bytes(b"no photo")
    config = STAGE.read_config(config_file)
    losses = replace(config.losses, mode="self_supervised", silhouette=10.0, photometric=1.0, shape_consistency=0.5)
    for kind, people in (("videos", [0]), ("images", [0])):
        data = replace(config.data, kind=kind, folder=str(media), image_px=64, frame_distance=2, cache="")
        task = STAGE.make_task(replace(config, data=data, losses=losses), tmp_path / kind, "cpu")
        batch = task.batch(0)
        assert batch.truth is None
        # the tracker's eyes lie in the upper half of its crop, left and right of the middle
        eyes = batch.landmarks_68[:, 36:48].reshape(-1, 2, 6, 2).mean(2)
        assert float(eyes[:, 0, 0].max()) < 0 < float(eyes[:, 1, 0].min())
        assert float(eyes[..., 1].max()) < 0
        assert 0.05 < float(batch.skin.mean()) < 0.6
        assert sorted({int(task.samples[number]["person"]) for number in range(len(task._people))}) == people
        assert all(math.isfinite(float(value.detach())) for value in task.losses(batch).values())
        assert task.evaluate()["overall_percent"] > 0
    frames = photo_samples.photo_source(photo_samples.video_faces(media, photo_samples.FaceTracker(), 2), 64)
    assert frames.count == 2
    first = frames.make(0)["image"]
    frames.make(1)
    assert np.array_equal(frames.make(0)["image"], first)


def test_an_empty_or_missing_folder_is_named(config_file: Path, tmp_path: Path) -> None:
    config = STAGE.read_config(config_file)
    losses = replace(config.losses, mode="self_supervised")
    for folder in (tmp_path, tmp_path / "absent"):
        data = replace(config.data, kind="images", folder=str(folder), cache="")
        with pytest.raises(TrainingError, match=folder.name):
            STAGE.make_task(replace(config, data=data, losses=losses), tmp_path / "run", "cpu")


def test_command_line_says_what_is_wrong(config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = ["train", "coarse", "--config", str(config_file), "--run", str(tmp_path)]
    assert command_line.main([*start, "--resume"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    for text in ("3/2", "all", "0/1"):
        with pytest.raises(LikenessError, match="PART/PARTS"):
            command._part(text)
    assert command._part("2/3") == (1, 3)
