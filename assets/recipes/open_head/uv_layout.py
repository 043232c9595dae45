"""The open head's UV layout: the skin above, the small parts in a strip below.

Where the skin is cut: along the back midline from the neck to the crown, and where MakeHuman's own layout separates the
inner mouth (and closed eye sockets) from the outer skin. Everything else of the skin is one island, symmetric about
u = 0.5, upright as seen from the front: the person's left is at larger u.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .uv_islands import Piece, boundary_loops, connected_labels, source_island_labels, take_piece
from .uv_parts import cut_underside, lay_disc, lay_eyeball
from .uv_skin import HalfSkin, SkinLayoutSettings, flatten_half_skin, half_skin

MARGIN = 0.008  # between islands and at the texture's edge: 8 texels of 1024, 2 of the 256 of the albedo basis
STRIP = 0.13  # height of the strip for the small parts
EYE_PARTS = ("left_eye", "right_eye")


@dataclass(frozen=True)
class Slot:
    """A rectangle of the texture: u and v limits."""

    left: float
    right: float
    bottom: float
    top: float


_LOW, _HIGH = MARGIN, STRIP - MARGIN
_MIDDLE = (_LOW + _HIGH) / 2
# The left eye's islands stand at the right, as on the face. A part with several islands has several slots, in the order
# of `_part_islands`.
PART_SLOTS: dict[str, tuple[Slot, ...]] = {
    "right_eye": (Slot(0.008, 0.122, _LOW, _HIGH), Slot(0.130, 0.168, _LOW, _LOW + 0.038)),
    "left_eye": (Slot(0.878, 0.992, _LOW, _HIGH), Slot(0.832, 0.870, _LOW, _LOW + 0.038)),
    "upper_teeth": (Slot(0.176, 0.404, _MIDDLE + MARGIN / 2, _HIGH),),
    "lower_teeth": (Slot(0.176, 0.404, _LOW, _MIDDLE - MARGIN / 2),),
    "pocket": (
        Slot(0.412, 0.588, _LOW, _HIGH),  # inner mouth
        Slot(0.130, 0.168, _HIGH - 0.038, _HIGH),  # eye sockets, where the head has them
        Slot(0.832, 0.870, _HIGH - 0.038, _HIGH),
    ),
    "tongue": (Slot(0.596, 0.724, _LOW, _HIGH),),
    "lashes": tuple(Slot(0.732, 0.824, _LOW + i * 0.029, _LOW + i * 0.029 + 0.021) for i in range(4)),
}


def unwrap_head(
    vertices: NDArray[np.floating],
    polygons: NDArray[np.integer],
    polygon_part: NDArray[np.integer],
    part_names: tuple[str, ...],
    face_mask: NDArray[np.floating],
    mirror_vertex: NDArray[np.integer],
    source_corner_uv: NDArray[np.floating],
    settings: SkinLayoutSettings | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Lays the whole head out on one texture.

    Args:
        vertices: (V, 3) metres, model space.
        polygons: (Q, 4) counter-clockwise from outside; -1 as the fourth corner of a triangle.
        polygon_part: (Q,) index into part_names.
        part_names: as in docs/architecture.md; absent parts are fine.
        face_mask: (V,) 0 to 1, what gets the most texture.
        mirror_vertex: (V,) the vertex on the other side.
        source_corner_uv: (Q, 4, 2) MakeHuman's own UV of each corner; only its islands matter, and only of the skin.
        settings: how the texture is shared out over the skin.

    Returns:
        uv (U, 2) in [0, 1] and uv_polygons (Q, 4), parallel to `polygons`.

    Raises:
        ValueError: the skin is not symmetric, not open at the neck only (besides eyes), or has more pockets than slots.
    """
    vertices = np.asarray(vertices, np.float64)
    polygons = np.asarray(polygons, np.int64)
    mirror_vertex = np.asarray(mirror_vertex, np.int64)
    settings = settings or SkinLayoutSettings()
    sheet = _Sheet(polygons)
    parts = {name: np.flatnonzero(np.asarray(polygon_part) == i) for i, name in enumerate(part_names)}
    outer, tucked, pockets = _split_skin(polygons, parts["skin"], face_mask, source_corner_uv)
    half = half_skin(vertices, polygons, outer, mirror_vertex)
    half_uv = flatten_half_skin(half, vertices, np.asarray(face_mask, float), tucked, STRIP, MARGIN, settings)
    sheet.add_mirrored(half, half_uv, outer, mirror_vertex)
    for name, rows in (("pocket", pockets), *parts.items()):
        if name == "skin" or not len(rows):
            continue
        islands = lay_eyeball(vertices, polygons, rows) if name in EYE_PARTS else None
        for slot, island in zip(
            PART_SLOTS[name], islands or _part_islands(vertices, polygons, rows, mirror_vertex), strict=False
        ):
            sheet.add(*island, slot)
    return sheet.finish()


class _Sheet:
    """Collects islands into one list of UV coordinates."""

    def __init__(self, polygons: NDArray[np.int64]) -> None:
        self.polygons = polygons
        self.uv: list[NDArray[np.float64]] = []
        self.uv_polygons = np.full(polygons.shape, -1, np.int64)
        self.count = 0

    def add(self, piece: Piece, uv: NDArray[np.float64], slot: Slot) -> None:
        """Places an island in the middle of its slot, as large as fits."""
        size = np.array([slot.right - slot.left, slot.top - slot.bottom])
        scale = (size / np.ptp(uv, axis=0)).min()
        middle = np.array([slot.right + slot.left, slot.top + slot.bottom]) / 2
        self._append(middle + scale * (uv - (uv.min(0) + uv.max(0)) / 2), piece.polygons, piece.rows)

    def add_mirrored(
        self, half: HalfSkin, uv: NDArray[np.float64], rows: NDArray[np.int64], mirror_vertex: NDArray[np.int64]
    ) -> None:
        """Adds the left half and its mirror image, joined along the front midline."""
        self._append(uv, half.piece.polygons, half.piece.rows)
        local = np.full(len(mirror_vertex) + 1, -1)
        local[half.piece.vertices] = np.arange(len(half.piece.vertices))
        separate = np.setdiff1d(np.arange(len(uv)), half.front)
        joined = np.append(np.arange(len(uv)), -1)  # the last entry answers for the -1 of a triangle
        joined[separate] = len(uv) + np.arange(len(separate))
        right_rows = np.setdiff1d(rows, half.piece.rows)
        right = self.polygons[right_rows]
        mirrored = np.where(right >= 0, local[mirror_vertex[right]], -1)
        if np.any((mirrored < 0) != (right < 0)):
            raise ValueError("the skin is not symmetric")
        self.uv.append(np.array([1.0, 0.0]) + uv[separate] * (-1, 1))
        self.uv_polygons[right_rows] = joined[mirrored]
        self.count += len(separate)

    def _append(self, uv: NDArray[np.float64], polygons: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        self.uv_polygons[rows] = np.where(polygons >= 0, polygons + self.count, -1)
        self.uv.append(uv)
        self.count += len(uv)

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        if np.any((self.uv_polygons < 0) != (self.polygons < 0)):
            raise ValueError("a polygon has no place on the texture: more islands than slots")
        return np.concatenate(self.uv).astype(np.float32), self.uv_polygons.astype(np.int32)


def _split_skin(
    polygons: NDArray[np.int64],
    skin: NDArray[np.int64],
    face_mask: NDArray[np.floating],
    source_corner_uv: NDArray[np.floating],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sorts the skin's polygons by the source's islands.

    Returns:
        The outer skin; of these the ones tucked in behind the lids; the pockets (without any open edge), which become
        islands of their own.
    """
    labels = source_island_labels(polygons[skin], np.asarray(source_corner_uv)[skin])
    piece = take_piece(polygons, skin)
    neck, *openings = (piece.vertices[loop] for loop in boundary_loops(piece.polygons))
    in_face = np.asarray(face_mask)[np.maximum(polygons[skin], 0)].mean(1)
    face = labels[np.argmax(in_face)]
    at_neck = np.unique(labels[np.isin(polygons[skin], neck).any(1)])
    at_opening = np.unique(labels[np.isin(polygons[skin], openings[0] if openings else []).any(1)])
    for opening in openings[1:]:
        at_opening = np.union1d(at_opening, labels[np.isin(polygons[skin], opening).any(1)])
    outside = np.union1d(at_neck, [face])
    tucked = np.setdiff1d(at_opening, outside)
    is_outer = np.isin(labels, np.union1d(outside, tucked))
    return skin[is_outer], skin[np.isin(labels, tucked)], skin[~is_outer]


def _part_islands(
    vertices: NDArray[np.float64],
    polygons: NDArray[np.int64],
    rows: NDArray[np.int64],
    mirror_vertex: NDArray[np.int64],
) -> list[tuple[Piece, NDArray[np.float64]]]:
    """Lays each connected piece of a part flat: those on the midline first, then from the person's right to left."""
    labels = connected_labels(take_piece(polygons, rows).polygons)
    pieces = [take_piece(polygons, rows[labels == label]) for label in range(labels.max() + 1)]
    pieces.sort(key=lambda piece: _place_of(vertices[piece.vertices]))
    islands = []
    for piece in pieces:
        if not boundary_loops(piece.polygons):
            piece = cut_underside(piece, vertices, mirror_vertex)
        islands.append((piece, lay_disc(piece, vertices)))
    return islands


def _place_of(points: NDArray[np.float64]) -> tuple[bool, float, float]:
    sideways = round(float(points[:, 0].mean()), 6)
    return sideways != 0, sideways, float(points[:, 1].mean())
