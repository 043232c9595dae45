"""The learned detail of a person as wrinkle maps, and in any single pose.

The student says a person's displacement at any tension. Maps that tension blends are distilled from what it says in
the sampled expressions; what they miss of it is worked out for single frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch

from addon.exchange.arkit import NUM_ARKIT
from ml_backend.learned.detail_input import FaceWindow, PlacedDetail, on_window, place_in_map
from ml_backend.learned.person_detail import PersonDetail
from ml_backend.wrinkles.distil import WrinkleMaps, WrinkleScale, distil_samples
from ml_backend.wrinkles.distil_prior import RIDGE, ExpressionTensions
from ml_backend.wrinkles.expression_samples import NUM_COMBINATIONS

# Tension jumps from vertex to vertex, the student's wrinkles do not: maps fitted to the tension as it stands would show
# the mesh. They are fitted to tension that is smoothed over this share of the window's side (4 mm, an edge's length).
TENSION_SPREAD_SHARE = 0.02
# Expressions that change the tension of the face by less than this (root mean square) say little of its wrinkles: those
# of the eyes' directions and their like. Together with leaving out the random combinations this halves the passes of
# the network; the compressed and expanded maps of one person changed by 15 and 14%.
LEAST_TENSION = 0.03


@dataclass(frozen=True)
class LearnedWrinkles:
    """A person's learned detail as maps.

    Attributes:
        person: as the student has read them off the photo.
        maps: (N, N) metres in the window.
        size_px: M, side of the maps that are asked for.
    """

    person: PersonDetail
    maps: WrinkleMaps
    size_px: int

    @property
    def weight(self) -> np.ndarray:
        """(M, M) float32 0-1, where the student speaks: on the face, fading at its border."""
        return self._rest.weight

    @cached_property
    def rest_m(self) -> np.ndarray:
        """(M, M) float32 metres at rest."""
        return self._rest.values * self.weight

    @cached_property
    def compressed_m(self) -> np.ndarray:
        """(M, M) the difference to it at full compression."""
        return self._placed(self.maps.compressed - self.maps.neutral)

    @cached_property
    def expanded_m(self) -> np.ndarray:
        """(M, M) the difference to it at full stretch."""
        return self._placed(self.maps.expanded - self.maps.neutral)

    @cached_property
    def _rest(self) -> PlacedDetail:
        """The map at rest in the whole one, whose weight is that of all."""
        return place_in_map(self.maps.neutral.numpy().astype(np.float32), self.person.window, self.size_px)

    def change_m(self, tension: torch.Tensor) -> np.ndarray:
        """What the student itself adds to the rest at a tension (V,) of the vertices: (M, M) metres."""
        change = torch.from_numpy(self.person.displacement(tension[None])[0]) - self.maps.neutral
        return self._placed(change)

    def _placed(self, values: torch.Tensor) -> np.ndarray:
        placed = place_in_map(values.numpy().astype(np.float32), self.person.window, self.size_px)
        return placed.values * placed.weight


def distil_person(
    person: PersonDetail, scale: WrinkleScale, samples: ExpressionTensions, size_px: int
) -> LearnedWrinkles:
    """Distil what the student says of a person.

    Args:
        person: read off a photo.
        scale, samples: the sampled expressions on that person's head, and the tensions at which the maps show whole.
        size_px: M, side of the maps.
    """
    chosen = _telling(samples, person)
    skin = torch.from_numpy(person.window.skin > 0)
    tension = samples.tension[chosen]
    # all at once: carrying the tensions to the window takes as long for one as for many
    at_rest, *said = torch.from_numpy(person.displacement(torch.cat([torch.zeros_like(tension[:1]), tension])))
    smooth = smooth_tension(tension, person.window)
    batches = ((one[None, skin], displacement[None, skin]) for one, displacement in zip(smooth, said, strict=True))
    weights = samples.weight[chosen].tolist()
    maps = distil_samples(batches, scale, ridge=RIDGE, at_rest=at_rest[skin], sample_weights=weights)

    def whole(values: torch.Tensor, elsewhere: torch.Tensor) -> torch.Tensor:
        return elsewhere.double().masked_scatter(skin, values)

    images = {name: whole(getattr(maps, name), at_rest) for name in ("neutral", "compressed", "expanded")}
    maps = replace(maps, **images, error_map=whole(maps.error_map, torch.zeros_like(at_rest)))
    return LearnedWrinkles(person, maps, size_px)


def smooth_tension(tension: torch.Tensor, window: FaceWindow) -> torch.Tensor:
    """The tension map that the maps are fitted to.

    Args:
        tension: (B, V) of the vertices.

    Returns:
        (B, N, N) in the window, smoothed within the surface.
    """
    spread = TENSION_SPREAD_SHARE * window.size_px
    inside = window.texels.inside.astype(np.float32)
    total = np.maximum(cv2.GaussianBlur(inside, (0, 0), spread), 1e-3)
    drawn = on_window(tension[..., None], window)[:, 0].numpy()
    return torch.from_numpy(np.stack([cv2.GaussianBlur(image, (0, 0), spread) / total * inside for image in drawn]))


def _telling(samples: ExpressionTensions, person: PersonDetail) -> list[int]:
    """The samples that change the face's tension, but for random combinations: the others say what they would."""
    vertices = np.unique(person.window.texels.vertices)
    changed = samples.tension[:, torch.from_numpy(vertices).long()].square().mean(1).sqrt()
    changed[NUM_ARKIT : NUM_ARKIT + NUM_COMBINATIONS] = 0
    return torch.nonzero(changed > LEAST_TENSION).flatten().tolist()
