"""The add-on switched on in the bpy of this interpreter, with a worker that is a short program: for its tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy

from addon.interface import registration, user_folders
from addon.interface.extension_package import PACKAGE
from addon.interface.session import Session, close_session, open_session, session
from addon.worker.backend_environment import BackendEnvironment
from addon.worker.worker_process import WorkerProcess
from tests.scene_small_avatar import small_package
from tests.worker_programs import fake_environment
from tests.wrinkled_package import add_flat_maps

# a backend that makes every avatar by copying a package; it waits for the file `go` where the folder has `wait`
COPYING = """
import pathlib, shutil
folder = pathlib.Path(__file__).parent.parent

def held(job):
    while (folder / "wait").exists() and not (folder / "go").exists():
        say(type="progress", job=job, stage="fit", text="fitting the head", fraction=0.5, seconds_left=7.0)
        time.sleep(0.02)

threading.Thread(target=beat, daemon=True).start()
say(**READY)
while True:
    message = hear()
    if message["type"] != "job":
        continue
    job, kind = message["job"], message["kind"]
    (folder / "jobs.txt").open("a").write(json.dumps(message) + "\\n")
    held(job)
    if kind == "faces":
        count = int((folder / "faces").read_text())
        crop = str(folder / "package" / "thumbnail.png")
        faces = [{"number": n + 1, "crop": crop, "box_px": [0, 0, 9, 9]} for n in range(count)]
        say(type="done", job=job, result={"faces": faces})
    elif kind == "judge_folder":
        names = sorted(path.name for path in pathlib.Path(message["folder"]).iterdir())
        thumbnails = pathlib.Path(message["thumbnails"])
        thumbnails.mkdir(parents=True)
        photos = []
        for number, name in enumerate(names):
            shutil.copy(folder / "package" / "thumbnail.png", thumbnails / f"{number}.png")
            chosen = message["choice"]["overruled"].get(name, name.startswith("good"))
            photos.append({
                "name": name, "verdict": "used" if chosen else "blurred", "sentence": f"Why {name}.", "sure": 0.9,
                "thumbnail": f"{number}.png", "chosen": chosen, "usable": not name.startswith("wall"),
            })
        say(type="done", job=job, result={"photos": photos, "sentences": ["The count.", "Please look at the list."]})
    elif kind == "check_head":
        words = "A FLAME head with 5023 vertices."
        result = {"name": "flame", "num_vertices": 5023, "num_shape": 300, "num_expression": 100, "words": words}
        say(type="done", job=job, result=result)
    elif (folder / "fail").exists():
        say(type="failed", job=job, code="no_face", message="No face was found.", hint="Choose another photo.")
    else:
        personal = folder / "personal"
        shutil.copytree(personal if kind == "folder" and personal.is_dir() else folder / "package", message["package"])
        result = {"package": message["package"], "timings_s": {}, "faces_found": 1}
        result |= {"photos_used": 2, "landmark_error_percent": 1.5}
        say(type="done", job=job, result=result)
"""


@dataclass
class Stage:
    """The add-on on, in an empty file.

    Attributes:
        folder: of the test; `fake` in it steers the worker by its files.
        photo: a file that the fake worker takes for a photo.
    """

    folder: Path
    workers: list[WorkerProcess]

    @property
    def fake(self) -> Path:
        """The fake backend's folder."""
        return self.folder / "fake"

    @property
    def photo(self) -> Path:
        """A photo."""
        return self.folder / "Ada.png"

    @property
    def session(self) -> Session:
        """The running one."""
        return session()

    def order(self, **options: object) -> None:
        """Choose the photo as the file browser would."""
        bpy.ops.likeness.photo("EXEC_DEFAULT", filepath=str(self.photo), **{"face": 1, **options})

    def tick_until(self, condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
        """Do by hand what Blender's timer does; there is none without a window."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"still waiting: {self.session.queue.jobs}, {self.session.failure}"
            self.session.tick()
            time.sleep(0.005)

    def finish(self) -> None:
        """Tick until the timer would end."""
        self.tick_until(lambda: not self.session.busy)

    def wrinkled_head(self) -> bpy.types.Object:
        """A neutral avatar with wrinkles, its head active."""
        package = self.fake / "package"
        add_flat_maps(package)
        bpy.ops.likeness.import_package("EXEC_DEFAULT", filepath=str(package / "avatar.json"), photo_expression=False)
        return bpy.context.object

    def hold(self) -> None:
        """Let jobs wait in their middle."""
        (self.fake / "wait").touch()

    def release(self) -> None:
        """Let them go on."""
        (self.fake / "go").touch()


@contextmanager
def raised(folder: Path, monkeypatch) -> Iterator[Stage]:
    """Switch the add-on on with a fake worker and folders of its own; off again, whatever the test did."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    monkeypatch.setattr(user_folders, "user_folder", lambda: folder / "user")
    monkeypatch.setattr(user_folders, "default_cache_folder", lambda: folder / "cache")
    environment = fake_environment(folder / "fake", COPYING)
    small_package(folder / "fake" / "package", "perspective")
    (folder / "fake" / "faces").write_text("1")
    (folder / "Ada.png").write_bytes((folder / "fake" / "package" / "photo.png").read_bytes())
    stage = Stage(folder, [])

    def start() -> WorkerProcess:
        stage.workers.append(WorkerProcess.start(environment, folder / "user" / "likeness.log"))
        return stage.workers[-1]

    preferences = bpy.context.preferences.addons.new()
    preferences.module = PACKAGE
    registration.register()
    close_session()
    open_session(start, lambda: environment)
    # without a window Blender begins to remember at the first push
    bpy.ops.ed.undo_push(message="begin")
    try:
        yield stage
    finally:
        if hasattr(bpy.types.Scene, "likeness"):
            registration.unregister()
        bpy.context.preferences.addons.remove(preferences)
        assert all(worker.wait(10.0) for worker in stage.workers), "a worker outlived the add-on"


def python_of_tests() -> BackendEnvironment:
    """Our real backend, in this interpreter."""
    return BackendEnvironment(Path(sys.executable), (Path(__file__).resolve().parents[1],))
