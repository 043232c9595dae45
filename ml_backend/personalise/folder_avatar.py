"""From a folder of photos to one avatar of the person that most of them show."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import torch

from addon.exchange.avatar_description import AvatarDescription, FolderPhoto, HeldOutError
from addon.exchange.avatar_package import check_target
from addon.exchange.errors import PhotoError
from ml_backend.avatar_writer import FittedAvatar, write_avatar
from ml_backend.displacement.bake_displacement import bake_displacement
from ml_backend.head.head_model import HeadModel
from ml_backend.loaded_models import LoadedModels
from ml_backend.one_thread import one_thread
from ml_backend.personalise.curation import Curation, CurationOptions, curate, load_view, trust_of
from ml_backend.personalise.face_readings import quality
from ml_backend.personalise.folder_images import list_images
from ml_backend.personalise.held_out import PersonHead, held_out_error
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions, fit_jointly
from ml_backend.personalise.kept_files import KeptFiles
from ml_backend.personalise.kept_readings import KeptReadings
from ml_backend.personalise.kept_run import ENCODER, STUDENT, KeptRun
from ml_backend.personalise.person_networks import PersonNetworks
from ml_backend.personalise.train_adapters import AdapterTraining, train_encoder, train_student
from ml_backend.personalise.vertex_offsets import personal_head
from ml_backend.personalise.view import VIEW_SIDE_PX, View
from ml_backend.photo.read_photo import read_photo
from ml_backend.pipeline import PipelineOptions
from ml_backend.texture.merged_views import MergedTexture, TextureView, bake_views
from ml_backend.wrinkles.bake_wrinkles import BakedWrinkles, bake_wrinkles, draw_wrinkles, learn_wrinkles, person_seed

# of one photo alone nothing is learned that `photo` would not know
FEWEST_PHOTOS = 2


class FolderStage(Enum):
    """The stages; each value is its text for people."""

    JUDGE_PHOTOS = "looking at the photos"
    FIT_HEAD = "fitting one head to all photos"
    ADAPT = "learning the person's face"
    BAKE_TEXTURE = "merging the texture"
    BAKE_DISPLACEMENT = "reading wrinkles and pores"
    WRITE_PACKAGE = "writing the avatar"


# Of the stage that fits the head, what the joint fit takes; the rest goes to photos held out.
JOINT_SHARE = 0.6
# About what each stage takes of the whole with twenty photos.
SHARES = dict(zip(FolderStage, (0.15, 0.10, 0.45, 0.22, 0.05, 0.03), strict=True))


@dataclass(frozen=True)
class FolderOptions:
    """What can be chosen.

    Attributes:
        curation: which photos.
        avatar: sizes of the maps, wrinkles and name (None = the folder's); the rest of it is for single photos.
        adapters: how the learned networks are adapted to the person; None: they stay the shared ones.
        before: the head of the avatar that is updated, with which the new one is compared on photos held out.
        offsets: also move the neutral's vertices where four photos or more agree. Off: on rendered people the surface
            became 4 to 10% worse, since most of what photos agree on is the tracker's own lasting error.
    """

    curation: CurationOptions = field(default_factory=CurationOptions)
    avatar: PipelineOptions = field(default_factory=PipelineOptions)
    adapters: AdapterTraining | None = field(default_factory=AdapterTraining)
    before: PersonHead | None = None
    offsets: bool = False

    @property
    def joint(self) -> JointFitOptions:
        """Those of the joint fit."""
        return JointFitOptions(use_offsets=self.offsets)


@dataclass(frozen=True)
class FolderResult:
    """What was made: the package's folder, its description, what became of each photo, and the joint fit."""

    package: Path
    description: AvatarDescription
    curation: Curation
    joint: JointFit


Progress = Callable[[FolderStage, str, float], None]


def make_folder_avatar(
    folder: Path,
    package: Path,
    options: FolderOptions = FolderOptions(),
    progress: Progress = lambda stage, text, fraction: None,
    models: LoadedModels | None = None,
    kept: KeptReadings | None = None,
    files: KeptFiles | None = None,
) -> FolderResult:
    """Make one avatar package of all photos of a person.

    Args:
        folder: of the photos.
        package: the folder to write; an avatar there is replaced when the new one is whole.
        progress: called with the stage, what is at work and the fraction of the whole that is done; may raise to stop.
        models: loaded ones; kept: what was read of the photos before.
        files: where what is finished is kept until the avatar is written, so that an interrupted run can go on; None:
            nowhere.

    Raises:
        LikenessError: too few photos show one person, or the place cannot be written; nothing is left behind.

    Source: first paper, section 3.4.
    """
    check_target(package)
    models, steps = models or LoadedModels(), _Steps(progress)
    kept = KeptReadings() if kept is None else kept
    run = _begin(folder, options, kept, files, steps)
    curation = curate(folder, models, options.curation, steps.within(FolderStage.JUDGE_PHOTOS), kept, files)
    judged = {photo.name: photo for photo in curation.photos}
    if len(curation.chosen) < FEWEST_PHOTOS:
        raise PhotoError(
            "too_few_photos",
            f"{folder.name} has {len(curation.chosen)} photos that can be used, of {len(curation.photos)} files.",
            "Add photos of the same person, or make an avatar of the one photo.",
        )
    views = [load_view(judged[name], models) for name in curation.chosen]
    joint, held_out = _fitted(views, curation, models, options, steps, run)
    head = personal_head(models.head(None), joint.offsets_m)
    # training gains from all threads, the many small steps of the other stages do not
    networks = _adapted(views, joint, head, models, options, steps, run)
    with one_thread(), torch.no_grad():
        texture = bake_views(
            [TextureView(view.pixels, view.face, fit) for view, fit in zip(views, joint.fits, strict=True)],
            head, models.albedo, options.avatar.texture_px,
            lambda fraction: steps.enter(FolderStage.BAKE_TEXTURE, "", fraction),
        )  # fmt: skip
        shown = texture.reference
        source = read_photo(judged[views[shown].name].path, VIEW_SIDE_PX)
        steps.enter(FolderStage.BAKE_DISPLACEMENT, "", 0.0)
        wrinkles = _wrinkles(views[shown], head, joint, texture, networks, source.sha256, options.avatar, models)
    steps.enter(FolderStage.WRITE_PACKAGE, "", 0.0)
    photo = judged[views[shown].name]
    avatar = FittedAvatar(
        name=options.avatar.name or folder.resolve().name, photo=source, faces_found=photo.num_faces,
        face_used=photo.face_number, face=views[shown].face, head=head, fit=joint.fits[shown], texture=texture,
        wrinkles=wrinkles, folder=_record(curation, joint), networks=networks, held_out=held_out,
    )  # fmt: skip
    description = write_avatar(package, avatar, steps.timings_s)
    if files is not None:
        files.remove()
    return FolderResult(package, description, curation, joint)


def _begin(folder: Path, options: FolderOptions, kept: KeptReadings, files: KeptFiles | None, steps: _Steps) -> KeptRun:
    """What an earlier run has left, and a word of it."""
    images = list_images(folder, options.curation.with_subfolders)
    run = KeptRun(files, images, options.curation, options.joint, options.adapters, options.before)
    kept.begin(images, options.curation.reading, files)
    read = kept.count(images)
    found = ((f"{read} photo{'' if read == 1 else 's'} read",) if read else ()) + run.found()
    steps.enter(FolderStage.JUDGE_PHOTOS, f"goes on from: {', '.join(found)}" if found else "", 0.0)
    return run


def _fitted(
    views: list[View],
    curation: Curation,
    models: LoadedModels,
    options: FolderOptions,
    steps: _Steps,
    run: KeptRun,
) -> tuple[JointFit, HeldOutError | None]:
    """One head for all photos, and what it is worth on photos that it was not made of."""
    head, albedo = models.head(None), models.albedo
    within, trust = steps.within(FolderStage.FIT_HEAD), trust_of(curation, options.curation)
    with one_thread():
        joint = run.joint_fit(
            curation.chosen,
            lambda: fit_jointly(
                views,
                head,
                albedo,
                options.joint,
                lambda text, fraction: within(text, JOINT_SHARE * fraction),
                trust,
            ),
        )
        within("photos held out", JOINT_SHARE)
        figures = {photo.name: photo.figures for photo in curation.photos}
        worth = [quality(figures[view.name]) * math.cos(figures[view.name].yaw) for view in views]
        held_out = run.held_out(
            lambda: held_out_error(views, joint, head, albedo, worth, trust, options.before, options.joint)
        )
    return joint, held_out


def _adapted(
    views: list[View],
    joint: JointFit,
    head: HeadModel,
    models: LoadedModels,
    options: FolderOptions,
    steps: _Steps,
    run: KeptRun,
) -> PersonNetworks | None:
    """The learned networks, adapted to the person; None where they stay the shared ones."""
    if options.adapters is None:
        return None
    within = steps.within(FolderStage.ADAPT)
    encoder = run.network(
        ENCODER, models.coarse_encoder,
        lambda: train_encoder(
            models.coarse_encoder, views, joint, head, models.albedo, options.adapters,
            lambda text, fraction: within(text, 0.4 * fraction),
        ),
    )  # fmt: skip
    student = run.network(
        STUDENT, models.detail_student,
        lambda: train_student(
            models.detail_student, models.detail_teacher, views, joint, head, models.albedo, options.adapters,
            lambda text, fraction: within(text, 0.4 + 0.6 * fraction),
        ),
    )  # fmt: skip
    return PersonNetworks(encoder, student)


def _wrinkles(
    view: View,
    head: HeadModel,
    joint: JointFit,
    texture: MergedTexture,
    networks: PersonNetworks | None,
    photo_sha256: str,
    options: PipelineOptions,
    models: LoadedModels,
) -> BakedWrinkles:
    """The person's wrinkle maps: relief of the photo that shows the face best, the rest by the detail network."""
    fit = joint.fits[texture.reference]
    student = models.detail_student if networks is None else networks.student
    with ThreadPoolExecutor(1) as beside:
        seed = person_seed(photo_sha256)
        drawn = beside.submit(draw_wrinkles, head, fit, options.displacement_px, seed, options.wrinkle_age)
        displacement = bake_displacement(view.pixels, view.face, head, fit, texture, options.displacement_px)
        learned = learn_wrinkles(student, view.pixels, view.face, head, fit, drawn.result())
    return bake_wrinkles(drawn.result(), displacement, learned)


def _record(curation: Curation, joint: JointFit) -> tuple[FolderPhoto, ...]:
    errors = dict(zip(curation.chosen, joint.error_percent, strict=True))
    return tuple(
        FolderPhoto(photo.name, photo.sha256, photo.verdict.value, errors.get(photo.name)) for photo in curation.photos
    )


class _Steps:
    """Turns the progress of stages into that of the whole, and takes times."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: dict[FolderStage, float] = {}

    def enter(self, stage: FolderStage, text: str, fraction: float) -> None:
        """Tell where the work is: a fraction (0-1) of a stage."""
        self._began.setdefault(stage, time.perf_counter())
        done = sum(SHARES[earlier] for earlier in list(FolderStage)[: list(FolderStage).index(stage)])
        self._progress(stage, text, done + SHARES[stage] * min(1.0, max(0.0, fraction)))

    def within(self, stage: FolderStage) -> Callable[[str, float], None]:
        """What a stage's own work calls with a text and its fraction."""
        return lambda text, fraction: self.enter(stage, text, fraction)

    @property
    def timings_s(self) -> dict[str, float]:
        """Seconds by stage so far; the latest one ends now."""
        ends = [*self._began.values(), time.perf_counter()][1:]
        return {stage.value: end - began for (stage, began), end in zip(self._began.items(), ends, strict=True)}
