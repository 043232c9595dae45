"""Which triangle each pixel sees, and where on it: visibility without gradients, barycentrics with them.

Pixel (row i, column j) has its centre at (j + 0.5, i + 0.5). Smaller depth wins; equal depths go to the lower triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

# triangles flatter than this (twice the area, px^2) cover nothing, as in pytorch3d
MIN_DOUBLE_AREA = 1e-8
# pixel-triangle pairs tested at once: bounds the memory (about 60 bytes a pair)
PAIRS_PER_CHUNK = 4_000_000


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees.

    Attributes:
        triangle: (B,H,W) int64, -1 for the background.
        barycentric: (B,H,W,3), in screen space; zero on the background.
    """

    triangle: torch.Tensor
    barycentric: torch.Tensor

    def interpolate(self, corner_values: torch.Tensor) -> torch.Tensor:
        """Interpolate values given at triangle corners.

        Args:
            corner_values: (F,3,C) or (B,F,3,C).

        Returns:
            (B,H,W,C), zero on the background.
        """
        triangle = self.triangle.clamp(min=0)
        if corner_values.dim() == 3:
            corners = corner_values[triangle]
        else:
            batch = torch.arange(triangle.shape[0], device=triangle.device)[:, None, None]
            corners = corner_values[batch, triangle]
        return (corners * self.barycentric[..., None]).sum(-2) * (self.triangle >= 0)[..., None]


def rasterize(vertices_px: torch.Tensor, triangles: torch.Tensor, height: int, width: int) -> Fragments:
    """Rasterise a batch of meshes of one topology.

    Args:
        vertices_px: (B,V,3) x right, y down in pixels, depth. Gradients flow to x and y through the barycentrics.
        triangles: (F,3).

    Returns:
        Fragments of (B,height,width).
    """
    with torch.no_grad():
        visible = torch.stack([_visible_triangle(item[triangles], height, width) for item in vertices_px])
    batch = torch.arange(len(vertices_px), device=triangles.device)[:, None, None]
    corners = vertices_px[batch[..., None], triangles[visible.clamp(min=0)]]
    rows = torch.arange(height, device=triangles.device, dtype=vertices_px.dtype) + 0.5
    columns = torch.arange(width, device=triangles.device, dtype=vertices_px.dtype) + 0.5
    weights = _barycentric(corners[..., :2].unbind(-2), columns[None, None, :], rows[None, :, None])
    return Fragments(visible, torch.where((visible >= 0)[..., None], weights, torch.zeros_like(weights)))


def _barycentric(corners: tuple[torch.Tensor, ...], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Barycentrics (..., 3) of points in triangles given by three (..., 2) corners."""
    (ax, ay), (bx, by), (cx, cy) = (corner.unbind(-1) for corner in corners)
    double_area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    safe = torch.where(double_area.abs() <= MIN_DOUBLE_AREA, torch.ones_like(double_area), double_area)
    first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / safe
    second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / safe
    return torch.stack([first, second, 1 - first - second], -1)


def _visible_triangle(corners: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(height,width) index of the nearest triangle, -1 where there is none, for corners (F,3,3)."""
    low = (corners[..., :2].amin(1) - 0.5).ceil()
    high = (corners[..., :2].amax(1) - 0.5).floor()
    limit = low.new_tensor([width - 1, height - 1])
    low = low.clamp(min=0).minimum(limit + 1).long()
    high = high.clamp(min=-1).minimum(limit).long()
    size = (high - low + 1).clamp(min=0)
    count = size[:, 0] * size[:, 1]
    edge_1, edge_2 = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    flat = (edge_1[:, 0] * edge_2[:, 1] - edge_1[:, 1] * edge_2[:, 0]).abs() <= MIN_DOUBLE_AREA
    count = torch.where(flat | ~corners.isfinite().all(-1).all(-1), torch.zeros_like(count), count)

    depth_buffer = corners.new_full((height * width,), float("inf"))
    candidates = []
    order = count.nonzero()[:, 0]
    for chunk in _chunks(order, count[order]):
        pixel, triangle, depth = _covered_pixels(corners, chunk, low, size, count, width)
        depth_buffer.scatter_reduce_(0, pixel, depth, "amin")
        candidates.append((pixel, triangle, depth))
    none = corners.shape[0]
    index_buffer = torch.full((height * width,), none, dtype=torch.long, device=corners.device)
    for pixel, triangle, depth in candidates:
        wins = depth == depth_buffer[pixel]
        index_buffer.scatter_reduce_(0, pixel[wins], triangle[wins], "amin")
    return torch.where(index_buffer == none, -1, index_buffer).reshape(height, width)


def _chunks(order: torch.Tensor, count: torch.Tensor) -> list[torch.Tensor]:
    """Split triangles so that each chunk tests about PAIRS_PER_CHUNK pixels."""
    if len(order) == 0:
        return []
    chunk = count.cumsum(0) // PAIRS_PER_CHUNK
    return list(order.split(torch.unique_consecutive(chunk, return_counts=True)[1].tolist()))


def _covered_pixels(
    corners: torch.Tensor, chunk: torch.Tensor, low: torch.Tensor, size: torch.Tensor, count: torch.Tensor, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixel, triangle and depth of every (pixel, triangle) pair that overlaps, for the triangles of a chunk."""
    repeats = count[chunk]
    triangle = torch.repeat_interleave(chunk, repeats)
    start = torch.repeat_interleave(repeats.cumsum(0) - repeats, repeats)
    within = torch.arange(len(triangle), device=chunk.device) - start
    column_count = size[triangle, 0]
    column = low[triangle, 0] + within % column_count
    row = low[triangle, 1] + within // column_count
    face = corners[triangle]
    weights = _barycentric(face[..., :2].unbind(-2), column.to(face.dtype) + 0.5, row.to(face.dtype) + 0.5)
    inside = (weights > 0).all(-1)
    depth = (weights[inside] * face[inside, :, 2]).sum(-1)
    return (row * width + column)[inside], triangle[inside], depth
