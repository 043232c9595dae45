"""What the add-on and its worker process say to each other of a folder of photos (see `worker_messages`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .avatar_description import HeldOutError


@dataclass(frozen=True)
class FolderChoice:
    """Which photos of a folder are used, as on the backend's command line.

    Attributes:
        with_subfolders: look into all folders below as well.
        most_photos: how many are chosen at most.
        overruled: the artist's ticks: name of a photo -> use it or not.
        person: package of the avatar whose person is looked for; None = whom most photos show.
    """

    with_subfolders: bool = False
    most_photos: int = 40
    overruled: dict[str, bool] = field(default_factory=dict)
    person: str | None = None


@dataclass(frozen=True)
class FolderAvatarOptions:
    """How the avatar of a folder is made.

    Attributes:
        name: of the avatar; None = the folder's.
        texture_px, displacement_px: sides of the two maps.
        wrinkle_age: of the skin, 0 (smooth) to 1 (old).
        adapters: adapt the learned networks to the person: slower, more personal.
    """

    name: str | None = None
    texture_px: int = 2048
    displacement_px: int = 1024
    wrinkle_age: float = 0.4
    adapters: bool = True


@dataclass(frozen=True)
class PhotoVerdict:
    """What became of one photo of a folder.

    Attributes:
        name: path relative to the folder, with `/`.
        verdict: one or two words; sentence: why.
        sure: probability that the face is the person's; None where no face was compared.
        thumbnail: PNG in the folder for thumbnails, by its name alone; empty where the photo could not be read.
        chosen: it is used; usable: it has a face, so that it can be used if the artist wishes.
    """

    name: str
    verdict: str
    sentence: str
    sure: float | None
    thumbnail: str
    chosen: bool
    usable: bool


@dataclass(frozen=True)
class JudgedFolder:
    """Every photo of a folder in the order of names, and what there is to say of the whole."""

    photos: tuple[PhotoVerdict, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class FolderAvatarResult:
    """The avatar package that was written.

    Attributes:
        package: its folder; timings_s: seconds by stage.
        photos_used: how many it was made of.
        landmark_error_percent: mean over them, percent of the outer eye corners' distance.
        held_out: before and after, on photos held out; None where there were too few.
    """

    package: str
    timings_s: dict[str, float]
    photos_used: int
    landmark_error_percent: float
    held_out: HeldOutError | None = None


@dataclass(frozen=True)
class JudgeFolderRequest:
    """Judge the photos of a folder.

    Attributes:
        folder: absolute path of the photos' folder.
        thumbnails: absolute path of the folder for the thumbnails (PNG, 96 pixels square).
    """

    kind: ClassVar[str] = "judge_folder"
    result: ClassVar[type] = JudgedFolder
    folder: str
    thumbnails: str
    choice: FolderChoice = FolderChoice()


@dataclass(frozen=True)
class FolderAvatarRequest:
    """Make one avatar of the photos of a folder.

    Attributes:
        folder: absolute path of the photos' folder.
        package: absolute path of the folder to write.
    """

    kind: ClassVar[str] = "folder"
    result: ClassVar[type] = FolderAvatarResult
    folder: str
    package: str
    choice: FolderChoice = FolderChoice()
    options: FolderAvatarOptions = FolderAvatarOptions()
