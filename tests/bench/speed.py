"""Time by stage, memory and size: from the command to the saved .blend."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ml_backend.loaded_models import LoadedModels
from ml_backend.pipeline import PipelineOptions, make_avatar

ROOT = Path(__file__).resolve().parents[2]
WARM_RUNS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds: in all and by stage; peak memory in MiB where it was measured."""

    total_s: float
    stages_s: dict[str, float]
    peak_mib: float | None = None


def cold_run(photo: Path, folder: Path) -> Timing:
    """The command `build.py avatar`, from nothing in memory to the saved .blend."""
    blend = folder / "cold.blend"
    watch = (
        "import resource, subprocess, sys, time; start = time.perf_counter(); "
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
        "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.returncode)"
    )
    command = [
        sys.executable,
        "-c",
        watch,
        sys.executable,
        str(ROOT / "build.py"),
        "avatar",
        str(photo),
        "--out",
        str(blend),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if answer[2] != "0":
        raise RuntimeError(f"build.py avatar ended with status {answer[2]}")
    document = next(folder.rglob("avatar.json"))
    stages = json.loads(document.read_text())["timings_s"]
    return Timing(float(answer[0]), stages, float(answer[1]) / 1024)


def warm_run(photo: Path, folder: Path) -> Timing:
    """The pipeline and the Blender step once more in processes that have run before: the best of a few runs."""
    command = [sys.executable, "-m", "addon.scene", "-"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as blender:
        best, models = None, LoadedModels()
        for run in range(WARM_RUNS + 1):
            start = time.perf_counter()
            package = folder / f"warm_{run}"
            result = make_avatar(photo, package, PipelineOptions(), models=models)
            made = time.perf_counter()
            request = {"package": str(package), "blend": str(folder / f"warm_{run}.blend"), "preview": None}
            blender.stdin.write(json.dumps(request) + "\n")
            blender.stdin.flush()
            _read_answer(blender)
            end = time.perf_counter()
            timing = Timing(end - start, {**result.timings_s, "blender objects": end - made})
            # the first run warms
            if run and (best is None or timing.total_s < best.total_s):
                best = timing
        blender.stdin.close()
    return best


def _read_answer(blender: subprocess.Popen) -> None:
    for line in blender.stdout:
        if line.startswith("{"):
            answer = json.loads(line)
            if not answer.get("done"):
                raise RuntimeError(f"the Blender step failed: {answer}")
            return
    raise RuntimeError("the Blender step ended without an answer")


def tracked_mib() -> float:
    """Size of all files under version control, MiB."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    return sum((ROOT / name.decode()).stat().st_size for name in names if name) / 2**20
