"""What avatar.json says: one frozen dataclass for each of its objects (docs/architecture.md, "The avatar package")."""

from __future__ import annotations

from dataclasses import dataclass, field

FORMAT = "likeness-avatar"
SCHEMA_VERSION = 1

SCALED_ORTHOGRAPHIC = "scaled_orthographic"
PERSPECTIVE = "perspective"


@dataclass(frozen=True)
class PhotoOrigin:
    """The photo an avatar was made of.

    Attributes:
        original_name: file name without its folder.
        sha256: of the file as it was read.
        width, height: of the photo before any reduction, EXIF turned, pixels.
        faces_found: how many faces the tracker saw; face_used: which one this is (1 = the largest).
    """

    original_name: str
    sha256: str
    width: int
    height: int
    faces_found: int
    face_used: int


@dataclass(frozen=True)
class FolderPhoto:
    """One photo of the folder that an avatar was made of.

    Attributes:
        name: path relative to the folder; sha256: of the file, empty where it could not be read.
        verdict: what became of it, in words: "used", or why not.
        landmark_error_percent: of the joint fit, percent of the outer eye corners' distance; None where it is not used.
    """

    name: str
    sha256: str
    verdict: str
    landmark_error_percent: float | None = None


@dataclass(frozen=True)
class HeadOrigin:
    """The head model an avatar is built on."""

    name: str
    licence: str
    source: str


@dataclass(frozen=True)
class Provenance:
    """Where an avatar comes from; `created` is ISO 8601 in UTC; without a photo it is the head model alone.

    Attributes:
        photo: the one that the avatar is seen in; folder: every photo of the folder, where it was made of one.
    """

    software: str
    version: str
    created: str
    photo: PhotoOrigin | None
    head: HeadOrigin
    folder: tuple[FolderPhoto, ...] = ()


@dataclass(frozen=True)
class FileRecord:
    """One file of the package."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class CameraDescription:
    """The photo's camera (docs/architecture.md, "Conventions"); lengths that do not belong to its kind are 0.

    Attributes:
        kind: SCALED_ORTHOGRAPHIC or PERSPECTIVE.
        image_size_px: width and height of photo.png.
    """

    kind: str
    image_size_px: tuple[int, int]
    scale_px_per_m: float = 0.0
    centre_px: tuple[float, float] = (0.0, 0.0)
    focal_px: float = 0.0
    principal_px: tuple[float, float] = (0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PhotoState:
    """The person's state in the photo.

    Attributes:
        expression: coefficient of each of the head's expression names.
        pose: axis-angle of each joint by name, radians, relative to the parent.
    """

    expression: dict[str, float]
    pose: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class DisplacementDescription:
    """How displacement.png is read: offset in mm = (value / 65535 - midlevel) * scale_mm, along the normal."""

    size_px: int
    scale_mm: float
    midlevel: float


@dataclass(frozen=True)
class WrinkleDescription:
    """How the wrinkle maps are read and played (docs/architecture.md, "Wrinkles").

    Attributes:
        size_px, scale_mm, midlevel: of wrinkles_compressed.png and wrinkles_expanded.png, as of displacement.png.
        full_compression, full_stretch: tension and -tension at which the two maps show whole.
        distillation_error_um: root mean square of what the maps miss of the model that they were distilled from.
        seed: of the person's own lines, below 2^32; age: of the skin, 0 (smooth) to 1 (old).
        detail_weights: the SHA-256 of the weights that the learned detail was made with; None without learned detail.
    """

    size_px: int
    scale_mm: float
    midlevel: float
    full_compression: float
    full_stretch: float
    distillation_error_um: float
    seed: int
    age: float
    detail_weights: str | None = None


@dataclass(frozen=True)
class TextureDescription:
    """albedo.png is square, size_px on a side."""

    size_px: int


@dataclass(frozen=True)
class Quality:
    """How well the head follows the photo.

    Attributes:
        landmark_error_percent: mean distance of 68 landmarks in percent of the outer eye corners' distance.
        words: the same as a word for people.
        warnings: sentences for people.
    """

    landmark_error_percent: float
    words: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeldOutError:
    """How well heads follow photos that they were not made of: the landmarks' error with the identity held fixed.

    Attributes:
        photos: so many of the folder's were held out of a second joint fit; the avatar itself is made of all.
        before_percent: with the avatar that was updated, else with the head of one photo alone; after_percent: with the
            joint fit of the other photos. Percent of the outer eye corners' distance.
    """

    photos: int
    before_percent: float
    after_percent: float


@dataclass(frozen=True)
class AvatarDescription:
    """All of avatar.json but the list of files, which the writer adds.

    Attributes:
        part_names: what the indices of `polygon_part` mean.
        expression_names: the order of `expression_keys`.
        camera: the photo's; None where there is no photo.
        part_colours: linear RGB by part (iris_left, iris_right, ...).
        timings_s: seconds by stage.
        wrinkles: None where the avatar has no wrinkle maps.
        person_networks: whether person.safetensors holds what adapts the learned networks to the person.
        held_out: of an avatar of a folder; None where there were too few photos to hold any out.
    """

    name: str
    provenance: Provenance
    part_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    camera: CameraDescription | None
    photo_state: PhotoState
    displacement: DisplacementDescription
    texture: TextureDescription
    part_colours: dict[str, tuple[float, float, float]]
    quality: Quality
    timings_s: dict[str, float] = field(default_factory=dict)
    wrinkles: WrinkleDescription | None = None
    person_networks: bool = False
    held_out: HeldOutError | None = None
