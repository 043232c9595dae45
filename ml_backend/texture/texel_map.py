"""Which point of the head's surface every texel of a texture shows, and values carried between vertices and texels."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scipy import sparse

from ml_backend.head.head_model import HeadModel
from ml_backend.rendering.rasterizer import rasterize

# How far (in texels) an island is continued along its border triangles; covers bilinear lookups and upsampling by two.
CONTINUED_TEXELS = 6.0
# A continued texel lies outside of its triangle, by no more than this in any barycentric: thin triangles reach far.
MAX_BEYOND = 1.0


@dataclass(frozen=True)
class TexelMap:
    """The UV layout of a head, rasterised on a square grid (row 0 is v = 1).

    Attributes:
        size_px: N, rows and columns.
        index: (T,) int64, flat positions of the texels that show surface, or continue it a little past an island.
        triangle: (T,) int64, index into the head's triangles.
        vertices: (T, 3) int32, the triangle's vertices.
        barycentric: (T, 3) float32.
        inside: (N, N) bool, texels whose centre lies in an island.
        part: (N, N) int16, index into the head's part names, -1 where `index` has no texel.
        mirror_uv_px: (N, N, 2) float32, where the same place of the other half lies, in texels (first centre 0.5, 0.5).
    """

    size_px: int
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
        values = self.at_texels(vertex_values)
        dense = np.zeros((self.size_px**2, *values.shape[1:]), dtype=np.float32)
        dense[self.index] = values
        return dense.reshape((self.size_px, self.size_px, *values.shape[1:]))

    def at_texels(self, vertex_values: np.ndarray) -> np.ndarray:
        """The same as a list: (T,) or (T, C) float32 at the texels of `index`."""
        values = np.ascontiguousarray(vertex_values, dtype=np.float32)
        starts = np.arange(0, 3 * len(self.index) + 1, 3, dtype=np.int32)
        shape = (len(self.index), len(values))
        weights = sparse.csr_matrix((self.barycentric.reshape(-1), self.vertices.reshape(-1), starts), shape)
        return weights @ values

    def only(self, chosen: np.ndarray) -> TexelMap:
        """The map with the chosen texels (T,) bool alone, on the same grid."""
        return replace(
            self, index=self.index[chosen], triangle=self.triangle[chosen], vertices=self.vertices[chosen],
            barycentric=self.barycentric[chosen],
        )  # fmt: skip

    def vertex_means(
        self, texel_values: np.ndarray, texel_weights: np.ndarray, num_vertices: int, stride: int = 3
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gather texel values at the vertices of their triangles, as weighted means.

        Args:
            texel_values: (N, N, C).
            texel_weights: (N, N), 0 or more.
            num_vertices: V.
            stride: use every n-th texel only; neighbours say nearly the same.

        Returns:
            (V, C) means (0 without any texel) and (V,) mean weights, 0-1 for weights of 0-1.
        """
        used = slice(None, None, stride)
        index, corners = self.index[used], self.vertices[used].reshape(-1)
        share = np.maximum(self.barycentric[used], 0.0)
        weight = (share * texel_weights.reshape(-1)[index][:, None]).reshape(-1)
        total = np.bincount(corners, weight, num_vertices)
        values = texel_values.reshape(self.size_px**2, -1)[index]
        sums = [np.bincount(corners, weight * np.repeat(channel, 3), num_vertices) for channel in values.T]
        coverage = np.bincount(corners, share.reshape(-1), num_vertices)
        means = np.stack(sums, axis=1) / np.maximum(total, 1e-9)[:, None]
        return means.astype(np.float32), (total / np.maximum(coverage, 1e-9)).astype(np.float32)

    def mirrored(self, image: np.ndarray) -> np.ndarray:
        """What an image (N, N) or (N, N, C), at most 4 channels, shows at the same place of the other half."""
        # OpenCV counts from the first pixel's centre
        return cv2.remap(image, self.mirror_uv_px - 0.5, None, cv2.INTER_LINEAR)


_maps: dict[tuple[int, int], TexelMap] = {}


def texel_map(head: HeadModel, size_px: int) -> TexelMap:
    """Rasterise the head's UV layout; the result is kept as long as the head lives.

    Args:
        head: the head model.
        size_px: rows and columns of the grid.

    Returns:
        The map; islands are continued by a few texels along the planes of their border triangles.
    """
    key = (id(head), size_px)
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
    size_px = image.shape[0]
    gap = cv2.resize((texels.part < 0).astype(np.uint8), (size_px, size_px), interpolation=cv2.INTER_NEAREST)
    _, label = cv2.distanceTransformWithLabels(gap, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    source = np.zeros(label.max() + 1, dtype=np.int64)
    source[label[gap == 0]] = np.flatnonzero(gap == 0)
    result = image.copy()
    result[gap > 0] = image.reshape(size_px**2, -1)[source[label[gap > 0]]]
    return result


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
        size_px, index, triangle, triangles[triangle].astype(np.int32), barycentric, inside, part.reshape(grid),
        mirror.reshape(*grid, 2),
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
