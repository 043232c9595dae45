"""What a stream of synthetic faces is made with, and where its chance comes from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from addon.exchange.errors import LikenessError


class SyntheticSettingsError(LikenessError):
    """The settings of the synthetic faces contradict themselves."""


@dataclass(frozen=True)
class SyntheticSettings:
    """How synthetic faces are made.

    Attributes:
        image_px: rows and columns of a sample.
        seed: of the whole stream.
        images_per_person: samples that follow each other and share a person.
        detail: also hand out the maps and vertices (`SampleDetail`).
        map_px: rows and columns of the albedo texture; displacement_px: of the displacement map.
        supersampling: rendered pixels per pixel of the sample, along each side.
        max_yaw, max_pitch, max_roll: radians, of the head's turn in the crop.
        side_jitter: the crop's side against the convention's; centre_jitter: its centre's shift, as part of the side.
        neutral_share: samples with a neutral face.
        occluded_share: samples with a hand or another thing before the face; glasses_share: people with glasses.
        effects: noise, blur, colour cast, exposure and JPEG; without them the picture is the clean render.
        wrinkle_sets: 0, each person has lines drawn on the own head; else so many sets are shared out, each as it is on
            the head that it was drawn on, which saves half a second a person.
        people_kept: people whose own textures stay in memory.
    """

    image_px: int = 224
    seed: int = 0
    images_per_person: int = 8
    detail: bool = False
    map_px: int = 512
    displacement_px: int = 256
    supersampling: float = 1.5
    max_yaw: float = 1.31
    max_pitch: float = 0.52
    max_roll: float = 0.21
    side_jitter: tuple[float, float] = (0.88, 1.15)
    centre_jitter: float = 0.06
    neutral_share: float = 0.2
    occluded_share: float = 0.14
    glasses_share: float = 0.2
    effects: bool = True
    wrinkle_sets: int = 0
    people_kept: int = 6

    def __post_init__(self) -> None:
        sizes = (self.image_px, self.images_per_person, self.map_px, self.displacement_px, self.people_kept)
        if min(sizes) < 1 or self.supersampling < 1 or self.seed < 0 or self.wrinkle_sets < 0:
            raise SyntheticSettingsError(
                "synthetic_settings", "A size, a count or the seed of the synthetic faces is too small.",
                "Sizes and counts start at 1, the seed at 0.",
            )  # fmt: skip
        if not 0 < self.side_jitter[0] <= self.side_jitter[1]:
            raise SyntheticSettingsError(
                "synthetic_settings", f"side_jitter {self.side_jitter} is no range.", "Give the smaller factor first."
            )


def chance(seed: int, name: str, number: int) -> np.random.Generator:
    """A generator of its own for each thing of each sample or person: none depends on what was drawn before.

    Args:
        seed: the stream's; name: of what is drawn; number: of the sample or the person.
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode()), number])
