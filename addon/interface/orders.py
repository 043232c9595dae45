"""What the artist has asked for, and what waits for the artist: records without references into Blender's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..exchange.errors import LikenessError
from ..exchange.worker_messages import FaceCrop


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
    """

    head: str | None = None
    texture_px: int = 2048
    face: int = 0
    perspective: bool = False
    focal_35mm_mm: float | None = None


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


@dataclass
class FinishedAvatar:
    """A package that waits to come into the scene; `wait` is the text key of the reason, empty before the first try."""

    package: Path
    name: str
    scene_uid: int
    options: ImportOptions
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
