"""Does the jobs on a folder of photos: judges it, and makes its avatar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from addon.exchange.errors import PhotoError
from addon.exchange.folder_messages import (
    FolderAvatarRequest,
    FolderAvatarResult,
    FolderChoice,
    JudgedFolder,
    JudgeFolderRequest,
    PhotoVerdict,
)
from addon.exchange.whole_folder import remove_stale_leftovers
from ml_backend.avatar_writer import write_png
from ml_backend.loaded_models import LoadedModels
from ml_backend.personalise.curation import Curation, CurationOptions, JudgedPhoto, curate
from ml_backend.personalise.folder_avatar import FolderOptions, FolderStage, make_folder_avatar
from ml_backend.personalise.folder_images import list_images
from ml_backend.personalise.kept_files import kept_files
from ml_backend.personalise.kept_readings import KeptReadings
from ml_backend.personalise.known_person import KnownPerson, read_known_person
from ml_backend.personalise.train_adapters import AdapterTraining
from ml_backend.pipeline import PipelineOptions
from ml_backend.worker.folder_progress import FolderStep

# With the longest file names and sentences the answer stays below the longest line that is read (MAX_LINE_BYTES).
MOST_LISTED = 800
_Enter = Callable[[FolderStep], None]


class FolderJobs:
    """Keeps what was read of the last folder between its jobs.

    Args:
        models: loaded ones.
    """

    def __init__(self, models: LoadedModels) -> None:
        self._models = models
        self._kept = KeptReadings()

    def judge(self, request: JudgeFolderRequest, enter: _Enter) -> JudgedFolder:
        """Judge a folder, and write the thumbnails.

        Args:
            enter: called at each step; may raise to stop.

        Raises:
            LikenessError: the folder holds no images, or too many to be listed; or the person's avatar cannot be read.
        """
        folder = Path(request.folder)
        count = len(list_images(folder, request.choice.with_subfolders))
        if count > MOST_LISTED:
            raise PhotoError(
                "folder_too_large",
                f"{folder.name} holds {count:,} images; at most {MOST_LISTED:,} can be listed.",
                "Put the best photos of the person into a folder of their own.",
            )

        def tell(text: str, fraction: float) -> None:
            enter(FolderStep(FolderStage.JUDGE_PHOTOS, text, fraction))

        options = _curation(request.choice, self._person(request.choice))
        curation = curate(folder, self._models, options, tell, self._kept, kept_files(folder))
        return JudgedFolder(self._rows(curation, Path(request.thumbnails)), curation.sentences)

    def make(self, request: FolderAvatarRequest, enter: _Enter) -> FolderAvatarResult:
        """Make the avatar of a folder.

        Args:
            enter: called at each step; may raise to stop.

        Raises:
            LikenessError: it cannot be made; nothing is left behind.
        """
        chosen, package = request.options, Path(request.package)
        avatar = PipelineOptions(
            texture_px=chosen.texture_px,
            displacement_px=chosen.displacement_px,
            name=chosen.name,
            wrinkle_age=chosen.wrinkle_age,
        )
        adapters = AdapterTraining() if chosen.adapters else None
        person = self._person(request.choice)
        before = None if person is None else person.as_head
        options = FolderOptions(_curation(request.choice, person), avatar, adapters, before)
        remove_stale_leftovers(package.parent)
        folder = Path(request.folder)
        result = make_folder_avatar(
            folder, package, options, lambda stage, text, fraction: enter(FolderStep(stage, text, fraction)),
            self._models, self._kept, kept_files(folder),
        )  # fmt: skip
        error = float(np.mean(result.joint.error_percent))
        said = result.description
        used = len(result.curation.chosen)
        return FolderAvatarResult(str(result.package), said.timings_s, used, error, said.held_out)

    def _person(self, choice: FolderChoice) -> KnownPerson | None:
        return None if choice.person is None else read_known_person(Path(choice.person), self._models)

    def _rows(self, curation: Curation, thumbnails: Path) -> tuple[PhotoVerdict, ...]:
        thumbnails.mkdir(parents=True, exist_ok=True)
        chosen = set(curation.chosen)
        return tuple(
            PhotoVerdict(
                name=photo.name,
                verdict=photo.verdict.value,
                sentence=photo.sentence,
                sure=None if photo.sure is None else float(photo.sure),
                thumbnail=_write_thumbnail(photo, thumbnails, number),
                chosen=photo.name in chosen,
                usable=photo.num_faces > 0,
            )
            for number, photo in enumerate(curation.photos, start=1)
        )


def _curation(choice: FolderChoice, person: KnownPerson | None) -> CurationOptions:
    shape = None if person is None else person.shape.numpy()
    return CurationOptions(choice.with_subfolders, choice.most_photos, choice.overruled, shape)


def _write_thumbnail(photo: JudgedPhoto, folder: Path, number: int) -> str:
    """Write a photo's thumbnail; its name, empty where there is none."""
    if photo.thumbnail is None:
        return ""
    name = f"{number}.png"
    write_png(folder / name, photo.thumbnail)
    return name
