"""How far wrong people and unreadable files in a folder move the identity that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ml_backend.loaded_models import LoadedModels
from ml_backend.one_thread import one_thread
from ml_backend.personalise.curation import Curation, CurationOptions, curate, load_view, trust_of
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions, fit_jointly
from ml_backend.personalise.kept_readings import KeptReadings
from ml_backend.personalise.photo_judgement import Verdict
from ml_backend.synthetic.sample import SyntheticFaces
from tests.bench.personal_accuracy import PEOPLE

# of each folder: a fifth of the files show others, a tenth cannot be read
RIGHT, WRONG, UNREADABLE = 12, 3, 2
# images of a rendered person, of whom others are taken one image each
FACES = replace(PEOPLE, images_per_person=16)
# people from here on are the others
FIRST_OTHER = 10
OPTIONS = JointFitOptions(use_offsets=False)


@dataclass(frozen=True)
class FolderRobustness:
    """One folder, with and without what does not belong there.

    Attributes:
        name: whose it is; right, right_used: photos of the person, and those used with the others among them.
        wrong, wrong_used: the same of other people; unreadable_used: of damaged files.
        rms, largest: difference of the two identities over their components, standard deviations.
    """

    name: str
    right: int
    right_used: int
    wrong: int
    wrong_used: int
    unreadable_used: int
    rms: float
    largest: float


def rendered_robustness(
    folder: Path, models: LoadedModels, people: Sequence[int] = (0, 2, 4, 6)
) -> list[FolderRobustness]:
    """Measure rendered people.

    Args:
        folder: an empty one, for the photos; people: numbers below FIRST_OTHER.
    """
    faces = SyntheticFaces(models.head(None), models.albedo, FACES)
    per_person = FACES.images_per_person
    results = []
    for number, person in enumerate(people):
        right = [faces.sample(person * per_person + image).image for image in range(RIGHT)]
        others = [FIRST_OTHER + number * WRONG + other for other in range(WRONG)]
        wrong = [faces.sample(other * per_person).image for other in others]
        results.append(folder_robustness(folder / str(person), f"rendered {person}", right, wrong, models))
    return results


def folder_robustness(
    folder: Path, name: str, right: Sequence[np.ndarray], wrong: Sequence[np.ndarray], models: LoadedModels
) -> FolderRobustness:
    """Make the folder, once of the right photos alone and once of all, and fit both.

    Args:
        right, wrong: (H,W,3) uint8 sRGB.
    """
    folder.mkdir(parents=True)
    _write(folder, "right", right)
    kept = KeptReadings()
    clean, expected = _fitted(folder, models, kept)
    _write(folder, "wrong", wrong)
    for number in range(UNREADABLE):
        whole = (folder / "right_00.png").read_bytes()
        (folder / f"damaged_{number}.png").write_bytes(whole[: len(whole) // (number + 2)])
    mixed, found = _fitted(folder, models, kept)
    difference = (found.shape - expected.shape).numpy()
    used = [photo.name.split("_")[0] for photo in mixed.photos if photo.verdict is Verdict.USED]
    return FolderRobustness(
        name, len(clean.chosen), used.count("right"), len(wrong), used.count("wrong"), used.count("damaged"),
        float(np.sqrt(np.mean(difference**2))), float(np.abs(difference).max()),
    )  # fmt: skip


def _fitted(folder: Path, models: LoadedModels, kept: KeptReadings) -> tuple[Curation, JointFit]:
    curation = curate(folder, models, CurationOptions(), kept=kept)
    judged = {photo.name: photo for photo in curation.photos}
    views = [load_view(judged[name], models) for name in curation.chosen]
    with one_thread():
        trust = trust_of(curation, CurationOptions())
        return curation, fit_jointly(views, models.head(None), models.albedo, OPTIONS, trust=trust)


def _write(folder: Path, name: str, photos: Sequence[np.ndarray]) -> None:
    for number, pixels in enumerate(photos):
        cv2.imwrite(str(folder / f"{name}_{number:02d}.png"), pixels[..., ::-1])
