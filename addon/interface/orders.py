"""What the artist has asked for, and what waits for the artist: records without references into Blender's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..exchange.errors import LikenessError
from ..exchange.folder_messages import FolderAvatarOptions, FolderChoice, JudgedFolder
from ..exchange.worker_messages import FaceCrop, PhotoOptions


@dataclass(frozen=True)
class ImportOptions:
    """What is built around an avatar.

    Attributes:
        photo_camera: the photo's camera with the photo behind the head.
        photo_light: suns and a world like the photo's light.
        photo_expression: show the photo's expression; neutral otherwise.
        match_render: the scene gets the photo's camera, size and plain colours.
        at_cursor: at the 3D cursor; at the origin otherwise.
    """

    photo_camera: bool = True
    photo_light: bool = False
    photo_expression: bool = True
    match_render: bool = False
    at_cursor: bool = False


@dataclass(frozen=True)
class AvatarSettings:
    """How an avatar is made.

    Attributes:
        head: the user's head model file; None = the open head.
        texture_px: side of the texture.
        face: which one, 1 = the largest; 0 = ask if there are several.
        perspective: camera with perspective; focal_35mm_mm: its focal length (None: EXIF).
        wrinkle_age: of the skin, 0 (smooth) to 1 (old).
    """

    head: str | None = None
    texture_px: int = 2048
    face: int = 0
    perspective: bool = False
    focal_35mm_mm: float | None = None
    wrinkle_age: float = PhotoOptions.wrinkle_age


@dataclass(frozen=True)
class Order:
    """A job's purpose.

    Attributes:
        photo: None for a head model alone.
        settings: how; options: what is built in the end.
        scene_uid: session uid of the scene that asked.
    """

    photo: Path | None
    settings: AvatarSettings
    options: ImportOptions
    scene_uid: int


@dataclass(frozen=True)
class FolderOrder:
    """An avatar of the photos of a folder.

    Attributes:
        folder: of the photos.
        choice: which of them; settings: how.
        options: what is built in the end.
        scene_uid: session uid of the scene that asked.
        head_uid: session uid of the head that shall become the avatar; 0 for a new one.
    """

    folder: Path
    choice: FolderChoice
    settings: FolderAvatarOptions
    options: ImportOptions
    scene_uid: int
    head_uid: int = 0


@dataclass(frozen=True)
class FolderReview:
    """A judged folder that the artist looks through; the thumbnails lie in a folder of the cache."""

    order: FolderOrder
    judged: JudgedFolder
    thumbnails: Path


@dataclass
class FinishedAvatar:
    """A package that waits to come into the scene.

    Attributes:
        package: its folder; name: for people.
        scene_uid: of the scene that asked; options: what is built around it.
        wait: the text key of the reason to wait, empty before the first try.
        head_uid: session uid of the head that takes it over; 0 for a new avatar.
    """

    package: Path
    name: str
    scene_uid: int
    options: ImportOptions
    wait: str = ""
    head_uid: int = 0


@dataclass(frozen=True)
class BakeOrder:
    """A bake of exact wrinkles.

    Attributes:
        head_uid: session uid of the head.
        folder: of the images.
        first, last: frames of the timeline.
        states: file of what the head shows in them; it goes when the bake has ended.
    """

    head_uid: int
    folder: Path
    first: int
    last: int
    states: Path


@dataclass
class FinishedBake:
    """A bake that waits to be shown; `wait` is the text key of the reason, empty before the first try."""

    order: BakeOrder
    title: str
    wait: str = ""


@dataclass(frozen=True)
class FaceChoice:
    """A photo with several faces, of which the artist has to choose; `key` names it for operators."""

    key: str
    order: Order
    faces: tuple[FaceCrop, ...]


@dataclass(frozen=True)
class Failure:
    """The last thing that went wrong: whose title, and why."""

    title: str
    error: LikenessError
