"""Tells which faces of a folder are one person's, without a recognition network: from fitted identities.

What one photo says of a head's shape is uncertain, and wrong in like ways for photos from like views. Its direction is
more reliable than its length: two faces are compared by the cosine between their shapes, the solver's (which has the
tracker's landmarks) and the encoder's (which has the picture as well).

How well that tells people apart, measured on 77 rendered photos of 16 people (yaw to 57 degrees, hands, glasses, every
light) and 36 photographs of 25 people; a face against the other photos of somebody, share of right orders (0.5 =
chance, 1 = always):

                                            rendered    photographs
    solver's cosine                           0.84         0.86
    encoder's cosine                          0.78         0.88
    both, as used here                        0.84         0.89
    both, two photos alone                    0.76         0.73

So it is evidence, no proof: a person of like features is not told apart, and each answer says how sure it is. A face
recogniser that the user supplies takes the place of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# the solver's cosine counts so many times as much as the encoder's
SOLVED_WEIGHT = 2.0
# Of the photos of a folder, as many are expected to show the person: people choose the folder for that.
SHARE_OF_PERSON = 0.8
# A photo counts as the person's from this probability on. Folders of six photos, one of them of somebody else, kept of
# the right ones and refused of the wrong ones, percent:  rendered people  0.60: 94, 50   0.72: 88, 64   0.78: 82, 71
#                                                         photographs           100, 43        100, 58        100, 69
# Without any refusal the mean shape of such a folder moves by 0.07 to 0.10 standard deviations (rms).
ACCEPTED = 0.72
# Where there are no more than so many photos, none is spared, and there is no majority: evidence must be plain.
FEW_PHOTOS, ACCEPTED_OF_FEW = 3, 0.5
# the person known beforehand counts as so many photos: its shape is that of several
KNOWN_WEIGHT = 3.0
ROUNDS = 10


@dataclass(frozen=True)
class LikenessScale:
    """What a likeness (cosine) says, measured.

    Attributes:
        level: mean likeness of a person's photos among each other; a folder's own level takes its place as photos
            become more, since it depends on light and views.
        level_photos: so many photos say as much about the level.
        even: the share of the level at which a face is as likely the person's as another's.
        steepness: log odds for each level of likeness, from a great many photos; from n photos n / (n + 2) of that.
    """

    level: float
    level_photos: float
    even: float
    steepness: float


# from the rendered photos above; the photographs were not used
SHAPE_SCALE = LikenessScale(level=0.32, level_photos=4.0, even=0.71, steepness=4.2)
# For recognisers that are trained with angular margins, of which it is said that a person's own photos have cosines of
# 0.4 to 0.8 and others' about 0. Not measured here, since none ships.
NETWORK_SCALE = LikenessScale(level=0.55, level_photos=4.0, even=0.5, steepness=20.0)


@dataclass(frozen=True)
class FaceIdentity:
    """What one photo says of who a face is.

    Attributes:
        solved: (S,) shape by the solver; read: (S,) shape by the encoder; standard deviations.
        feature: (N,) the recogniser's, None where there is none.
    """

    solved: np.ndarray
    read: np.ndarray
    feature: np.ndarray | None = None


@dataclass(frozen=True)
class PersonFound:
    """Who the folder is about.

    Attributes:
        face: for each photo the number (from 0) of its face that is most likely the person's; None without a face.
        sure: for each photo the probability that this face is the person's; 0 without a face.
        same: for each photo whether it counts as the person's.
        shape: (S,) mean of the solver's shapes, each by the square of its probability.
    """

    face: tuple[int | None, ...]
    sure: tuple[float, ...]
    same: tuple[bool, ...]
    shape: np.ndarray


def find_person(
    photos: Sequence[Sequence[FaceIdentity]], known_shape: np.ndarray | None = None, certain: Sequence[int] = ()
) -> PersonFound:
    """Find the person that most photos show, or one that is known, and each photo's face of that person.

    Args:
        photos: the faces of each photo; a photo may have none.
        known_shape: (S,) of the person, as fitted before.
        certain: photos of which the user says that they show the person.

    Source: own derivation: from the face whose nearest half of the folder is nearest, faces and membership by turns,
    until neither changes.
    """
    table = _Likenesses.of(photos, known_shape)
    if not table.photo.size:
        nothing = (None,) * len(photos)
        return PersonFound(nothing, (0.0,) * len(photos), (False,) * len(photos), np.zeros(0, np.float32))
    with_face = np.unique(table.photo).size
    accepted, half = ACCEPTED if with_face > FEW_PHOTOS else ACCEPTED_OF_FEW, math.ceil(with_face / 2)
    ticked = np.isin(np.arange(len(photos)), certain) & (np.bincount(table.photo, minlength=len(photos)) > 0)
    by_majority = known_shape is None and not ticked.any()
    chosen, member = table.first_group(ticked)
    for _ in range(ROUNDS):
        faces, sure = table.judge(chosen[member])
        now = (sure >= accepted) | ticked
        if by_majority and now.sum() < half:
            # there is no majority to be strict in the name of
            now = (sure >= ACCEPTED_OF_FEW) | ticked
        if by_majority and not now.any():
            # nobody is like anybody: the one that is least strange stays
            now[int(sure.argmax())] = True
        settled = np.array_equal(now, member) and np.array_equal(faces[now], chosen[member])
        chosen, member = faces, now
        if settled:
            break
    first = table.first_of_photo()
    return PersonFound(
        face=tuple(None if face < 0 else int(face - first[number]) for number, face in enumerate(faces)),
        sure=tuple(float(value) for value in sure),
        same=tuple(bool(value) for value in member),
        shape=_mean_shape([table.identities[face] for face in faces[faces >= 0]], sure[faces >= 0] ** 2),
    )


@dataclass(frozen=True)
class _Likenesses:
    """All faces in one row, and how like they are.

    Attributes:
        identities: of the F faces; photo: (F,) whose each is; num_photos.
        matrix: (F,F); to_known: (F,) or None; scale: what its numbers say.
    """

    identities: list[FaceIdentity]
    photo: np.ndarray
    num_photos: int
    matrix: np.ndarray
    to_known: np.ndarray | None
    scale: LikenessScale

    @classmethod
    def of(cls, photos: Sequence[Sequence[FaceIdentity]], known_shape: np.ndarray | None) -> _Likenesses:
        faces = [face for row in photos for face in row]
        photo = np.array([number for number, row in enumerate(photos) for _ in row], int)
        with_network = bool(faces) and all(face.feature is not None for face in faces)
        to_known = None
        if not faces:
            matrix = np.zeros((0, 0))
        elif with_network:
            matrix = _cosines([face.feature for face in faces])
        else:
            solved, read = _units([face.solved for face in faces]), _units([face.read for face in faces])
            matrix = _mixed(solved @ solved.T, read @ read.T)
        if faces and known_shape is not None:
            direction = _units([known_shape])[0]
            solved, read = _units([face.solved for face in faces]), _units([face.read for face in faces])
            to_known = _mixed(solved @ direction, read @ direction)
            if with_network:
                # shapes have another scale than the network's features
                to_known = to_known * (NETWORK_SCALE.level / SHAPE_SCALE.level)
        scale = NETWORK_SCALE if with_network else SHAPE_SCALE
        return cls(faces, photo, len(photos), matrix, to_known, scale)

    def first_of_photo(self) -> np.ndarray:
        """(P,) the number of each photo's first face."""
        return np.searchsorted(self.photo, np.arange(self.num_photos))

    def first_group(self, ticked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whom to begin with.

        Args:
            ticked: (P,) bool, photos that show the person for certain.

        Returns:
            (P,) the likeliest face of each photo, -1 without one; (P,) bool, the nearest half of the photos, or the
            ticked ones alone, or none where the person is known.
        """
        faces_of_photo = np.bincount(self.photo, minlength=self.num_photos)
        anchors = np.flatnonzero((ticked & (faces_of_photo == 1))[self.photo])
        if anchors.size:
            likeness = self.matrix[:, anchors].mean(1)
        elif self.to_known is not None:
            likeness = self.to_known
        else:
            likeness = self.matrix[self._seed()]
        chosen, nearness = self._best_faces(likeness)
        half = max(1, math.ceil(np.unique(self.photo).size / 2))
        member = ticked.copy()
        if not anchors.size and self.to_known is None:
            member[np.argsort(-nearness, kind="stable")[:half]] = True
        return chosen, member

    def judge(self, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each photo the face that is most like a group of faces (-1 without one), and how likely it is its."""
        others, total = self._with_others(group)
        in_group = np.isin(self.photo, self.photo[group])
        own = others[group]
        scale = self.scale
        level = (own.sum() + scale.level * scale.level_photos) / (len(group) + scale.level_photos)
        count = np.maximum(total - in_group, 0)
        firmness = scale.steepness * count / (count + 2)
        odds = np.exp(np.clip(firmness * (others / max(level, 0.5 * scale.level) - scale.even), -20, 20))
        best, _ = self._best_faces(others)
        faces_of_photo = np.bincount(self.photo, minlength=self.num_photos)
        weight = SHARE_OF_PERSON / np.maximum(faces_of_photo, 1)[self.photo] * odds
        whole = 1 - SHARE_OF_PERSON + np.bincount(self.photo, weight, self.num_photos)
        sure = np.where(best >= 0, weight[np.maximum(best, 0)] / whole, 0.0)
        return best, sure

    def _with_others(self, group: np.ndarray) -> tuple[np.ndarray, float]:
        """(F,) mean likeness to the faces of a group that are on other photos; and the weight of the group."""
        apart = self.photo[:, None] != self.photo[group][None]
        total = (self.matrix[:, group] * apart).sum(1)
        count = apart.sum(1).astype(float)
        weight = float(len(group))
        if self.to_known is not None:
            total, count, weight = total + KNOWN_WEIGHT * self.to_known, count + KNOWN_WEIGHT, weight + KNOWN_WEIGHT
        return total / np.maximum(count, 1e-6), weight

    def _seed(self) -> int:
        """The face whose nearest half of the other photos is nearest."""
        half = max(1, math.ceil((len(set(self.photo.tolist())) - 1) / 2))
        scores = []
        for face in range(len(self.photo)):
            chosen, likeness = self._best_faces(self.matrix[face])
            near = np.sort(likeness[(chosen >= 0) & (np.arange(self.num_photos) != self.photo[face])])[::-1]
            scores.append(near[:half].mean() if near.size else 0.0)
        return int(np.argmax(scores))

    def _best_faces(self, likeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each photo the face of the greatest likeness (-1 without one), and that likeness."""
        order = np.lexsort((likeness, self.photo))
        best = np.full(self.num_photos, -1)
        # the last of each photo stays
        best[self.photo[order]] = order
        return best, np.where(best >= 0, likeness[np.maximum(best, 0)], -np.inf)


def _mixed(solved: np.ndarray, read: np.ndarray) -> np.ndarray:
    return (SOLVED_WEIGHT * solved + read) / (SOLVED_WEIGHT + 1)


def _units(vectors: Sequence[np.ndarray]) -> np.ndarray:
    rows = np.stack(vectors).astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def _cosines(vectors: Sequence[np.ndarray]) -> np.ndarray:
    rows = _units(vectors)
    return rows @ rows.T


def _mean_shape(identities: Sequence[FaceIdentity], weight: np.ndarray) -> np.ndarray:
    """(S,) the mean of the solver's shapes: a face that goes in or out changes it by no more than it was sure."""
    return np.average(np.stack([face.solved for face in identities]), axis=0, weights=weight + 1e-9).astype(np.float32)
