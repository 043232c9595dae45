"""What a differentiable picture of the head costs: visibility, a textured picture, its gradients; and by pytorch3d."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ml_backend.head.head_file import load_head
from ml_backend.rendering import spherical_harmonics
from ml_backend.rendering.mesh_renderer import MeshLayout, MeshRenderer
from ml_backend.rendering.rasterizer import LIKENESS, PYTORCH3D, rasterize

SIZES_PX = (224, 256, 512)
BATCHES = (1, 8)
TEXTURE_PX = 256
# the head's height in pictures' heights: covers about 60% of the pixels
HEAD_SIDE = 1.25
# each thing is timed so long and so often at least: a short run on a busy machine finds no undisturbed one
MIN_SECONDS = 1.0
MIN_RUNS = 5

HEADER = (
    "pixels", "batch", "covered", "visibility and barycentrics, ms", "picture, forward, ms", "backward, ms",
    "pytorch3d: visibility, ms", "forward and backward, ms", "times as long",
)  # fmt: skip


@dataclass(frozen=True)
class RenderingCost:
    """Milliseconds of a batch of pictures of the open head, the least of several runs.

    Attributes:
        size_px, batch: of the pictures; covered: share of the pixels that see the head, 0-1.
        visibility_ms: visibility and barycentrics; forward_ms: a textured and shaded picture, these included;
            backward_ms: gradients to vertices, texture and light.
        pytorch3d_visibility_ms, pytorch3d_picture_ms: visibility, and forward with backward, by it; None where it
            is not installed.
    """

    size_px: int
    batch: int
    covered: float
    visibility_ms: float
    forward_ms: float
    backward_ms: float
    pytorch3d_visibility_ms: float | None = None
    pytorch3d_picture_ms: float | None = None

    def row(self) -> list[str]:
        """The cells of a table with HEADER."""
        own = [self.visibility_ms, self.forward_ms, self.backward_ms]
        cells = [str(self.size_px), str(self.batch), f"{self.covered:.0%}", *(f"{value:.1f}" for value in own)]
        if self.pytorch3d_visibility_ms is None:
            return [*cells, "not installed", "", ""]
        ratio = self.pytorch3d_picture_ms / (self.forward_ms + self.backward_ms)
        theirs = (self.pytorch3d_visibility_ms, self.pytorch3d_picture_ms)
        return [*cells, *(f"{value:.0f}" for value in theirs), f"{ratio:.0f}"]


def rendering_costs(
    sizes_px: tuple[int, ...] = SIZES_PX, batches: tuple[int, ...] = BATCHES, device: str = "cpu"
) -> list[RenderingCost]:
    """Measure the renderer on the open head.

    Args:
        sizes_px: sides of the square pictures; batches: pictures at once.
        device: torch's name of it.

    Returns:
        A cost for each size and batch. Where pytorch3d is installed, it is run once for each: on a processor it takes
        minutes in all.
    """
    return [_cost(size, batch, torch.device(device)) for size in sizes_px for batch in batches]


def _cost(size_px: int, batch: int, device: torch.device) -> RenderingCost:
    layout, posed, projected = _scene(size_px, batch, device)
    covered = rasterize(projected, layout.triangles, size_px, size_px).triangle.ge(0).float().mean().item()
    visibility = _least_ms(lambda: _visibility_ms(LIKENESS, layout, projected, size_px))
    passes = [_picture_ms(LIKENESS, layout, posed, projected, size_px) for _ in range(2)]
    begun = time.perf_counter()
    while len(passes) < MIN_RUNS or time.perf_counter() - begun < MIN_SECONDS:
        passes.append(_picture_ms(LIKENESS, layout, posed, projected, size_px))
    forward, backward = min(passes, key=sum)
    if importlib.util.find_spec(PYTORCH3D) is None:
        return RenderingCost(size_px, batch, covered, visibility, forward, backward)
    return RenderingCost(
        size_px, batch, covered, visibility, forward, backward,
        _visibility_ms(PYTORCH3D, layout, projected, size_px),
        sum(_picture_ms(PYTORCH3D, layout, posed, projected, size_px)),
    )  # fmt: skip


def _scene(size_px: int, batch: int, device: torch.device) -> tuple[MeshLayout, torch.Tensor, torch.Tensor]:
    """The head, from the front: layout, posed and projected vertices."""
    head = load_head()
    points = head.skinned.template
    low, high = points.amin(0), points.amax(0)
    scale = HEAD_SIDE * size_px / (high - low)[:2].max()
    image = (points - (low + high) / 2) * torch.tensor([1.0, -1.0, -1.0])
    image = torch.cat([image[:, :2] * scale + size_px / 2, image[:, 2:]], 1)
    posed, projected = (values.to(device).expand(batch, -1, -1).contiguous() for values in (points, image))
    return MeshLayout.of_head(head).to(device), posed, projected


def _visibility_ms(backend: str, layout: MeshLayout, projected: torch.Tensor, size_px: int) -> float:
    return _elapsed_ms(
        lambda: rasterize(projected, layout.triangles, size_px, size_px, backend).barycentric, projected.device
    )


def _picture_ms(
    backend: str, layout: MeshLayout, posed: torch.Tensor, projected: torch.Tensor, size_px: int
) -> tuple[float, float]:
    """Forward and backward of one batch."""
    texture = torch.rand(TEXTURE_PX, TEXTURE_PX, 3, device=posed.device)
    light = spherical_harmonics.ambient_light().to(posed.device)
    leaves = [values.clone().requires_grad_() for values in (posed, projected, texture, light)]
    renderer = MeshRenderer(layout, size_px, size_px, backend)
    made = []
    forward = _elapsed_ms(lambda: made.append(renderer.render(*leaves).colour), posed.device)
    error = (made[0] - 0.5).square().sum()
    return forward, _elapsed_ms(error.backward, posed.device)


def _least_ms(measure: Callable[[], float]) -> float:
    # the first run warms
    measure()
    values, begun = [], time.perf_counter()
    while len(values) < MIN_RUNS or time.perf_counter() - begun < MIN_SECONDS:
        values.append(measure())
    return min(values)


def _elapsed_ms(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return 1000 * (time.perf_counter() - begun)
