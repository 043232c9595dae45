"""From a photo to an avatar package: the stages in their order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from addon.exchange.avatar_package import check_target
from addon.exchange.errors import LikenessError, PhotoError
from ml_backend.loaded_models import LoadedModels
from ml_backend.one_thread import one_thread

if TYPE_CHECKING:
    from addon.exchange.avatar_description import AvatarDescription
    from ml_backend.avatar_writer import FittedAvatar
    from ml_backend.photo.read_photo import Photo
    from ml_backend.tracking.face_tracker import TrackedFace
    from ml_backend.wrinkles.learned_wrinkles import LearnedWrinkles

# the smallest and largest texture that makes sense: a face of 64 texels, and what graphics cards take
MIN_TEXTURE_PX, MAX_TEXTURE_PX = 256, 4096
# a portrait lens; where a perspective camera is asked for and the photo does not say
DEFAULT_FOCAL_35MM_MM = 50.0
# an adult's skin before most lines stay; a photo does not say it well enough to guess
DEFAULT_WRINKLE_AGE = 0.4


class Stage(Enum):
    """The stages; each value is its text for people and, by its place, its part of the progress."""

    READ_PHOTO = "reading the photo"
    LOAD_MODELS = "loading the models"
    FIND_FACE = "finding the face"
    FIT_HEAD = "fitting the head"
    BAKE_TEXTURE = "painting the texture"
    BAKE_DISPLACEMENT = "reading wrinkles and pores"
    WRITE_PACKAGE = "writing the avatar"


@dataclass(frozen=True)
class PipelineOptions:
    """What can be chosen.

    Attributes:
        head: the user's head model file; None = the open head.
        face: which face, 1 = the largest.
        texture_px: side of the albedo texture; displacement_px: of the displacement map.
        perspective: use a perspective camera; focal_35mm_mm: its focal length on 35 mm film (None: EXIF, else 50 mm).
        name: of the avatar; None = the photo's name.
        wrinkle_age: of the skin, 0 (smooth) to 1 (old): how deep wrinkles get and how much of them stays at rest.
        use_model: begin from what the learned encoder reads off the photo, and let the learned detail network say how
            the skin folds. Both were trained for the open head; other heads are always solved for from the mean head,
            and wrinkle as the procedural prior does.
        person: avatar package of the person in the photo: who it is stays as it is there.
    """

    head: Path | None = None
    face: int = 1
    texture_px: int = 2048
    displacement_px: int = 1024
    perspective: bool = False
    focal_35mm_mm: float | None = None
    name: str | None = None
    wrinkle_age: float = DEFAULT_WRINKLE_AGE
    use_model: bool = True
    person: Path | None = None

    def __post_init__(self) -> None:
        if self.person is not None and (self.head is not None or not self.use_model or self.perspective):
            raise LikenessError(
                "person_options",
                "A known person's photo needs the open head, the learned networks and the orthographic camera.",
                "Leave out the other options, or the person.",
            )
        if self.face < 1:
            raise LikenessError("face_number", "Faces are counted from 1.", "Use --face 1 for the largest.")
        for size in (self.texture_px, self.displacement_px):
            if not MIN_TEXTURE_PX <= size <= MAX_TEXTURE_PX:
                raise LikenessError(
                    "texture_size", f"A texture of {size} pixels cannot be made.", "Choose 256 to 4096 pixels."
                )
        if self.focal_35mm_mm is not None and not 5 <= self.focal_35mm_mm <= 1500:
            raise LikenessError(
                "focal_length", f"A focal length of {self.focal_35mm_mm:g} mm is not a lens.", "Choose 5 to 1500 mm."
            )
        if not 0 <= self.wrinkle_age <= 1:
            raise LikenessError(
                "wrinkle_age", f"{self.wrinkle_age:g} is not an age of skin.", "Choose 0 (smooth) to 1 (old)."
            )


@dataclass(frozen=True)
class AvatarResult:
    """What was made: the package's folder, its description, and seconds by stage.

    The stage of writing stands only in these timings: avatar.json is written before its end.
    """

    package: Path
    description: AvatarDescription
    timings_s: dict[str, float]


@dataclass
class StageClock:
    """Tells progress and takes times; `stages` are those of this work."""

    progress: Callable[[Stage, float], None]
    stages: tuple[Stage, ...]
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        self.progress(stage, self.stages.index(stage) / len(self.stages))
        start = time.perf_counter()
        yield
        self.timings_s[stage.value] = time.perf_counter() - start


def no_progress(_stage: Stage, _fraction: float) -> None:
    pass


def make_avatar(
    photo_path: Path,
    package: Path,
    options: PipelineOptions = PipelineOptions(),
    progress: Callable[[Stage, float], None] = no_progress,
    models: LoadedModels | None = None,
) -> AvatarResult:
    """Make an avatar package of a photo.

    Args:
        package: the folder to write; an avatar there is replaced when the new one is whole.
        progress: called at the start of each stage with the fraction done; may raise `Cancelled`.
        models: keep what was loaded for the next photo; None: load it for this one.

    Raises:
        LikenessError: the photo, the head or the place to write cannot be used; nothing is left behind.
    """
    clock = StageClock(progress, tuple(Stage))
    check_target(package)
    with clock.stage(Stage.READ_PHOTO):
        from ml_backend.photo.read_photo import read_photo

        photo = read_photo(photo_path)
    avatar = _fitted_avatar(photo, options, clock, models or LoadedModels())
    with clock.stage(Stage.WRITE_PACKAGE):
        from ml_backend.avatar_writer import write_avatar

        # what the package says of its own times ends before its writing
        description = write_avatar(package, avatar, clock.timings_s)
    progress(Stage.WRITE_PACKAGE, 1.0)
    return AvatarResult(package, description, clock.timings_s)


def _fitted_avatar(photo: Photo, options: PipelineOptions, clock: StageClock, models: LoadedModels) -> FittedAvatar:
    """All stages between reading the photo and writing the package."""
    with clock.stage(Stage.LOAD_MODELS):
        # torch is imported here, so that a bad photo is refused at once
        import torch

        from ml_backend.avatar_writer import FittedAvatar
        from ml_backend.coarse.fit_photo import FitOptions, fit_photo
        from ml_backend.displacement.bake_displacement import bake_displacement
        from ml_backend.learned.encode_photo import encode_photo
        from ml_backend.personalise.known_person import fit_known_person, read_known_person
        from ml_backend.texture.bake_texture import DETAIL_FACTOR, bake_texture
        from ml_backend.texture.large_arrays import kept_memory
        from ml_backend.texture.texel_map import texel_map
        from ml_backend.wrinkles.bake_wrinkles import bake_wrinkles, draw_wrinkles, learn_wrinkles, person_seed

        tracker, albedo = models.tracker, models.albedo
        person = None if options.person is None else read_known_person(options.person, models)
        head = models.head(options.head) if person is None else person.head
        networks = None if person is None else person.networks
    with torch.no_grad(), one_thread(), kept_memory(), _beside() as beside:
        with_model = options.use_model and options.head is None
        encoder = beside.submit(lambda: models.coarse_encoder) if with_model else None
        for size_px in {options.texture_px // DETAIL_FACTOR, options.displacement_px}:
            beside.submit(texel_map, head, size_px)
        with clock.stage(Stage.FIND_FACE):
            faces = tracker.find_faces(photo.pixels)
            face = choose_face(faces, options.face, photo.original_name)
        with clock.stage(Stage.FIT_HEAD):
            if person is not None:
                fit = fit_known_person(photo.pixels, face, person, models)
            else:
                focal_px = _focal_px(photo, options)
                start = None if encoder is None else encode_photo(photo.pixels, face, head, encoder.result(), focal_px)
                fit = fit_photo(photo.pixels, face, head, albedo, FitOptions(focal_px=focal_px), start)
        seed = person_seed(photo.sha256) if person is None else person.seed
        drawn = beside.submit(draw_wrinkles, head, fit, options.displacement_px, seed, options.wrinkle_age)
        learned = None
        if with_model:
            # in the same thread as `drawn`, which is there when its turn comes
            def learn() -> LearnedWrinkles:
                student = models.detail_student if networks is None else networks.student
                return learn_wrinkles(student, photo.pixels, face, head, fit, drawn.result())

            learned = beside.submit(learn)
        with clock.stage(Stage.BAKE_TEXTURE):
            texture = bake_texture(photo.pixels, face, head, fit, albedo, options.texture_px)
        with clock.stage(Stage.BAKE_DISPLACEMENT):
            displacement = bake_displacement(photo.pixels, face, head, fit, texture, options.displacement_px)
            wrinkles = bake_wrinkles(drawn.result(), displacement, None if learned is None else learned.result())
    return FittedAvatar(
        name=options.name or Path(photo.original_name).stem,
        photo=photo,
        faces_found=len(faces),
        face_used=options.face,
        face=face,
        head=head,
        fit=fit,
        texture=texture,
        wrinkles=wrinkles,
        networks=networks,
    )


@contextmanager
def _beside() -> Iterator[ThreadPoolExecutor]:
    """A second thread for what needs no stage's result yet; numpy, OpenCV and torch let two threads work at once.

    A cancelled job does not wait for what is at work there: it takes a few seconds at most, and writes nothing.
    """
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def choose_face(faces: list[TrackedFace], number: int, photo_name: str) -> TrackedFace:
    """The face with a number, 1 = the largest.

    Raises:
        PhotoError: there are fewer faces.
    """
    if not faces:
        raise PhotoError(
            "no_face",
            f"No face was found in {photo_name}.",
            "Choose a photo in which the face is seen from the front, unobstructed, and at least 60 pixels wide.",
        )
    if number > len(faces):
        count = "one face" if len(faces) == 1 else f"{len(faces)} faces"
        raise PhotoError("face_number", f"{photo_name} shows only {count}.", f"Choose --face 1 to {len(faces)}.")
    return faces[number - 1]


def _focal_px(photo: Photo, options: PipelineOptions) -> float | None:
    """Focal length in pixels of the photo, or None for the scaled orthographic camera."""
    if not options.perspective and options.focal_35mm_mm is None:
        return None
    return photo.focal_px(options.focal_35mm_mm or photo.focal_length_35mm_mm or DEFAULT_FOCAL_35MM_MM)
