"""Which point of the head's surface every texel of a texture shows, and values carried between vertices and texels."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import torch
from scipy import sparse

from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.rasterizer import rasterize

# How far (in texels) an island is continued along its border triangles; covers bilinear lookups and upsampling by two.
CONTINUED_TEXELS = 6.0
# Means at the vertices use every n-th texel only: neighbours say nearly the same.
MEAN_STRIDE = 3
# A continued texel lies outside of its triangle, by no more than this in any barycentric: thin triangles reach far.
MAX_BEYOND = 1.0


@dataclass(frozen=True)
class Padding:
    """Flat pixels between the islands of an image, `gap`, and the nearest pixel in an island for each, `source`."""

    gap: np.ndarray
    source: np.ndarray


@dataclass(frozen=True)
class TexelMap:
    """The UV layout of a head, rasterised on a square grid (row 0 is v = 1).

    Attributes:
        size_px: N, rows and columns; num_vertices: V, of the head.
        index: (T,) int64, flat positions of the texels that show surface, or continue it a little past an island.
        triangle: (T,) int64, index into the head's triangles.
        vertices: (T, 3) int32, the triangle's vertices.
        barycentric: (T, 3) float32.
        inside: (N, N) bool, texels whose centre lies in an island.
        part: (N, N) int16, index into the head's part names, -1 where `index` has no texel.
        mirror_uv_px: (N, N, 2) float32, where the same place of the other half lies, in texels (first centre 0.5, 0.5).
    """

    size_px: int
    num_vertices: int
    index: np.ndarray
    triangle: np.ndarray
    vertices: np.ndarray
    barycentric: np.ndarray
    inside: np.ndarray
    part: np.ndarray
    mirror_uv_px: np.ndarray

    def interpolate(self, vertex_values: np.ndarray) -> np.ndarray:
        """Carry values from vertices to texels.

        Args:
            vertex_values: (V,) or (V, C).

        Returns:
            (N, N) or (N, N, C) float32, 0 where no surface is.
        """
        values = np.ascontiguousarray(vertex_values, dtype=np.float32)
        return (self._on_grid @ values).reshape((self.size_px, self.size_px, *values.shape[1:]))

    def at_texels(self, vertex_values: np.ndarray) -> np.ndarray:
        """The same as a list: (T,) or (T, C) float32 at the texels of `index`."""
        return self._at_index @ np.ascontiguousarray(vertex_values, dtype=np.float32)

    @cached_property
    def paddings(self) -> dict[int, Padding]:
        """What `pad_islands` has worked out, by the size of the image."""
        return {}

    @cached_property
    def _on_grid(self) -> sparse.csr_matrix:
        """(N * N, V) weights of the vertices at every place of the grid; rows without surface are empty."""
        entries = np.zeros(self.size_px**2 + 1, np.int32)
        entries[self.index + 1] = 3
        return self._weights(np.cumsum(entries, dtype=np.int32))

    @cached_property
    def _at_index(self) -> sparse.csr_matrix:
        """(T, V) weights of the vertices at the texels of `index`."""
        return self._weights(np.arange(0, 3 * len(self.index) + 1, 3, dtype=np.int32))

    def _weights(self, starts: np.ndarray) -> sparse.csr_matrix:
        shape = (len(starts) - 1, self.num_vertices)
        return sparse.csr_matrix((self.barycentric.reshape(-1), self.vertices.reshape(-1), starts), shape)

    @cached_property
    def _shares(self) -> sparse.csr_matrix:
        """`_shares_of_every` of MEAN_STRIDE, kept."""
        return self._shares_of_every(MEAN_STRIDE)

    def _shares_of_every(self, stride: int) -> sparse.csr_matrix:
        """(V, T / stride) how much of every n-th texel belongs to each vertex."""
        share = np.maximum(self.barycentric[::stride], 0.0).reshape(-1)
        corners = self.vertices[::stride].reshape(-1)
        starts = np.arange(0, len(share) + 1, 3, dtype=np.int32)
        return sparse.csr_matrix((share, corners, starts), (len(starts) - 1, self.num_vertices)).T.tocsr()

    def only(self, chosen: np.ndarray) -> TexelMap:
        """The map with the chosen texels (T,) bool alone, on the same grid."""
        return replace(
            self, index=self.index[chosen], triangle=self.triangle[chosen], vertices=self.vertices[chosen],
            barycentric=self.barycentric[chosen],
        )  # fmt: skip

    def vertex_means(
        self, texel_values: np.ndarray, texel_weights: np.ndarray, stride: int = MEAN_STRIDE
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gather texel values at the vertices of their triangles, as weighted means.

        Args:
            texel_values: (N, N, C).
            texel_weights: (N, N), 0 or more.
            stride: use every n-th texel only.

        Returns:
            (V, C) means (0 without any texel) and (V,) mean weights, 0-1 for weights of 0-1.
        """
        shares = self._shares if stride == MEAN_STRIDE else self._shares_of_every(stride)
        index = self.index[::stride]
        weight = texel_weights.reshape(-1)[index].astype(np.float32)
        values = texel_values.reshape(self.size_px**2, -1).take(index, 0) * weight[:, None]
        sums = shares @ np.column_stack([values, weight, np.ones_like(weight)])
        total, coverage = np.maximum(sums[:, -2], 1e-9), np.maximum(sums[:, -1], 1e-9)
        return (sums[:, :-2] / total[:, None]).astype(np.float32), (sums[:, -2] / coverage).astype(np.float32)

    def mirrored(self, image: np.ndarray) -> np.ndarray:
        """What an image (N, N) or (N, N, C), at most 4 channels, shows at the same place of the other half."""
        # OpenCV counts from the first pixel's centre
        return cv2.remap(image, self.mirror_uv_px - 0.5, None, cv2.INTER_LINEAR)


_maps: dict[tuple[int, int], TexelMap] = {}
# two threads that want the same map: the second waits for the first
_building = threading.Lock()


def texel_map(head: HeadModel, size_px: int) -> TexelMap:
    """Rasterise the head's UV layout; the result is kept as long as the head lives.

    Args:
        head: the head model.
        size_px: rows and columns of the grid.

    Returns:
        The map; islands are continued by a few texels along the planes of their border triangles.
    """
    key = (id(head), size_px)
    with _building:
        if key not in _maps:
            _maps[key] = _build(head, size_px)
            weakref.finalize(head, _maps.pop, key, None)
        return _maps[key]


def pad_islands(image: np.ndarray, texels: TexelMap) -> np.ndarray:
    """Fill the gaps between the islands with the nearest colour, so that no filter or mip level lets them in.

    Args:
        image: (M, M, C); M a multiple of the texel map's size.
        texels: says where islands are.

    Returns:
        (M, M, C).
    """
    padding = texels.paddings.get(len(image)) or texels.paddings.setdefault(len(image), _padding(texels, len(image)))
    result = image.copy()
    pixels = result.reshape(len(image) ** 2, -1)
    pixels[padding.gap] = pixels[padding.source]
    return result


def _padding(texels: TexelMap, size_px: int) -> Padding:
    gap = cv2.resize((texels.part < 0).astype(np.uint8), (size_px, size_px), interpolation=cv2.INTER_NEAREST)
    _, label = cv2.distanceTransformWithLabels(gap, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.flatnonzero(gap == 0)
    source = np.zeros(label.max() + 1, dtype=np.int32)
    source[label.reshape(-1)[inside]] = inside
    empty = np.flatnonzero(gap)
    return Padding(empty, source[label.reshape(-1)[empty]])


def _build(head: HeadModel, size_px: int) -> TexelMap:
    uv = head.uv.cpu().numpy().astype(np.float64)
    uv_triangles = head.uv_triangles.cpu().numpy().astype(np.int64)
    triangles = head.triangles.cpu().numpy().astype(np.int64)
    corners_px = np.stack([uv[:, 0] * size_px, (1.0 - uv[:, 1]) * size_px], axis=1)[uv_triangles]
    covering = _covering_triangle(corners_px, size_px)
    inside = covering >= 0
    index, triangle = _continued(covering)
    centres = np.stack([index % size_px + 0.5, index // size_px + 0.5], axis=1)
    barycentric = _barycentric(corners_px, triangle, centres)
    part = np.full(size_px**2, -1, dtype=np.int16)
    triangle_part = head.polygon_part.cpu().numpy()[head.triangle_polygon.cpu().numpy()]
    part[index] = triangle_part[triangle]
    mirror_corners = _mirror_corners(head, corners_px, triangles)
    mirror = np.zeros((size_px**2, 2), dtype=np.float32)
    mirror[index] = np.einsum("tk,tkc->tc", barycentric, mirror_corners[triangle])
    grid = (size_px, size_px)
    return TexelMap(
        size_px, head.num_vertices, index, triangle, triangles[triangle].astype(np.int32), barycentric, inside,
        part.reshape(grid), mirror.reshape(*grid, 2),
    )  # fmt: skip


def _covering_triangle(corners_px: np.ndarray, size_px: int) -> np.ndarray:
    """(N, N) int64: the triangle that covers each texel's centre, -1 for none; the layout has no overlaps."""
    flat_depth = np.ones((len(corners_px) * 3, 1))
    points = np.concatenate([corners_px.reshape(-1, 2), flat_depth], axis=1).astype(np.float32)
    own_corners = torch.arange(len(points)).reshape(-1, 3)
    return rasterize(torch.from_numpy(points)[None], own_corners, size_px, size_px).triangle[0].numpy()


def _continued(covering: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat texel positions and triangles, with islands grown by the triangle of the nearest covered texel."""
    empty = (covering < 0).astype(np.uint8)
    distance, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    triangle_of_label = np.zeros(label.max() + 1, dtype=np.int64)
    triangle_of_label[label[empty == 0]] = covering[empty == 0]
    index = np.flatnonzero(distance.reshape(-1) <= CONTINUED_TEXELS)
    return index, triangle_of_label[label.reshape(-1)[index]]


def _barycentric(corners_px: np.ndarray, triangle: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(T, 3) float32 barycentrics of texel centres in given triangles; outside of them, the plane continued."""
    a, b, c = (corners_px[:, k] for k in range(3))
    double_area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    double_area = np.where(np.abs(double_area) < 1e-9, 1e-9, double_area)[triangle]
    to_b, to_c, here = (b - a)[triangle], (c - a)[triangle], centres - a[triangle]
    weight_b = (here[:, 0] * to_c[:, 1] - here[:, 1] * to_c[:, 0]) / double_area
    weight_c = (to_b[:, 0] * here[:, 1] - to_b[:, 1] * here[:, 0]) / double_area
    weights = np.stack([1.0 - weight_b - weight_c, weight_b, weight_c], axis=1)
    within = np.clip(weights, 0.0, 1.0)
    within /= within.sum(axis=1, keepdims=True)
    beyond = weights - within
    reach = np.minimum(1.0, MAX_BEYOND / np.maximum(np.abs(beyond).max(axis=1, keepdims=True), 1e-9))
    return (within + beyond * reach).astype(np.float32)


def _mirror_corners(head: HeadModel, corners_px: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F, 3, 2) texel position of every triangle corner's counterpart on the other half of the head.

    A vertex on a UV seam has several texture positions: the one that the mirrored polygon uses is the right one.
    """
    count = head.num_vertices
    mirror = head.mirror_vertex.cpu().numpy().astype(np.int64)
    polygons = head.polygons.cpu().numpy().astype(np.int64)
    triangle_polygon = head.triangle_polygon.cpu().numpy().astype(np.int64)
    # a polygon is known by its sorted vertices; the mirrored polygon has the mirrored ones
    own_names = np.sort(polygons, axis=1)
    mirrored_names = np.sort(np.where(polygons >= 0, mirror[polygons], -1), axis=1)
    _, named = np.unique(np.concatenate([own_names, mirrored_names]), axis=0, return_inverse=True)
    own, mirrored = np.split(named.reshape(-1), 2)
    polygon_of_name = np.full(named.max() + 1, -1, dtype=np.int64)
    polygon_of_name[own] = np.arange(len(polygons))
    counterpart = polygon_of_name[mirrored][triangle_polygon]

    places = corners_px.reshape(-1, 2)
    any_place = np.zeros((count, 2))
    any_place[triangles.reshape(-1)] = places
    keys = (triangle_polygon[:, None] * count + triangles).reshape(-1)
    order = np.argsort(keys, kind="stable")
    wanted = (counterpart[:, None] * count + mirror[triangles]).reshape(-1)
    position = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    exact = (keys[order][position] == wanted) & np.repeat(counterpart >= 0, 3)
    found = np.where(exact[:, None], places[order[position]], any_place[mirror[triangles]].reshape(-1, 2))
    return found.reshape(-1, 3, 2)
