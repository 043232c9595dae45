"""The detail stage as training tasks: samples, batches, losses, figures and sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ml_backend.head.albedo_model import AlbedoModel, load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_networks import DetailConfig, TeacherConfig, UNetTeacher
from ml_backend.learned.detail_weights import write_teacher
from ml_backend.synthetic.sample import SyntheticFaces
from ml_backend.synthetic.settings import SyntheticSettings
from ml_backend.training.animation_objective import TeachingSettings
from ml_backend.training.command import CONFIG_FOLDER
from ml_backend.training.detail_objective import ShadingObjective, ShadingWeights
from ml_backend.training.detail_samples import MM_PER_M, detail_batch
from ml_backend.training.detail_shading import WindowAlbedo, detailed_normals, shaded_texture, surface_frame
from ml_backend.training.detail_stream import DetailEvaluation, partner
from ml_backend.training.detail_task import DetailTask, DetailTraining
from ml_backend.training.face_samples import DataSettings
from ml_backend.training.teacher_task import TeacherTask, TeacherTraining
from ml_backend.training.training_config import LoopSettings, TrainingError, read_config

SIZE = 64
SYNTHETIC = SyntheticSettings(
    image_px=160, images_per_person=2, detail=True, map_px=128, displacement_px=128, supersampling=1.0, max_yaw=0.4
)
NETWORK = DetailConfig(window_px=SIZE, width=32, heads=2, encoder_blocks=1, decoder_blocks=1, stem=(8, 8, 16))
TEACHER = TeacherConfig((4, 8, 16))


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def albedo() -> AlbedoModel:
    return load_albedo_model()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def training(cache: Path) -> DetailTraining:
    return DetailTraining(
        run=LoopSettings(steps=2, batch_size=4, learning_rate=1e-3),
        network=NETWORK,
        data=DataSettings(cache=str(cache), samples=4, synthetic=SYNTHETIC),
        evaluation=DetailEvaluation(people=2, window_px=SIZE, sheet_rows=2),
    )


@pytest.fixture(scope="module")
def task(training: DetailTraining, head: HeadModel, albedo: AlbedoModel, cache: Path) -> DetailTask:
    return DetailTask(training, head, albedo, cache)


def test_batches_are_pairs_and_depend_on_the_step_alone(task: DetailTask) -> None:
    first, again = task.batch(3), task.batch(3)
    assert torch.equal(first.texture, again.texture) and torch.equal(first.truth, again.truth)
    assert torch.equal(first.person[partner(4)], first.person)
    assert not torch.equal(first.texture[0], first.texture[2])


def test_a_sample_keeps_what_was_rendered(task: DetailTask, head: HeadModel, albedo: AlbedoModel) -> None:
    sample = SyntheticFaces(head, albedo, SYNTHETIC).sample(1)
    batch = detail_batch([task.stream.samples[1]], task.stream.window)
    assert float(batch.truth.abs().max()) <= 1.05 * float(np.abs(sample.detail.displacement_m).max())
    assert float(batch.truth.abs().max()) * MM_PER_M > 0.01
    assert np.abs(batch.vertices[0].numpy() - sample.detail.vertices).max() == 0
    lips = head.masks["lips"][torch.from_numpy(task.stream.window.texels.vertices).long()].mean(1) > 0.9
    tension = batch.tension.flatten()[torch.from_numpy(task.stream.window.texels.index)]
    expected = sample.detail.tension[head.masks["lips"].numpy() > 0.9].mean()
    assert float(tension[lips].mean()) == pytest.approx(float(expected), abs=0.05)


def test_shading_losses_vanish_for_the_relief_that_made_the_photo(
    task: DetailTask, head: HeadModel, albedo: AlbedoModel
) -> None:
    batch, window = task.batch(1), task.stream.window
    relief = 3e-4 * torch.rand(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    normals = detailed_normals(surface_frame(head, window, batch.vertices), relief)
    photo = shaded_texture(WindowAlbedo(albedo, window)(batch.albedo), batch.light, normals)
    shown = replace(batch, photo=photo, truth=relief)
    objective = ShadingObjective(ShadingWeights(shaded_faces=4), head, albedo, window, torch.device("cpu"))
    true = objective(relief, shown, objective.skin.expand_as(relief))
    smooth = objective(0 * relief, shown, objective.skin.expand_as(relief))
    for name in ("supervised", "photometric", "mrf"):
        assert float(true[name]) == pytest.approx(0, abs=1e-7)
        assert float(smooth[name]) > 1e-4
    assert float(smooth["size"]) == float(smooth["smoothness"]) == 0


def test_losses_reach_every_weight_of_the_student(task: DetailTask) -> None:
    losses = task.losses(task.batch(0))
    assert {"supervised", "swapped_supervised", "photometric", "symmetry", "same"} <= set(losses)
    assert all(bool(value.isfinite()) for value in losses.values())
    task.networks.zero_grad()
    sum(losses.values()).backward()
    idle = [name for name, value in task.student.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle


def test_unknown_truth_is_not_learned_from(task: DetailTask) -> None:
    batch = task.batch(0)
    unknown = replace(batch, known=torch.zeros_like(batch.known))
    assert float(task.losses(unknown)["supervised"].detach()) == 0


def test_a_teacher_joins_in(
    training: DetailTraining, head: HeadModel, albedo: AlbedoModel, cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "teacher.safetensors"
    write_teacher(path, UNetTeacher(TEACHER), {})
    taught = replace(training, teaching=TeachingSettings(weights=str(path)))
    task = DetailTask(taught, head, albedo, cache)
    assert "teacher" in task.losses(task.batch(0))
    assert not any(value.requires_grad for value in task.teacher.parameters())
    assert task.sample_sheet(task.batch(0)).shape[1] == 6 * task.sample_sheet(task.batch(0)).shape[0] // 2


def test_held_out_pairs_are_other_people(task: DetailTask) -> None:
    apart = task.stream.held_out_pairs(0, 2)
    assert torch.equal(apart.person, torch.tensor([0, 1, 0, 1]))
    assert not torch.equal(apart.texture[0], apart.texture[2])
    assert not torch.equal(apart.vertices[0], torch.from_numpy(task.stream.samples[0]["vertices"]))
    tension = apart.tension.flatten(1)
    assert not torch.equal(tension[0], tension[2])


def test_figures_of_a_smooth_student(task: DetailTask) -> None:
    with torch.no_grad():
        found = task.evaluate()
    assert found["rms_mm"] == pytest.approx(found["smooth_rms_mm"], rel=0.5)
    assert 0 <= abs(found["correlation"]) < 0.9
    assert found["swap_ratio"] > 0


def test_teacher_task_learns_a_batch(
    training: DetailTraining, head: HeadModel, albedo: AlbedoModel, cache: Path
) -> None:
    config = TeacherTraining(training.run, TEACHER, training.data, ShadingWeights(), training.evaluation)
    task = TeacherTask(config, head, albedo, cache)
    batch = task.batch(0)
    # a relief that is written into the photo
    batch = replace(batch, truth=-5e-5 * batch.texture[:, 3:4])
    optimiser = torch.optim.Adam(task.networks.parameters(), 1e-2)
    totals = []
    for _ in range(40):
        losses = task.losses(batch)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        totals.append(float(losses["supervised"].detach()))
    assert totals[-1] < 0.5 * totals[0]
    with torch.no_grad():
        assert set(task.evaluate()) == {"correlation", "mean_correlation", "rms_mm", "smooth_rms_mm"}
        assert task.sample_sheet(batch).dtype == np.uint8


def test_pairs_need_two_images(training: DetailTraining, head: HeadModel, albedo: AlbedoModel, cache: Path) -> None:
    odd = replace(training, run=replace(training.run, batch_size=3))
    with pytest.raises(TrainingError, match="pairs"):
        DetailTask(odd, head, albedo, cache)


@pytest.mark.parametrize(("name", "kind"), [("teacher.toml", TeacherTraining), ("detail_tiny.toml", DetailTraining)])
def test_shipped_configs_can_be_read(name: str, kind: type) -> None:
    config = read_config(CONFIG_FOLDER / name, kind)
    assert config.data.synthetic.detail and config.run.batch_size % 2 == 0
