"""Paints one part of the head by the place of each texel, so that any UV layout will do."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ml_backend.texture.log_colour import log_from_linear
from ml_backend.texture.texel_map import TexelMap


def paint_part(
    log_albedo: np.ndarray,
    texels: TexelMap,
    head_vertices: np.ndarray,
    part: int,
    colour_at: Callable[[np.ndarray], np.ndarray],
) -> None:
    """Paint the texels of a part in place, at the texture's full size.

    Args:
        log_albedo: (M, M, 3) logarithmic linear RGB, changed in place; M is a multiple of the texel map's size.
        texels: the UV grid.
        head_vertices: (V, 3) of the neutral head, metres.
        part: index of the part.
        colour_at: (K, 3) linear RGB of places (K, 3), metres.
    """
    chosen = np.flatnonzero(texels.part.reshape(-1)[texels.index] == part)
    if len(chosen) == 0:
        return
    # only the part's own texels: the whole grid would take ten times as long
    rows, columns = np.divmod(texels.index[chosen], texels.size_px)
    window = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    factor = log_albedo.shape[0] // texels.size_px
    corners = head_vertices.astype(np.float32)[texels.vertices[chosen]]
    places = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start, 3), np.float32)
    owned = np.zeros(places.shape[:2], np.uint8)
    here = rows - window[0].start, columns - window[1].start
    places[here] = np.einsum("kcd,kc->kd", corners, texels.barycentric[chosen])
    owned[here] = 1
    size = (places.shape[1] * factor, places.shape[0] * factor)
    places = cv2.resize(places, size, interpolation=cv2.INTER_LINEAR)
    owned = cv2.resize(owned, size, interpolation=cv2.INTER_NEAREST) > 0
    target = log_albedo[
        window[0].start * factor : window[0].stop * factor, window[1].start * factor : window[1].stop * factor
    ]
    target[owned] = log_from_linear(colour_at(places[owned]))
