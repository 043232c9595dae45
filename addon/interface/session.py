"""What runs now: the queue of jobs, finished avatars, questions, failures, and the timer that moves them on.

One object, from `register` to `unregister`. It keeps no references into Blender's data: undo and opening a file would
leave them pointing nowhere.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import bpy

from ..exchange.errors import LikenessError
from ..exchange.worker_messages import (
    CheckHeadRequest,
    CheckHeadResult,
    FacesRequest,
    HeadOptions,
    HeadRequest,
    PhotoOptions,
    PhotoRequest,
    Request,
    WrinklesRequest,
)
from ..worker.job import Job, JobState
from ..worker.job_queue import JobQueue
from ..worker.steps import Steps
from ..worker.worker_process import WorkerProcess
from .background_work import BackgroundWork, Work
from .cache_content import empty_folder, folder_size
from .failure_log import log_failure
from .import_finished import import_finished
from .orders import BakeOrder, FaceChoice, Failure, FinishedAvatar, FinishedBake, FolderReview, Order
from .redraw import redraw_panels
from .show_finished_bake import show_finished_bake
from .texts import size_text, text
from .user_folders import cache_folder, free_package_folder

# people see ten steps a second as running
_BUSY_TICK_S = 0.1
# where a thousand steps are to be taken, each short
_STEPPING_TICK_S = 0.01
# nothing moves but the artist, who leaves a mode
_WAITING_TICK_S = 0.5
# of the 2 ms that a tick may take; the rest is for telling Blender what to draw
_POLL_BUDGET_S, _WORK_BUDGET_S = 0.001, 0.0005
_STOP_WORK_S = 2.0

_Finished = TypeVar("_Finished", FinishedAvatar, FinishedBake)


class Session:
    """See the module's text.

    Attributes:
        queue: of jobs; work: in steps.
        finished: avatars that wait to come into the scene; choices: photos with several faces.
        bakes: baked wrinkles that wait to be shown.
        review: a judged folder that the artist looks through.
        failure: the last one that was not dismissed.
        backend_error: why no backend can be started; None where one is chosen.
        status: short texts of the preferences by key (backend, flame, cache, environment).
    """

    def __init__(self, start_worker: Callable[[], WorkerProcess], find_backend: Callable[[], object]) -> None:
        self._find_backend = find_backend
        self.backend_error: LikenessError | None = None
        self.queue = JobQueue(start_worker, self._end_job)
        self.work = BackgroundWork()
        self.finished: list[FinishedAvatar] = []
        self.bakes: list[FinishedBake] = []
        self.choices: list[FaceChoice] = []
        self.failure: Failure | None = None
        self.status: dict[str, str] = {}
        self.review: FolderReview | None = None
        self._on_end: dict[str, Callable[[Job], None]] = {}
        self._places: dict[str, Path] = {}
        self._bake_orders: dict[str, BakeOrder] = {}
        self._on_choice: Callable[[FaceChoice], None] | None = None
        # Blender knows a timer by the very object
        self._timer = self.tick

    # --- orders -------------------------------------------------------------------------------------------------------

    def order_photo(self, order: Order) -> Job:
        """Make an avatar of a photo; looks for faces first where the artist may have to choose.

        Raises:
            LikenessError: the photo is not there, or there is no place for the package.
        """
        if not order.photo.is_file():
            raise LikenessError(
                "photo_missing", text("error.missing_file", name=order.photo.name), text("error.missing_file.hint")
            )
        if order.settings.face:
            return self._order_face(order, order.settings.face, order.photo.stem)
        # no package is reserved yet, but what cannot be written is said now
        free_package_folder(order.photo.stem, set())
        crops = cache_folder() / "faces" / uuid.uuid4().hex
        request, title = FacesRequest(str(order.photo), str(crops)), text("faces.title", name=order.photo.stem)
        return self.add(request, title, lambda job: self._end_faces(order, job))

    def order_head(self, order: Order, name: str) -> Job:
        """Make the head model alone.

        Raises:
            LikenessError: there is no place for the package.
        """
        folder = self.free_package_folder(name)
        request = HeadRequest(str(folder), HeadOptions(order.settings.head, name, order.settings.texture_px))
        return self.add(request, name, lambda job: self._end_avatar(order, job), folder)

    def order_bake(self, order: BakeOrder, request: WrinklesRequest, title: str) -> Job:
        """Bake exact wrinkles."""
        job = self.add(request, title, self._end_bake)
        self._bake_orders[job.id] = order
        return job

    def bake_folders(self, but_of: int) -> set[Path]:
        """The folders that bakes in the queue or waiting to be shown fill, but those of one head (its session uid)."""
        orders = [*self._bake_orders.values(), *(bake.order for bake in self.bakes)]
        return {order.folder for order in orders if order.head_uid != but_of}

    def check_head(self, path: str) -> None:
        """Have a head file checked; the outcome stands in `status` under "flame"."""
        self.status["flame"] = text("preferences.flame.checking")
        self.add(CheckHeadRequest(path), text("preferences.flame.title", name=Path(path).name), self._end_check)

    def choose_faces(self, key: str, numbers: list[int]) -> None:
        """Answer a question about faces.

        Args:
            key: of the choice.
            numbers: of the faces, 1 = the largest; none at all drops the photo.

        Raises:
            LikenessError: the question is not open any more, or nothing can be written.
        """
        choice = self.choice(key)
        stem = choice.order.photo.stem
        for number in numbers:
            self._order_face(choice.order, number, stem if len(numbers) == 1 else f"{stem} {number}")
        self.choices.remove(choice)

    def choice(self, key: str) -> FaceChoice:
        """The open question of that key.

        Raises:
            LikenessError: there is none.
        """
        for choice in self.choices:
            if choice.key == key:
                return choice
        raise LikenessError("no_choice", text("faces.gone"), text("faces.gone.hint"))

    def drop(self, key: str) -> None:
        """Forget a question, a finished avatar (its package stays) or, with an empty key, the last failure."""
        if not key:
            self.failure = None
        self.choices = [choice for choice in self.choices if choice.key != key]
        self.finished = [avatar for avatar in self.finished if str(avatar.package) != key]

    def _order_face(self, order: Order, face: int, name: str) -> Job:
        settings, folder = order.settings, self.free_package_folder(name)
        options = PhotoOptions(
            head=settings.head,
            face=face,
            name=name,
            texture_px=settings.texture_px,
            perspective=settings.perspective,
            focal_35mm_mm=settings.focal_35mm_mm,
            wrinkle_age=settings.wrinkle_age,
        )
        request = PhotoRequest(str(order.photo), str(folder), options)
        return self.add(request, name, lambda job: self._end_avatar(order, job), folder)

    def add(self, request: Request, title: str, on_end: Callable[[Job], None], place: Path | None = None) -> Job:
        """Put a job into the queue.

        Args:
            on_end: called when it has ended, however it did; a failure is shown besides.
            place: the package that it writes.
        """
        job = self.queue.add(request, title)
        self._on_end[job.id] = on_end
        if place is not None:
            self._places[job.id] = place
        self.run_timer()
        return job

    def free_package_folder(self, name: str) -> Path:
        """As `user_folders.free_package_folder`; none that a job is going to write."""
        return free_package_folder(name, set(self._places.values()))

    # --- the preferences' work ----------------------------------------------------------------------------------------

    def start_work(
        self, name: str, action: Callable[[Work], Steps[Any]], on_end: Callable[[Any, LikenessError | None], None]
    ) -> None:
        """Do something in steps (see `BackgroundWork.start`)."""
        self.work.start(name, action, on_end)
        self.run_timer()

    def measure_cache(self) -> None:
        """Find out how large the cache is; the outcome stands in `status` under "cache"."""
        folder = cache_folder()
        self.start_work("cache", lambda _work: folder_size(folder), lambda size, _error: self._say_size(size, folder))

    def clear_cache(self) -> None:
        """Empty the cache, and measure it again."""
        folder = cache_folder()

        def clear(_work: Work) -> Steps[int]:
            yield from empty_folder(folder)
            return (yield from folder_size(folder))

        self.start_work("clear", clear, lambda size, _error: self._say_size(size, folder))

    def look_for_backend(self) -> None:
        """Find out whether a backend is chosen; not for drawing, since it looks at files."""
        try:
            self._find_backend()
            self.backend_error = None
        except LikenessError as error:
            self.backend_error = error
        redraw_panels()

    def _say_size(self, size: int | None, folder: Path) -> None:
        self.status["cache"] = text("preferences.cache.size", size=size_text(size or 0), folder=folder)

    # --- the timer ----------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a timer is needed."""
        return (
            self.queue.busy
            or self.work.busy
            or bool(self.bakes)
            or any(avatar.wait != "wait.scene" for avatar in self.finished)
        )

    def run_timer(self) -> None:
        """Let the timer run; it ends by itself when there is nothing to do."""
        if not bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.register(self._timer, first_interval=_BUSY_TICK_S, persistent=True)
        redraw_panels()

    def tick(self) -> float | None:
        """One step; returns the seconds to the next, None when there is nothing to do."""
        changed = self.queue.poll(_POLL_BUDGET_S)
        changed |= self.work.poll(_WORK_BUDGET_S)
        if self.finished:
            changed |= self._import_next()
        if self.bakes:
            changed |= self._show_next_bake()
        if changed:
            redraw_panels()
        if self.work.has_more:
            return _STEPPING_TICK_S
        if self.queue.busy or self.work.busy:
            return _BUSY_TICK_S
        return _WAITING_TICK_S if self.busy else None

    def close(self) -> None:
        """End the worker and all work; nothing comes into the scene any more."""
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        self.queue.close()
        self.work.close(_STOP_WORK_S)
        for order in self._bake_orders.values():
            _forget_states(order)
        self.finished.clear()
        self.bakes.clear()
        self.choices.clear()
        self.review = None

    def ask_with(self, open_dialog: Callable[[FaceChoice], None]) -> None:
        """Set what shows a question about faces to the artist."""
        self._on_choice = open_dialog

    def _import_next(self) -> bool:
        """Bring the first finished avatar into its scene, or say why not yet; returns whether anything changed."""
        avatar = next((avatar for avatar in self.finished if avatar.wait != "wait.scene"), None)
        if avatar is None:
            return False
        return self._take_in(self.finished, avatar, avatar.name, import_finished)

    def _show_next_bake(self) -> bool:
        """Let the first finished bake be played, or say why not yet; returns whether anything changed."""
        bake = self.bakes[0]
        return self._take_in(self.bakes, bake, bake.title, show_finished_bake)

    def _take_in(
        self, waiting: list[_Finished], item: _Finished, name: str, action: Callable[[_Finished], str]
    ) -> bool:
        """Try to bring what waits into the scene; what is done or has failed waits no more."""
        before = item.wait
        try:
            item.wait = action(item)
        except LikenessError as error:
            self._fail(name, error)
            item.wait = ""
        if not item.wait:
            waiting.remove(item)
        return item.wait != before or not item.wait

    # --- ends of jobs -------------------------------------------------------------------------------------------------

    def _end_job(self, job: Job) -> None:
        self._places.pop(job.id, None)
        if job.state is JobState.FAILED:
            self._fail(job.title, job.error)
        self._on_end.pop(job.id)(job)

    def _end_avatar(self, order: Order, job: Job) -> None:
        if job.state is JobState.DONE:
            self.finished.append(FinishedAvatar(Path(job.result.package), job.title, order.scene_uid, order.options))

    def _end_check(self, job: Job) -> None:
        if isinstance(job.result, CheckHeadResult):
            self.status["flame"] = job.result.words
        else:
            self.status["flame"] = str(job.error)

    def _end_bake(self, job: Job) -> None:
        order = self._bake_orders.pop(job.id)
        _forget_states(order)
        if job.state is JobState.DONE:
            self.bakes.append(FinishedBake(order, job.title))

    def _end_faces(self, order: Order, job: Job) -> None:
        if job.state is not JobState.DONE:
            return
        if len(job.result.faces) < 2:
            # without any face, the job itself says best what is wrong with the photo
            self._try(order.photo.stem, lambda: self._order_face(order, 1, order.photo.stem))
            return
        choice = FaceChoice(uuid.uuid4().hex, order, job.result.faces)
        self.choices.append(choice)
        if self._on_choice is not None:
            self._on_choice(choice)

    def _try(self, title: str, action: Callable[[], object]) -> None:
        try:
            action()
        except LikenessError as error:
            self._fail(title, error)

    def _fail(self, title: str, error: LikenessError) -> None:
        self.failure = Failure(title, error)
        log_failure(title, error)


def _forget_states(order: BakeOrder) -> None:
    # a worker that was killed may hold the file a moment longer
    with contextlib.suppress(OSError):
        order.states.unlink(missing_ok=True)


_session: Session | None = None


def open_session(start_worker: Callable[[], WorkerProcess], find_backend: Callable[[], object]) -> Session:
    """Begin a session.

    Args:
        start_worker: starts a worker as the preferences say.
        find_backend: raises LikenessError where none can be started.
    """
    global _session
    _session = Session(start_worker, find_backend)
    _session.look_for_backend()
    return _session


def close_session() -> None:
    """End it, whatever it is doing."""
    global _session
    if _session is not None:
        _session.close()
        _session = None


def session() -> Session:
    """The session.

    Raises:
        LikenessError: the add-on is switched off.
    """
    if _session is None:
        raise LikenessError("closed", text("error.closed"), text("error.closed.hint"))
    return _session


def has_session() -> bool:
    """Whether the add-on is switched on."""
    return _session is not None
