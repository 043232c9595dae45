"""Tells a photo's lasting lines from those of its expression.

A photo shows one expression, and its relief holds both: what is in the skin at rest, and what this expression folds
into it. Where the photo compresses a place (w of the way to full compression), the wrinkles W seen there are in part
the expression's: they go to the map at full compression, as its difference c to the neutral,

    c = (1 - lasting) · W / max(w, 1/2),   neutral = photo - w · c,

so that playback at the photo's own expression shows the photo again, exactly: the person wrinkles where that person
wrinkles. Lines that are seen where nothing is compressed are lasting ones; compression deepens them too. Stretch
smooths what is there at rest, so that a stretched place's lines are deeper at rest than the photo shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml_backend.displacement.bake_displacement import BakedDisplacement
from ml_backend.texture.photo_projection import smooth_step

# the part of an expression's wrinkles that stays at rest, at age 0 and at age 1: chosen by eye. It grows with age, and
# lines at rest go with lines under contraction (Fujimura et al. 2013).
LASTING_PART = (0.10, 0.70)
# weights of the compressed map in the photo between which its wrinkles begin to be taken for the expression's
COMPRESSED = (0.05, 0.30)
# a wrinkle seen at less than this weight is not made more than twice as deep at full compression
LEAST_WEIGHT = 0.5
# lasting lines deepen by this part of themselves at full compression, and lose this part at full stretch: by eye
DEEPENED, SMOOTHED = 0.5, 0.6


@dataclass(frozen=True)
class PhotoWrinkles:
    """A photo's relief, split.

    Attributes:
        neutral_mm: (N, N) at rest.
        compressed_mm, expanded_mm: (N, N) differences to it at full compression and at full stretch.
        explained: (N, N) 0-1, where the photo itself says how the skin folds when it is compressed.
    """

    neutral_mm: np.ndarray
    compressed_mm: np.ndarray
    expanded_mm: np.ndarray
    explained: np.ndarray


def split_photo(
    displacement: BakedDisplacement, compressed: np.ndarray, expanded: np.ndarray, age: float
) -> PhotoWrinkles:
    """Split a photo's relief by the tension of its expression.

    Args:
        displacement: read off the photo.
        compressed, expanded: (N, N) weights of the maps in the photo's expression, 0-1; never both above 0.
        age: 0-1.

    Returns:
        The parts: neutral + compressed · c + expanded · e is the photo's relief.
    """
    wrinkles = displacement.wrinkle_mm
    folded = smooth_step(compressed, *COMPRESSED)
    lasting = LASTING_PART[0] + (LASTING_PART[1] - LASTING_PART[0]) * age
    by_expression = folded * (1 - lasting) / np.maximum(compressed, LEAST_WEIGHT)
    # lasting lines x: photo = x (1 - SMOOTHED e) where stretched
    at_rest = wrinkles / (1 - SMOOTHED * expanded)
    compressed_mm = by_expression * wrinkles + DEEPENED * (1 - folded) * at_rest
    expanded_mm = -SMOOTHED * (at_rest - compressed * compressed_mm)
    neutral_mm = displacement.offset_mm - compressed * compressed_mm - expanded * expanded_mm
    return PhotoWrinkles(
        *(values.astype(np.float32) for values in (neutral_mm, compressed_mm, expanded_mm)),
        explained=(displacement.evidence * folded).astype(np.float32),
    )
