"""Which triangle each pixel sees, and where on it: visibility without gradients, barycentrics with them.

Pixel (row i, column j) has its centre at (j + 0.5, i + 0.5). A triangle covers the centres strictly inside of it,
whichever way round it is. Smaller depth wins; depths that are equal in float32 go to the lower triangle. The gradient
is that of barycentrics in x and y alone: none at silhouettes.

Visibility in three steps, a whole batch at once: triangles become pixel rows, rows become pixels, and a scatter keeps
the least of (depth, triangle) packed into one integer. Nothing depends on the order in which threads write.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from addon.exchange.errors import LikenessError

# the renderer's own back end, and pytorch3d's where it is installed
LIKENESS = "likeness"
PYTORCH3D = "pytorch3d"
BACKENDS = (LIKENESS, PYTORCH3D)

# triangles flatter than this (twice the area, px^2) cover nothing, as in pytorch3d
MIN_DOUBLE_AREA = 1e-8
# so many rounding steps of the products that make the area must show in it: barycentrics of less would be noise
# (at 64 they stay within -0.05 to 1.05, test_slivers_have_sound_barycentrics)
ROUNDING_STEPS = 64
# edges with less rise (px) bound no row: their inverse slope would be of no use
MIN_RISE = 1e-12
# pixels in the boxes of the triangles treated at once: bounds the memory (about 60 bytes a pixel at worst)
PAIRS_PER_CHUNK = 4_000_000
# the same on the processor, where arrays that fit the cache are faster (eight heads at 256 px: 0.65 of the time)
CPU_PAIRS_PER_CHUNK = 500_000
# a pixel without a triangle; greater than every packed (depth, triangle)
_NOTHING = 2**63 - 1


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees.

    Attributes:
        triangle: (B,H,W) int64, -1 for the background.
        covered: (P,) int64, flat positions in B*H*W of the pixels that see a triangle.
        weights: (3,P) barycentrics of these, in screen space.
    """

    triangle: torch.Tensor
    covered: torch.Tensor
    weights: torch.Tensor

    @cached_property
    def barycentric(self) -> torch.Tensor:
        """(B,H,W,3), zero on the background."""
        return self._spread(self.weights).reshape(3, *self.triangle.shape).movedim(0, -1).contiguous()

    def interpolate(self, corner_values: torch.Tensor) -> torch.Tensor:
        """Interpolate values given at triangle corners.

        Args:
            corner_values: (F,3,C) or (B,F,3,C).

        Returns:
            (B,H,W,C), zero on the background.
        """
        return self.interpolate_planes(corner_values).movedim(0, -1).contiguous()

    def interpolate_planes(self, corner_values: torch.Tensor) -> torch.Tensor:
        """The same as (C,B,H,W), contiguous: work on whole channels is faster so."""
        num_triangles, _, channels = corner_values.shape[-3:]
        number = self.triangle.reshape(-1).index_select(0, self.covered)
        if corner_values.dim() == 4:
            number = number + self.covered // self.triangle[0].numel() * num_triangles
        # turned before it is looked up: there are fewer triangles than pixels
        planes = corner_values.reshape(-1, 3 * channels).t().contiguous().index_select(1, number)
        # unpacked, not indexed: one pass backward in place of one for each
        first, second, third = planes.reshape(3, channels, -1)
        of_first, of_second, of_third = self.weights
        values = of_first * first + of_second * second + of_third * third
        return self._spread(values).reshape(channels, *self.triangle.shape)

    def _spread(self, values: torch.Tensor) -> torch.Tensor:
        """Values (C,P) of the covered pixels as (C,B*H*W) of all."""
        return values.new_zeros(len(values), self.triangle.numel()).index_copy(1, self.covered, values)


def rasterize(
    vertices_px: torch.Tensor, triangles: torch.Tensor, height: int, width: int, backend: str = LIKENESS
) -> Fragments:
    """Rasterise a batch of meshes of one topology.

    Args:
        vertices_px: (B,V,3) x right, y down in pixels, depth. Gradients flow to x and y through the barycentrics.
        triangles: (F,3).
        backend: one of BACKENDS.

    Returns:
        Fragments of (B,height,width).

    Raises:
        LikenessError: the back end is unknown or not installed.
    """
    if backend not in BACKENDS:
        raise LikenessError("renderer_unknown", f"There is no renderer {backend!r}.", f"Use one of {BACKENDS}.")
    if backend == PYTORCH3D:
        # here, because that module makes the Fragments of this one
        from ml_backend.rendering.pytorch3d_backend import rasterize_by_pytorch3d

        return rasterize_by_pytorch3d(vertices_px, triangles, height, width)
    num_triangles = len(triangles)
    corners = corner_values(vertices_px, triangles)
    with torch.no_grad():
        visible = _visible_triangles(corners.detach(), height, width)
        covered = (visible.reshape(-1) >= 0).nonzero()[:, 0]
        stacked_row = covered // width
        item = stacked_row // height
        x = (covered - stacked_row * width).to(vertices_px.dtype) + 0.5
        y = (stacked_row - item * height).to(vertices_px.dtype) + 0.5
        number = item * num_triangles + visible.reshape(-1).index_select(0, covered)
    planes = corners[..., :2].permute(2, 3, 0, 1).reshape(6, -1)
    return Fragments(visible, covered, _barycentric(planes.index_select(1, number), x, y))


def corner_values(vertex_values: torch.Tensor, triangles: torch.Tensor) -> torch.Tensor:
    """Values of vertices (B,V,C) at the corners of triangles (F,3): (B,F,3,C), for `Fragments.interpolate`."""
    batch, num_vertices, channels = vertex_values.shape
    first = num_vertices * torch.arange(batch, device=triangles.device)
    # one list of rows: the backward pass over a second dimension is several times slower
    number = (first[:, None] + triangles.reshape(-1)).reshape(-1)
    return vertex_values.reshape(-1, channels).index_select(0, number).reshape(batch, len(triangles), 3, channels)


def _barycentric(corners: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Barycentrics (3,P) of points (P,) in triangles given by their corners (6,P), x and y in turn."""
    ax, ay, bx, by, cx, cy = corners
    # relative to a corner: small numbers, so that nothing is lost in the products
    bx, by, cx, cy, x, y = bx - ax, by - ay, cx - ax, cy - ay, x - ax, y - ay
    double_area = bx * cy - by * cx
    second = (x * cy - y * cx) / double_area
    third = (bx * y - by * x) / double_area
    return torch.stack([1 - second - third, second, third])


def _visible_triangles(corners: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B,height,width) index of the nearest triangle, -1 where there is none, for corners (B,F,3,3)."""
    batch, num_triangles = corners.shape[:2]
    nearest = torch.full((batch * height * width,), _NOTHING, dtype=torch.long, device=corners.device)
    planes = _plan(corners.reshape(-1, 3, 3), height, width)
    triangle_of = torch.arange(num_triangles, device=corners.device).repeat(batch)
    first_pixel_of = (torch.arange(batch, device=corners.device) * height * width).repeat_interleave(num_triangles)
    for chosen in _chunks(planes):
        rows = _covered_rows(planes, chosen, width)
        first_pixel = first_pixel_of.index_select(0, rows.triangle) + rows.first_pixel
        pixel, packed = _covered_pixels(rows, first_pixel, triangle_of.index_select(0, rows.triangle))
        nearest.scatter_reduce_(0, pixel, packed, "amin")
    return torch.where(nearest == _NOTHING, -1, nearest & 0xFFFFFFFF).reshape(batch, height, width)


@dataclass(frozen=True)
class _Planes:
    """Triangles as inequalities of pixel row and column, and their depth as a plane over them.

    A centre in row r and column c is inside when c lies strictly between the greatest of left_base + r left_slope and
    the least of right_base + r right_slope.

    Attributes:
        left_base, left_slope, right_base, right_slope: (3,T), an edge each; -inf and inf where it is no such bound.
        depth, depth_by_column, depth_by_row: (T,) at the first pixel's centre, and slopes.
        nearest, farthest: (T,) depth of the corners.
        first_row, row_count: (T,) int64, rows in the image (none of a triangle that covers nothing).
        pairs: (T,) int64, pixels in its box.
    """

    left_base: torch.Tensor
    left_slope: torch.Tensor
    right_base: torch.Tensor
    right_slope: torch.Tensor
    depth: torch.Tensor
    depth_by_column: torch.Tensor
    depth_by_row: torch.Tensor
    nearest: torch.Tensor
    farthest: torch.Tensor
    first_row: torch.Tensor
    row_count: torch.Tensor
    pairs: torch.Tensor


def _plan(corners: torch.Tensor, height: int, width: int) -> _Planes:
    """Prepare triangles (T,3,3)."""
    # (corner, coordinate, T): contiguous in T. Pixel centres at whole numbers from here on.
    points = corners.permute(1, 2, 0) - corners.new_tensor([0.5, 0.5, 0.0])[:, None]
    points = points.contiguous()
    low = torch.minimum(torch.minimum(points[0], points[1]), points[2])
    high = torch.maximum(torch.maximum(points[0], points[1]), points[2])
    first_row, last_row = (low[1].floor() + 1).clamp(min=0), (high[1].ceil() - 1).clamp(max=height - 1)
    first_column, last_column = (low[0].floor() + 1).clamp(min=0), (high[0].ceil() - 1).clamp(max=width - 1)
    following = points.roll(-1, 0)
    dx, dy, dz = (following - points).unbind(1)
    x, y, z = points.unbind(1)
    one, other = dx[0] * dy[1], dy[0] * dx[1]
    double_area = one - other
    rounding = ROUNDING_STEPS * torch.finfo(corners.dtype).eps * (one.abs() + other.abs())
    usable = double_area.abs() > rounding.clamp(min=MIN_DOUBLE_AREA)
    usable &= (double_area + high[2] - low[2]).isfinite()
    usable &= (first_row <= last_row) & (first_column <= last_column)

    slope = dx / dy
    # from the upper end whichever way an edge is walked: triangles that share it find the same crossing to the bit
    downwards = dy > 0
    base = torch.where(downwards, x, following[:, 0]) - torch.where(downwards, y, following[:, 1]) * slope
    turn = torch.where(dy.abs() < MIN_RISE, 0, dy * double_area)
    left, right = turn < 0, turn > 0
    by_column = (dz[0] * dy[1] - dz[1] * dy[0]) / double_area
    by_row = (dx[0] * dz[1] - dx[1] * dz[0]) / double_area
    row_count = torch.where(usable, last_row - first_row + 1, 0).long()
    return _Planes(
        torch.where(left, base, -torch.inf), torch.where(left, slope, 0),
        torch.where(right, base, torch.inf), torch.where(right, slope, 0),
        z[0] - x[0] * by_column - y[0] * by_row, by_column, by_row, low[2], high[2],
        first_row.long(), row_count, torch.where(usable, last_column - first_column + 1, 0).long() * row_count,
    )  # fmt: skip


def _chunks(planes: _Planes) -> list[torch.Tensor]:
    """Split the triangles that may cover something so that the boxes of each part hold a bounded number of pixels."""
    order = planes.pairs.nonzero()[:, 0]
    limit = PAIRS_PER_CHUNK if order.is_cuda else min(PAIRS_PER_CHUNK, CPU_PAIRS_PER_CHUNK)
    if len(order) == 0:
        return []
    part = planes.pairs[order].cumsum(0) // limit
    return list(order.split(torch.unique_consecutive(part, return_counts=True)[1].tolist()))


@dataclass(frozen=True)
class _Rows:
    """The rows of pixels that triangles cover, each (R,).

    Attributes:
        triangle, count: int64; first_pixel: int64, flat in the image.
        depth, depth_step: at the first pixel, and from one to the next.
    """

    triangle: torch.Tensor
    first_pixel: torch.Tensor
    count: torch.Tensor
    depth: torch.Tensor
    depth_step: torch.Tensor


def _covered_rows(planes: _Planes, chosen: torch.Tensor, width: int) -> _Rows:
    """Rows of the chosen triangles (int64 indices)."""
    number, within = _expand(planes.row_count.index_select(0, chosen))
    triangle = chosen.index_select(0, number)
    row = planes.first_row.index_select(0, triangle) + within
    height = row.to(planes.depth.dtype)

    def at(values: torch.Tensor) -> torch.Tensor:
        return values.index_select(0, triangle)

    edges = range(3)
    left = [torch.addcmul(at(planes.left_base[edge]), at(planes.left_slope[edge]), height) for edge in edges]
    right = [torch.addcmul(at(planes.right_base[edge]), at(planes.right_slope[edge]), height) for edge in edges]
    first = (torch.maximum(torch.maximum(left[0], left[1]), left[2]).floor() + 1).clamp(min=0)
    last = (torch.minimum(torch.minimum(right[0], right[1]), right[2]).ceil() - 1).clamp(max=width - 1)
    # a depth beyond the corners' is rounding, in triangles seen from the edge
    by_column, nearest, farthest = at(planes.depth_by_column), at(planes.nearest), at(planes.farthest)
    depth = torch.addcmul(at(planes.depth), at(planes.depth_by_row), height)
    depth_first = torch.addcmul(depth, by_column, first).maximum(nearest).minimum(farthest)
    depth_last = torch.addcmul(depth, by_column, last).maximum(nearest).minimum(farthest)
    step = (depth_last - depth_first) / (last - first).clamp(min=1)
    count = (last - first + 1).clamp(min=0).long()
    return _Rows(triangle, row * width + first.clamp(max=width).long(), count, depth_first, step)


def _covered_pixels(
    rows: _Rows, first_pixel: torch.Tensor, triangle: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat pixel and packed (depth, triangle) of all pixels of rows (R) that begin at `first_pixel`."""
    number, within = _expand(rows.count)
    depth = torch.addcmul(rows.depth.index_select(0, number), rows.depth_step.index_select(0, number), within)
    bits = depth.float().view(torch.int32)
    # IEEE floats sort like integers once the magnitude of the negative ones is turned round
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    packed = (ordered.long() << 32) | triangle.index_select(0, number)
    return first_pixel.index_select(0, number) + within, packed


def _expand(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Element n repeated counts[n] times: which element each copy is of, and its place among that element's copies."""
    total = int(counts.sum())
    number = torch.repeat_interleave(counts, output_size=total)
    start = counts.cumsum(0) - counts
    return number, torch.arange(total, device=counts.device) - start.index_select(0, number)
