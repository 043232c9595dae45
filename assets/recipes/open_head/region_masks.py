"""Region masks of the open head: 0-1 for each vertex, with soft borders."""

from __future__ import annotations

import numpy as np

from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.face_loops import SKIN_BORDER, VERMILION_BORDER
from assets.recipes.open_head.makehuman_geometry import TargetLibrary

_SOFT_M = 0.008  # width over which a region fades


def build_region_masks(base: BaseMesh, mean: np.ndarray, library: TargetLibrary) -> dict[str, np.ndarray]:
    """Make every mask.

    Args:
        base: topology.
        mean: (V, 3) metres.
        library: its ear targets say which vertices are ears.

    Returns:
        name -> (V,) float32, in the order of docs/architecture.md.
    """
    x, y, z = np.abs(mean[:, 0]), mean[:, 1], mean[:, 2]
    skin = np.zeros(len(mean))
    skin[base.part_vertices("skin")] = 1.0
    outer = skin * ~(base.inner_mouth | base.lid_inner)
    ears = _ears(base, library)
    not_ear = 1 - ears
    face = base.face_mask * not_ear
    lips, lids = _lips(base), _eyelids(base)
    front = _inside(z, -0.03, np.inf)
    front_and_low = _inside(z, 0.005, np.inf) * _inside(-y, -0.03, np.inf)
    neck = outer * _inside(-y, 0.118, np.inf) * not_ear
    neck = np.maximum(neck, outer * (1 - base.face_mask) * _inside(-y, 0.055, np.inf) * not_ear)
    masks = {
        "face": face,
        "forehead": face * _inside(y, 0.026, np.inf),
        "brows": face * front * _ellipse(x - 0.034, y - 0.0175, 0.026, 0.0085),
        "eye_region_left": outer * front * _ellipse(mean[:, 0] - 0.031, y + 0.001, 0.027, 0.021),
        "eye_region_right": outer * front * _ellipse(mean[:, 0] + 0.031, y + 0.001, 0.027, 0.021),
        "nose": outer * _nose(x, y, z),
        "lips": lips,
        "cheeks": face * _ellipse(x - 0.045, y + 0.045, 0.026, 0.032) * (1 - lips) * (1 - _nose(x, y, z)),
        "chin": face * _ellipse(x, y + 0.106, 0.032, 0.018) * (1 - lips),
        "ears": ears,
        # nostrils and lid edges are no part of the face proper either, but lie in front and below the hair
        "scalp": outer * (1 - base.face_mask) * (1 - neck) * not_ear * (1 - front_and_low),
        "neck": neck,
        "inner_mouth": skin * base.inner_mouth,
        "eyelids": lids,
        "boundary": _boundary(base),
    }
    return {name: np.clip(mask, 0, 1).astype(np.float32) for name, mask in masks.items()}


def _inside(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Give 1 between two limits, fading over `_SOFT_M` around each."""
    rise = np.clip((value - low) / _SOFT_M + 0.5, 0, 1)
    fall = np.clip((high - value) / _SOFT_M + 0.5, 0, 1)
    return np.minimum(rise, fall)


def _ellipse(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """Give 1 inside an ellipse, fading over `_SOFT_M` across its edge."""
    radius = np.hypot(x / half_width, y / half_height)
    return np.clip((1 - radius) * min(half_width, half_height) / _SOFT_M + 0.5, 0, 1)


def _nose(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Give the nose: a wedge that widens from the root to the wings."""
    half_width = 0.011 + 0.009 * np.clip(-y / 0.045, 0, 1)
    return _inside(-y, -0.004, 0.053) * _inside(half_width - x, 0.0, np.inf) * _inside(z, 0.008, np.inf)


def _ears(base: BaseMesh, library: TargetLibrary) -> np.ndarray:
    """Take the vertices that MakeHuman's ear targets move nearly fully; around the ear they fade out."""
    size = np.zeros(int(base.source_vertex.max()) + 1)
    for side in "lr":
        target = library.read(f"ears/{side}-ear-trans-backward")
        kept = target.index < len(size)
        moved = np.linalg.norm(target.offset, axis=1)
        size[target.index[kept]] = np.maximum(size[target.index[kept]], moved[kept] / moved.max())
    ears = np.where(base.source_vertex >= 0, size[np.maximum(base.source_vertex, 0)], 0.0)
    return np.clip((ears - 0.70) / 0.25, 0, 1)


def _lips(base: BaseMesh) -> np.ndarray:
    """Give the red of the lips, from the border to just behind the contact line."""
    lips = np.zeros(len(base.vertices))
    lips[base.lip_loops.rows[SKIN_BORDER - 1]] = 0.35
    lips[base.lip_loops.rows[2 : VERMILION_BORDER + 1]] = 1.0
    lips[base.lip_loops.rows[:2]] = 0.5
    return lips


def _eyelids(base: BaseMesh) -> np.ndarray:
    """Give the lids, from their inner side to the fold."""
    lids = np.zeros(len(base.vertices))
    for rings in base.eye_rings:
        for ring, weight in enumerate((1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.7, 0.45, 0.2)):
            lids[rings[ring]] = weight
    return lids


def _boundary(base: BaseMesh) -> np.ndarray:
    """Give 1 on the cut around the neck."""
    skin = base.polygons[base.polygon_part == 0]
    edges = np.sort(np.stack([skin, np.roll(skin, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    on_cut = np.unique(unique[count == 1])
    boundary = np.zeros(len(base.vertices))
    boundary[on_cut[~base.lid_inner[on_cut]]] = 1.0
    return boundary
