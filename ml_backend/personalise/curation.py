"""Goes through a folder of photos, judges each and chooses those that make the model of the person."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from addon.exchange.errors import LikenessError, PhotoError
from ml_backend.coarse.parameters import FitParameters
from ml_backend.loaded_models import LoadedModels
from ml_backend.one_thread import one_thread
from ml_backend.personalise.face_readings import FaceReader, FaceReading, PhotoReading, scaled_face, scaled_start
from ml_backend.personalise.folder_images import list_images
from ml_backend.personalise.kept_files import KeptFiles
from ml_backend.personalise.kept_readings import KeptReadings, ReadingSettings
from ml_backend.personalise.person_identity import PersonFound, find_person
from ml_backend.personalise.photo_judgement import JudgementLimits, PhotoFigures, Verdict
from ml_backend.personalise.spread_choice import choose_spread
from ml_backend.personalise.view import VIEW_SIDE_PX, View
from ml_backend.photo.read_photo import read_photo
from ml_backend.tracking.face_tracker import TrackedFace

# Photos of others that are taken for the person's are mostly less sure than the person's own. In two rendered folders
# of 7 and 9 right photos with one wrong, that one moved the joint fit by 0.141 and 0.113 standard deviations (rms) at a
# power of 0, by 0.065 and 0.076 at 6, by 0.052 and 0.051 at 12; at 12 some right photos hardly speak any more.
TRUST_POWER = 6.0


@dataclass(frozen=True)
class CurationOptions:
    """What can be chosen.

    Attributes:
        with_subfolders: look into all folders below as well.
        most_photos: how many are chosen at most.
        overruled: the artist's ticks: name of a photo -> use it or not.
        person: (S,) shape of the avatar that is being updated, on the open head; None = whom most photos show.
        recognition: TorchScript file of a face recogniser; None = by the shapes of the heads.
        limits: from where on a photo does more harm than good.
    """

    with_subfolders: bool = False
    most_photos: int = 40
    overruled: Mapping[str, bool] = field(default_factory=dict)
    person: np.ndarray | None = None
    recognition: Path | None = None
    limits: JudgementLimits = field(default_factory=JudgementLimits)

    def __post_init__(self) -> None:
        if self.most_photos < 1:
            raise LikenessError("photo_count", "At least one photo is needed.", "Choose 2 photos or more.")

    @property
    def reading(self) -> ReadingSettings:
        """What of the options the reading of a photo depends on."""
        return ReadingSettings(self.limits, self.recognition)


@dataclass(frozen=True)
class JudgedPhoto:
    """One file of the folder and what became of it.

    Attributes:
        name: path relative to the folder, with `/`; path: where it is; sha256: of the file, empty where unreadable.
        verdict, sentence: what became of it, and why.
        sure: probability that the face is the person's; None where no face was compared.
        face_number: which face is the person's, 1 = the largest; None without a face. num_faces: how many there are.
        thumbnail: (96,96,3) uint8 sRGB; None where unreadable.
        figures: of that face; None without one.
        face, start: the tracker's and the encoder's reading of that face, in the photo of size_px (width, height).
    """

    name: str
    path: Path
    sha256: str
    verdict: Verdict
    sentence: str
    sure: float | None = None
    face_number: int | None = None
    num_faces: int = 0
    thumbnail: np.ndarray | None = None
    figures: PhotoFigures | None = None
    face: TrackedFace | None = None
    start: FitParameters | None = None
    size_px: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Curation:
    """The whole folder, judged.

    Attributes:
        photos: every file, in the order of names.
        chosen: names of those that are used, in the order in which they were chosen: the best frontal one first.
        person_shape: (S,) mean of the shapes fitted to the photos, by how sure each shows the person, on the open head;
            empty without any face.
        sentences: what to tell the user of the whole.
    """

    photos: tuple[JudgedPhoto, ...]
    chosen: tuple[str, ...]
    person_shape: np.ndarray
    sentences: tuple[str, ...]


def curate(
    folder: Path,
    models: LoadedModels,
    options: CurationOptions = CurationOptions(),
    progress: Callable[[str, float], None] = lambda _text, _fraction: None,
    kept: KeptReadings | None = None,
    files: KeptFiles | None = None,
) -> Curation:
    """Judge the images of a folder.

    Each is read, tracked, judged and dropped: memory holds one photo at a time, and 0.1 MB of each that was read.

    Args:
        progress: called before each file with a text and the fraction done; may raise `Cancelled`.
        kept: what was read before; photos that have not changed since are not read again.
        files: where readings are kept on the disk as well, in case the run is interrupted.

    Raises:
        LikenessError: the folder holds no images, or a model cannot be loaded. A bad image is no error.
    """
    images = list_images(folder, options.with_subfolders)
    progress("loading the models", 0.0)
    reader = FaceReader(models, options.limits, VIEW_SIDE_PX, options.recognition)
    _check_person(options, models)
    kept = KeptReadings() if kept is None else kept
    kept.begin(images, options.reading, files)
    readings = []
    with one_thread():
        for number, image in enumerate(images):
            progress(f"looking at {image.name}", number / len(images))
            readings.append(kept.read(image, reader))
    progress("choosing the photos", 1.0)
    return judge_readings(readings, options)


def judge_readings(readings: Sequence[PhotoReading], options: CurationOptions) -> Curation:
    """Judge photos that have been read, with the artist's ticks as they are now.

    Args:
        readings: in the order of names.
    """
    candidates = [_candidates(reading, options.overruled.get(reading.image.name)) for reading in readings]
    wanted = [number for number, row in enumerate(readings) if options.overruled.get(row.image.name) and row.faces]
    original = _originals(candidates, wanted)
    person = _find_person(candidates, original, wanted, options)
    faces = [None if face is None else row[face] for row, face in zip(candidates, person.face, strict=True)]
    photos = [
        _judged(reading, face, person, number, options)
        for number, (reading, face) in enumerate(zip(readings, faces, strict=True))
    ]
    # a tick adds a photo: the one that would stand for its picture without ticks stays
    unticked = _originals(candidates, ()) if wanted else original
    best = [number for number, first in enumerate(unticked) if number == first]
    different = _mark_duplicates(photos, original, {*wanted, *best})
    chosen = _mark_unneeded(photos, faces, different, wanted, options.most_photos)
    names = tuple(photos[number].name for number in chosen)
    return Curation(tuple(photos), names, person.shape, _sentences(photos, options))


def trust_of(curation: Curation, options: CurationOptions) -> tuple[float, ...]:
    """How much each chosen photo may say of who the person is, 0-1: the less sure it is theirs, the less.

    Photos that the artist has ticked may say all.
    """
    judged = {photo.name: photo for photo in curation.photos}
    sure = [1.0 if options.overruled.get(name) else judged[name].sure for name in curation.chosen]
    return tuple((value / max(sure)) ** TRUST_POWER for value in sure)


def load_view(photo: JudgedPhoto, models: LoadedModels, largest_side_px: int = VIEW_SIDE_PX) -> View:
    """Read the pixels of a judged photo again, to be fitted.

    Args:
        models: of the run; what was read of the face when the photo was judged is used again.

    Raises:
        PhotoError: the photo shows no face, has changed since it was judged, or cannot be read.
    """
    if photo.face is None or photo.start is None:
        raise PhotoError("no_face", f"No face was found in {photo.name}.", "Leave this photo out.")
    read = read_photo(photo.path, largest_side_px)
    if read.sha256 != photo.sha256:
        raise PhotoError("photo_changed", f"{photo.name} has changed since it was judged.", "Look at the folder again.")
    height, width = read.pixels.shape[:2]
    factor = max(width, height) / max(photo.size_px)
    face, start = photo.face, photo.start
    if factor != 1:
        face, start = scaled_face(face, factor), scaled_start(start, factor, (width, height))
    return View(photo.name, read.pixels, face, start)


def _check_person(options: CurationOptions, models: LoadedModels) -> None:
    if options.person is not None and np.shape(options.person) != (models.head(None).num_shape,):
        raise LikenessError(
            "person_shape", "The avatar's shape belongs to another head model.", "Look for the person without it."
        )


def _candidates(reading: PhotoReading, tick: bool | None) -> list[FaceReading]:
    """The faces of a photo that may be the person's: those without fault, or all where the artist wants the photo."""
    if tick is False:
        return []
    return [face for face in reading.faces if tick or face.fault is None]


def _originals(candidates: Sequence[Sequence[FaceReading]], wanted: Sequence[int]) -> list[int]:
    """For each photo the number of the best file that holds the same picture, by the largest face; itself else."""
    original = list(range(len(candidates)))
    present = [number for number in original if candidates[number]]
    kept: list[int] = []
    for number in sorted(present, key=lambda row: (row not in wanted, -candidates[row][0].place.quality, row)):
        mark = candidates[number][0].fingerprint
        same = (other for other in kept if mark.same_picture(candidates[other][0].fingerprint))
        original[number] = next(same, number)
        if original[number] == number:
            kept.append(number)
    return original


def _find_person(
    candidates: Sequence[Sequence[FaceReading]],
    original: Sequence[int],
    wanted: Sequence[int],
    options: CurationOptions,
) -> PersonFound:
    """Who the photos are of; files that hold the same picture have one voice, and get the same answer."""
    voices = [
        [face.identity for face in row] if original[number] == number else [] for number, row in enumerate(candidates)
    ]
    known = None if options.person is None else np.asarray(options.person, np.float32)
    person = find_person(voices, known, [number for number in wanted if voices[number]])
    # a copy that was cut may show fewer faces: its largest is the one that was recognised as the same
    face = [
        person.face[first] if first == number or person.face[first] is None else min(person.face[first], len(row) - 1)
        for number, (first, row) in enumerate(zip(original, candidates, strict=True))
    ]
    same = tuple(person.same[first] or number in wanted for number, first in enumerate(original))
    return replace(person, face=tuple(face), sure=tuple(person.sure[first] for first in original), same=same)


def _judged(
    reading: PhotoReading, face: FaceReading | None, person: PersonFound, number: int, options: CurationOptions
) -> JudgedPhoto:
    """A photo's verdict, as far as it does not depend on which others are used."""
    name = reading.image.name
    shown = face or (reading.faces[0] if reading.faces else None)
    verdict, sentence = _verdict(reading, face, person, number, options.overruled.get(name))
    photo = JudgedPhoto(
        name, reading.image.path, reading.sha256, verdict, sentence,
        num_faces=reading.num_faces, thumbnail=reading.thumbnail, size_px=reading.size_px,
    )  # fmt: skip
    if shown is None:
        return photo
    return replace(
        photo,
        sure=None if face is None else person.sure[number],
        face_number=shown.number,
        thumbnail=shown.thumbnail,
        figures=shown.figures,
        face=shown.face,
        start=shown.start,
    )


def _verdict(
    reading: PhotoReading, face: FaceReading | None, person: PersonFound, number: int, tick: bool | None
) -> tuple[Verdict, str]:
    if reading.refusal is not None:
        return Verdict.UNREADABLE, reading.refusal
    if tick is False:
        return Verdict.LEFT_OUT, "Left out by you."
    if not reading.faces:
        return Verdict.NO_FACE, "No face was found."
    if face is None:
        return reading.faces[0].fault or (Verdict.NO_FACE, "No face was found.")
    if not person.same[number]:
        likely = f"{100 * person.sure[number]:.0f}% likely to be the same person"
        if reading.num_faces > 1:
            return Verdict.OTHER_PERSON, f"Probably none of the {reading.num_faces} faces is the person's ({likely})."
        return Verdict.OTHER_PERSON, f"Probably another person ({likely})."
    which = f", face {face.number} of {reading.num_faces}" if reading.num_faces > 1 else ""
    return Verdict.USED, f"{'Used as you wish' if tick else 'Used'}: {_view_words(face.figures)}{which}."


def _view_words(figures: PhotoFigures) -> str:
    """Where a head looks, for people; sides are the person's."""
    degrees = round(math.degrees(figures.yaw))
    if abs(degrees) < 10:
        return "seen from the front"
    return f"turned {abs(degrees)}° to {'its left' if degrees > 0 else 'its right'}"


def _mark_duplicates(photos: list[JudgedPhoto], original: Sequence[int], staying: Set[int]) -> list[int]:
    """Give all others of each picture their verdict; the numbers of the person's photos that stay."""
    kept = []
    for number, photo in enumerate(photos):
        if photo.verdict is not Verdict.USED:
            continue
        if original[number] == number or number in staying:
            kept.append(number)
            continue
        sentence = f"The same picture as {photos[original[number]].name}, or one of the same moment."
        photos[number] = replace(photo, verdict=Verdict.DUPLICATE, sentence=sentence)
    return kept


def _mark_unneeded(
    photos: list[JudgedPhoto], faces: Sequence[FaceReading | None], numbers: list[int], wanted: Sequence[int], most: int
) -> list[int]:
    """Choose, and give the others their verdict; the numbers of the chosen ones, in the order of choice."""
    always = [numbers.index(number) for number in wanted if number in numbers]
    choice = choose_spread([faces[number].place for number in numbers], most, always)
    chosen = set(choice.chosen)
    for row, number in enumerate(numbers):
        if row not in chosen:
            like = photos[numbers[choice.nearest[row]]].name
            sentence = f"Not needed: of the photos that are used, {like} is most like it."
            photos[number] = replace(photos[number], verdict=Verdict.NOT_NEEDED, sentence=sentence)
    return [numbers[row] for row in choice.chosen]


def _sentences(photos: Sequence[JudgedPhoto], options: CurationOptions) -> tuple[str, ...]:
    count = Counter(photo.verdict for photo in photos)
    used = [photo for photo in photos if photo.verdict is Verdict.USED]
    others = [f"{count[verdict]} {verdict.value}" for verdict in Verdict if verdict != Verdict.USED and count[verdict]]
    sentences = [f"{len(used)} of {len(photos)} images are used" + (f" ({', '.join(others)})." if others else ".")]
    if used:
        yaw = [round(math.degrees(photo.figures.yaw)) for photo in used]
        sentences.append(f"They show the head turned from {abs(min(yaw, default=0))}° to its "
                         f"{'right' if min(yaw) < 0 else 'left'} to {abs(max(yaw))}° to its "
                         f"{'left' if max(yaw) >= 0 else 'right'}.")  # fmt: skip
    if count[Verdict.OTHER_PERSON] and options.recognition is None:
        sentences.append(
            "Who is who was told by the shapes of the heads alone, which doubts up to one photo in seven of the right "
            "person and misses about four in ten of others: please look at the list."
        )
    missing = sorted(set(options.overruled) - {photo.name for photo in photos})
    if missing:
        sentences.append(f"Ticked, but not in the folder: {', '.join(missing)}.")
    return tuple(sentences)
