"""The verb `train` of the command line: which stage, from which config, into which folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from addon.exchange.errors import LikenessError

CONFIG_FOLDER = Path(__file__).resolve().parent / "configs"


# the shipped config of each stage
CONFIGS = {"coarse": "coarse_tiny.toml", "teacher": "teacher.toml", "detail": "detail_tiny.toml"}


class Stage(Protocol):
    """What a stage's module offers as `STAGE`."""

    weights_name: str

    def read_config(self, path: Path) -> Any:
        """The config, whose `run` is the loop's."""
        ...

    def make_task(self, config: Any, folder: Path, device: str) -> Any:
        """The training task."""
        ...

    def fill_samples(self, task: Any, part: int, parts: int) -> None:
        """Make the samples of a task without training."""
        ...

    def write_weights(self, task: Any, path: Path, provenance: dict[str, Any]) -> None:
        """Write the networks as they ship."""
        ...


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """The options of `train`."""
    parser.add_argument("stage", choices=tuple(CONFIGS), help="what to train")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML; by default the shipped one of the stage")
    parser.add_argument("--run", type=Path, required=True, metavar="FOLDER", help="the folder of this training")
    parser.add_argument("--minutes", type=float, metavar="M", help="end in this time, with a checkpoint")
    parser.add_argument("--resume", action="store_true", help="go on from a checkpoint; refuse to begin anew")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: a GPU if there is")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of torch on the CPU (default 1)")
    parser.add_argument(
        "--fill-samples", metavar="PART/PARTS", help="only make samples, this part of the shards (1/1 = all)"
    )


def run_training(arguments: argparse.Namespace) -> int:
    """Run `train`.

    Returns:
        0.

    Raises:
        LikenessError: config, data, checkpoint or device cannot be used.
    """
    import torch

    from ml_backend.training.run_folder import RunFolder
    from ml_backend.training.training_loop import TrainingLoop
    from ml_backend.worker.device import choose_device

    torch.set_num_threads(arguments.threads)
    stage = _stage(arguments.stage)
    config = stage.read_config(arguments.config or CONFIG_FOLDER / CONFIGS[arguments.stage])
    folder = RunFolder(arguments.run)
    _check_resume(arguments, folder.path)
    device = choose_device(arguments.device)
    task = stage.make_task(config, folder.path, device.name)
    if arguments.fill_samples:
        stage.fill_samples(task, *_part(arguments.fill_samples))
        return 0
    loop = TrainingLoop(task, config.run, folder, device.name)
    outcome = loop.run(arguments.minutes)
    provenance = {"steps": outcome.step, "device": device.words, "evaluation": outcome.evaluation}
    stage.write_weights(task, folder.path / stage.weights_name, provenance)
    state = "finished" if outcome.finished else "stopped; the same command goes on"
    print(f"{arguments.stage}: {outcome.step} steps, {state}. {folder.path / stage.weights_name}")
    return 0


def _stage(name: str) -> Stage:
    """A stage by its name; only its own module is imported."""
    if name == "coarse":
        from ml_backend.training.coarse_stage import STAGE
    elif name == "teacher":
        from ml_backend.training.teacher_stage import STAGE
    else:
        from ml_backend.training.detail_stage import STAGE
    return STAGE


def _check_resume(arguments: argparse.Namespace, folder: Path) -> None:
    from ml_backend.training.checkpoints import checkpoint_files

    if arguments.resume and not checkpoint_files(folder):
        raise LikenessError("nothing_to_resume", f"{folder} has no checkpoint.", "Leave out --resume to begin anew.")


def _part(text: str) -> tuple[int, int]:
    """Part and parts, counted from 0, of "1/2"."""
    try:
        part, parts = (int(number) for number in text.split("/"))
        if not 1 <= part <= parts:
            raise ValueError
    except ValueError as error:
        raise LikenessError("usage", f"--fill-samples {text} is not PART/PARTS.", "Write 1/2 and 2/2.") from error
    return part - 1, parts
