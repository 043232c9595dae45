"""MakeHuman's mouth units with the skin around the lips laid anew.

The units move the lips well, but the cheek beside them follows over one or two rows of polygons and folds into a
knife's edge from the corner of the mouth to the nostril. Here lips, nose and everything far keep the unit's offsets;
the skin between them is spread smoothly, as it glides over the fat of the cheek.
"""

from __future__ import annotations

import numpy as np

from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.face_loops import CONTACT, VERMILION_BORDER
from assets.recipes.open_head.surface_field import SurfaceField

_REACH_M = 0.066  # from the middle of the mouth; beyond it lie jaw line, ear, eye and the side of the cheek
_NOSE_HALF_WIDTH_M, _NOSE_BASE_M = 0.019, -0.043  # wings of the nose and up


def relaxed_unit(base: BaseMesh, mean: np.ndarray, field: SurfaceField, offsets: np.ndarray) -> np.ndarray:
    """Spread the motion of the lips over the cheeks anew.

    Args:
        base: topology.
        mean: (V, 3) metres.
        field: on the skin.
        offsets: (V, 3) metres, a unit of the mouth.

    Returns:
        (V, 3) metres.
    """
    loops = base.lip_loops
    lips = np.unique(loops.rows[: VERMILION_BORDER + 1])
    centre = mean[loops.rows[CONTACT]].mean(axis=0)
    far = np.linalg.norm((mean - centre) * [0.9, 1.0, 0.6], axis=1) > _REACH_M
    nose = (np.abs(mean[:, 0]) < _NOSE_HALF_WIDTH_M) & (mean[:, 1] > _NOSE_BASE_M)
    kept = np.flatnonzero(far | nose | base.inner_mouth)
    fixed = np.intersect1d(np.union1d(kept, lips), base.part_vertices("skin"))
    result = field.solve(fixed, offsets[fixed])
    other = np.setdiff1d(np.arange(len(mean)), base.part_vertices("skin"))
    result[other] = offsets[other]
    return result
