"""The training loop: knows optimiser, schedule, checkpoints and time; the task knows what is learned from what."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch

from ml_backend.training.checkpoints import Checkpoint, checkpoint_files, read_checkpoint, write_checkpoint
from ml_backend.training.run_folder import RunFolder
from ml_backend.training.training_config import LoopSettings, TrainingError

# of the time that is left, this many times the longest step so far is kept back for the last checkpoint
TIME_KEPT_BACK = 3.0
# seeds of the steps of one training lie this far apart from those of the next seed's
SEED_STRIDE = 1_000_003
ADAM_BETAS = (0.9, 0.98)


class Batch(Protocol):
    """What a task learns from in one step."""

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        ...


class TrainingTask(Protocol):
    """What is learned from what.

    Attributes:
        networks: what is trained and saved.
    """

    networks: torch.nn.ModuleDict

    def batch(self, step: int) -> Batch:
        """The batch of a step, the same whenever it is asked for; may be called from another thread."""
        ...

    def losses(self, batch: Any) -> dict[str, torch.Tensor]:
        """Weighted scalars; their sum is minimised. Networks run inside `network_precision`."""
        ...

    def sample_sheet(self, batch: Any) -> np.ndarray:
        """(H,W,3) uint8 sRGB that shows how well it goes."""
        ...

    def evaluate(self) -> dict[str, float]:
        """Figures on held-out samples."""
        ...


@dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended: after which step, whether that was the last one, and its last evaluation (may be empty)."""

    step: int
    finished: bool
    evaluation: dict[str, float]


def network_precision(device: torch.device | str) -> contextlib.AbstractContextManager[Any]:
    """The precision in which networks run while training: bfloat16 on CUDA, float32 elsewhere (slower there)."""
    if torch.device(device).type == "cuda":
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()


def seed_everything(seed: int, step: int) -> None:
    """Seed torch's chance for one step, so that a resumed training needs no state of it."""
    torch.manual_seed(seed * SEED_STRIDE + step)


def learning_rate(settings: LoopSettings, step: int) -> float:
    """The learning rate of a step, counted from 0: linear warm-up, then half a cosine."""
    if step < settings.warm_up_steps:
        return settings.learning_rate * (step + 1) / settings.warm_up_steps
    share = (step - settings.warm_up_steps) / max(1, settings.steps - settings.warm_up_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return settings.learning_rate * (settings.final_rate + (1 - settings.final_rate) * cosine)


class TrainingLoop:
    """Trains a task in a run folder, from its newest checkpoint where it has one.

    Args:
        task: with its networks on `device`.
        settings: of the loop; folder: of the run.
        device: where batches go.
        report: takes a line of progress; standard error by default.

    Raises:
        TrainingError: the newest checkpoint is damaged or belongs to other networks.
    """

    def __init__(
        self,
        task: TrainingTask,
        settings: LoopSettings,
        folder: RunFolder,
        device: torch.device | str = "cpu",
        report: Callable[[str], None] | None = None,
    ) -> None:
        self.task, self.settings, self.folder, self.device = task, settings, folder, torch.device(device)
        self.report = report or _to_stderr
        self.optimiser = _optimiser(task.networks, settings)
        self.step = 0
        self.evaluation: dict[str, float] = {}
        self._stop = threading.Event()
        self._longest_step_s = 0.0
        files = checkpoint_files(folder.path)
        if files:
            self._resume(read_checkpoint(files[-1]), str(files[-1]))

    def run(self, minutes: float | None = None) -> TrainingOutcome:
        """Train until the last step, until the time is over, or until the process is asked to end.

        Args:
            minutes: of this call; a checkpoint is written before they are over.
        """
        begin = time.monotonic()
        deadline = math.inf if minutes is None else begin + 60 * minutes
        first, checkpoint_at = self.step, self.step
        with _asked_to_stop(self._stop), _Batches(self.task, self.step, self.settings) as batches:
            while self.step < self.settings.steps and not self._stop.is_set():
                if time.monotonic() + TIME_KEPT_BACK * self._longest_step_s > deadline:
                    break
                losses = self._one_step(batches)
                self._after_step(losses, first, begin, deadline)
                if self.step % self.settings.checkpoint_steps == 0:
                    self._save()
                    checkpoint_at = self.step
        if checkpoint_at != self.step:
            self._save()
        finished = self.step >= self.settings.steps
        if finished and not self.evaluation:
            self._evaluate()
        return TrainingOutcome(self.step, finished, self.evaluation)

    def _one_step(self, batches: _Batches) -> dict[str, torch.Tensor]:
        """One step of the optimiser; returns its losses."""
        begin = time.monotonic()
        batch = batches.take(self.step).to(self.device)
        seed_everything(self.settings.seed, self.step)
        self.task.networks.train()
        losses = self.task.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            self._not_finite(losses)
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.task.networks.parameters(), self.settings.largest_gradient)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.settings, self.step)
        self.optimiser.step()
        self.step += 1
        self._longest_step_s = max(self._longest_step_s, time.monotonic() - begin)
        return {"total": total.detach(), **{name: value.detach() for name, value in losses.items()}, "gradient": norm}

    def _after_step(self, losses: dict[str, torch.Tensor], first: int, begin: float, deadline: float) -> None:
        """Log, draw and evaluate when it is time for it."""
        settings = self.settings
        if self.step % settings.log_steps == 0 or self.step == settings.steps:
            values = {name: round(float(value), 6) for name, value in losses.items()}
            seconds = (time.monotonic() - begin) / (self.step - first)
            self.folder.append({"step": self.step, "losses": values, "step_s": round(seconds, 4)})
            self.report(_progress_line(self.step, settings, values["total"], seconds, deadline))
        if self.step % settings.sheet_steps == 0 or self.step == settings.steps:
            self.task.networks.eval()
            with torch.no_grad():
                sheet = self.task.sample_sheet(self.task.batch(self.step).to(self.device))
            self.folder.write_image(f"sample_{self.step:06d}.png", sheet)
        if self.step % settings.evaluation_steps == 0 or self.step == settings.steps:
            self._evaluate()

    def _evaluate(self) -> None:
        self.task.networks.eval()
        with torch.no_grad():
            self.evaluation = self.task.evaluate()
        self.folder.append({"step": self.step, "evaluation": self.evaluation})
        self.report("  ".join(f"{name} {value:.3f}" for name, value in self.evaluation.items()))

    def _save(self) -> None:
        networks = self.task.networks.state_dict()
        checkpoint = Checkpoint(self.step, networks, self.optimiser.state_dict())
        write_checkpoint(self.folder.path, checkpoint, self.settings.checkpoints_kept)
        self.folder.write_curves()

    def _resume(self, checkpoint: Checkpoint, name: str) -> None:
        try:
            self.task.networks.load_state_dict(checkpoint.networks)
            self.optimiser.load_state_dict(checkpoint.optimiser)
        except (RuntimeError, ValueError, KeyError) as error:
            raise TrainingError(
                "checkpoint_of_others",
                f"The checkpoint {name} belongs to other networks than the config describes.",
                "Use the config of that run, or a new run folder.",
            ) from error
        self.step = checkpoint.step
        self.folder.forget_after(self.step)
        self.report(f"resumed after step {self.step}")

    def _not_finite(self, losses: dict[str, torch.Tensor]) -> None:
        names = ", ".join(name for name, value in losses.items() if not torch.isfinite(value))
        raise TrainingError(
            "loss_not_finite",
            f"At step {self.step} a loss is not a finite number: {names}.",
            "Lower the learning rate; the last checkpoint is kept.",
        )


class _Batches:
    """The batches in the order of steps, some of them prepared ahead in threads."""

    def __init__(self, task: TrainingTask, first: int, settings: LoopSettings) -> None:
        self._task, self._ahead, self._steps = task, settings.prefetched, settings.steps
        self._next = first
        self._pool = ThreadPoolExecutor(self._ahead) if self._ahead else None
        self._coming: dict[int, Any] = {}

    def take(self, step: int) -> Any:
        """The batch of a step; steps are asked for in order."""
        if self._pool is None:
            return self._task.batch(step)
        while self._next <= min(step + self._ahead, self._steps - 1):
            self._coming[self._next] = self._pool.submit(self._task.batch, self._next)
            self._next += 1
        return self._coming.pop(step).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _optimiser(networks: torch.nn.ModuleDict, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW; biases, norms and tokens are not decayed."""
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.dim() == 2], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in trained if parameter.dim() != 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=ADAM_BETAS)


@contextlib.contextmanager
def _asked_to_stop(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the training after the step it is in; outside of the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        stop.set()
        # asked twice, it ends at once
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _progress_line(step: int, settings: LoopSettings, total: float, seconds: float, deadline: float) -> str:
    left = min((settings.steps - step) * seconds, max(0.0, deadline - time.monotonic()))
    rate = settings.batch_size / seconds
    return f"step {step}/{settings.steps}  loss {total:.4f}  {rate:.1f} samples/s  {_clock(left)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
