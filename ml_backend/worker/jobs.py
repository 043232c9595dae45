"""Does one job of each kind with the stages of the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from addon.exchange.avatar_package import read_package
from addon.exchange.expression_states import read_states
from addon.exchange.folder_messages import FolderAvatarRequest, JudgeFolderRequest
from addon.exchange.typed_json import encode
from addon.exchange.whole_folder import remove_stale_leftovers
from addon.exchange.worker_messages import (
    CheckHeadRequest,
    CheckHeadResult,
    FaceCrop,
    FacesRequest,
    FacesResult,
    HeadRequest,
    HeadResult,
    JobResult,
    PhotoRequest,
    PhotoResult,
    Request,
    WrinklesRequest,
    WrinklesResult,
)
from ml_backend.bare_head import STAGES as BARE_HEAD_STAGES
from ml_backend.bare_head import BareHeadOptions, make_bare_head
from ml_backend.loaded_models import LoadedModels
from ml_backend.pipeline import PipelineOptions, Stage, make_avatar
from ml_backend.worker.bake_progress import BakeProgress
from ml_backend.worker.folder_jobs import FolderJobs
from ml_backend.worker.folder_progress import FolderProgress, FolderStep
from ml_backend.worker.progress import JobProgress, StageDurations
from ml_backend.wrinkles.bake_frames import BakeStage, BakeStep, bake_frames
from ml_backend.wrinkles.frame_displacement import FrameModel

# side of the picture of a face from which the user chooses
FACE_CROP_PX = 160
_STAGES: dict[type, tuple[Stage, ...]] = {
    PhotoRequest: tuple(Stage),
    FacesRequest: (Stage.READ_PHOTO, Stage.FIND_FACE),
    HeadRequest: BARE_HEAD_STAGES,
    CheckHeadRequest: (Stage.LOAD_MODELS,),
}
_Enter = Callable[[Stage, float], None]
# what each kind of job's progress takes
Step = Stage | BakeStep | FolderStep
Progress = JobProgress | BakeProgress | FolderProgress


class JobRunner:
    """Does jobs with models that stay loaded.

    Args:
        device: torch's name of the device of the tracker's networks.
    """

    def __init__(self, device: str) -> None:
        self._models = LoadedModels(device)
        self._durations = StageDurations()
        self._folders = FolderJobs(self._models)

    def load(self) -> None:
        """Load and try out everything that a first photo needs.

        Raises:
            LikenessError: a file of the product is missing.
        """
        import numpy as np

        # what the stages import is loaded now; an interrupt in the middle of an import would spoil it for good
        from ml_backend import avatar_writer, bare_head_writer  # noqa: F401
        from ml_backend.coarse import fit_photo  # noqa: F401
        from ml_backend.displacement import bake_displacement  # noqa: F401
        from ml_backend.head import register_head  # noqa: F401
        from ml_backend.photo import read_photo  # noqa: F401
        from ml_backend.texture import plain_texture  # noqa: F401

        _ = self._models.albedo, self._models.head(None)
        # a grey picture: the networks' first run is the slow one
        self._models.tracker.find_faces(np.full((192, 192, 3), 128, np.uint8))

    def progress_of(self, job_id: str, request: Request) -> Progress:
        """A job's way through its stages, with the seconds that they are likely to take."""
        if isinstance(request, JudgeFolderRequest | FolderAvatarRequest):
            return FolderProgress(job_id)
        choices, head = _choices(request), _head_file(request)
        if isinstance(request, WrinklesRequest):
            return BakeProgress(job_id, {stage: self._durations.expected_s(stage, choices) for stage in BakeStage})
        expected = {stage: self._durations.expected_s(stage, choices) for stage in _STAGES[type(request)]}
        if head is not None and not self._models.has_head(head):
            expected[Stage.LOAD_MODELS] = self._durations.registration_s()
        return JobProgress(job_id, expected)

    def learn(self, request: Request, progress: Progress) -> None:
        """Remember how long the stages of a job that was done took."""
        self._durations.learn(progress.seconds, _choices(request))

    def run(self, request: Request, enter: Callable[[Step], None]) -> dict[str, Any]:
        """Do a job.

        Args:
            enter: called at the start of each stage, and at the end of the last; with what the job's progress takes.

        Returns:
            The result as in `done`.

        Raises:
            LikenessError: it cannot be done, with the reason.
        """
        if isinstance(request, WrinklesRequest):
            return encode(self._bake_wrinkles(request, enter))
        if isinstance(request, JudgeFolderRequest):
            return encode(self._folders.judge(request, enter))
        if isinstance(request, FolderAvatarRequest):
            return encode(self._folders.make(request, enter))
        return encode(self._result(request, lambda stage, _fraction: enter(stage)))

    def _result(self, request: Request, enter: _Enter) -> JobResult:
        if isinstance(request, PhotoRequest):
            return self._make_avatar(request, enter)
        if isinstance(request, FacesRequest):
            return self._find_faces(request, enter)
        if isinstance(request, HeadRequest):
            return self._make_bare_head(request, enter)
        return self._check_head(request, enter)

    def _make_avatar(self, request: PhotoRequest, enter: _Enter) -> PhotoResult:
        chosen, package = request.options, Path(request.package)
        options = PipelineOptions(
            head=_path(chosen.head),
            face=chosen.face,
            texture_px=chosen.texture_px,
            displacement_px=chosen.displacement_px,
            perspective=chosen.perspective,
            focal_35mm_mm=chosen.focal_35mm_mm,
            name=chosen.name,
            wrinkle_age=chosen.wrinkle_age,
        )
        remove_stale_leftovers(package.parent)
        result = make_avatar(Path(request.photo), package, options, enter, self._models)
        return PhotoResult(str(result.package), result.timings_s, result.description.provenance.photo.faces_found)

    def _bake_wrinkles(self, request: WrinklesRequest, enter: Callable[[BakeStep], None]) -> WrinklesResult:
        enter(BakeStep(BakeStage.READ_AVATAR))
        states = read_states(Path(request.states))
        enter(BakeStep(BakeStage.READ_AVATAR, total=len(states.frames)))
        model = FrameModel(read_package(Path(request.package)))
        baked = bake_frames(model, states, Path(request.folder), request.size_px, request.owner, enter)
        return WrinklesResult(request.folder, baked.frames_made, baked.frames_kept)

    def _make_bare_head(self, request: HeadRequest, enter: _Enter) -> HeadResult:
        chosen, package = request.options, Path(request.package)
        options = BareHeadOptions(_path(chosen.head), chosen.name, chosen.texture_px, chosen.displacement_px)
        remove_stale_leftovers(package.parent)
        result = make_bare_head(package, options, enter, self._models)
        return HeadResult(str(result.package), result.timings_s)

    def _find_faces(self, request: FacesRequest, enter: _Enter) -> FacesResult:
        from ml_backend.avatar_writer import face_crop, write_png
        from ml_backend.photo.read_photo import read_photo

        enter(Stage.READ_PHOTO, 0.0)
        photo = read_photo(Path(request.photo))
        enter(Stage.FIND_FACE, 0.0)
        found = self._models.tracker.find_faces(photo.pixels)
        folder = Path(request.folder)
        folder.mkdir(parents=True, exist_ok=True)
        faces = []
        for number, face in enumerate(found, start=1):
            crop = folder / f"face_{number}.png"
            write_png(crop, face_crop(photo.pixels, face, FACE_CROP_PX))
            faces.append(FaceCrop(number, str(crop), tuple(map(float, face.box_px))))
        enter(Stage.FIND_FACE, 1.0)
        return FacesResult(tuple(faces))

    def _check_head(self, request: CheckHeadRequest, enter: _Enter) -> CheckHeadResult:
        enter(Stage.LOAD_MODELS, 0.0)
        head = self._models.head(Path(request.head))
        enter(Stage.LOAD_MODELS, 1.0)
        words = (
            f"{Path(request.head).name} is a head model with {head.num_vertices:,} vertices, "
            f"{head.num_shape} shape and {head.num_expression} expression components."
        )
        return CheckHeadResult(head.name, head.num_vertices, head.num_shape, head.num_expression, words)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def _head_file(request: Request) -> Path | None:
    if isinstance(request, PhotoRequest | HeadRequest):
        return _path(request.options.head)
    return Path(request.head) if isinstance(request, CheckHeadRequest) else None


def _choices(request: Request) -> tuple[object, ...]:
    """What changes how long the stages take."""
    if isinstance(request, PhotoRequest | HeadRequest):
        options = request.options
        return request.kind, options.head, options.texture_px, options.displacement_px
    if isinstance(request, WrinklesRequest):
        return request.kind, request.package, request.size_px
    return request.kind, getattr(request, "head", None)
