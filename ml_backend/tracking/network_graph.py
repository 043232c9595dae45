"""Runs a converted network: a list of named steps over tensors, in torch.

Images are (N,C,H,W) inside; tensors of other ranks keep the order of the source file. The steps and their arguments are
written by `assets/recipes/tracker.py`; this file is their meaning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

Tensor = torch.Tensor


class NetworkGraph:
    """A network that was read from the tracker asset.

    Args:
        description: {"input": name, "outputs": [names], "steps": [{"op", "inputs", "output", and the op's arguments}]}.
        weights: the arrays that the steps name; float32.
    """

    def __init__(self, description: dict[str, Any], weights: dict[str, Tensor]) -> None:
        self._input = description["input"]
        self._outputs = description["outputs"]
        self._weights = weights
        self._steps = [
            (
                _OPERATIONS[step["op"]],
                step["inputs"],
                step["output"],
                {name: value for name, value in step.items() if name not in ("op", "inputs", "output")},
            )
            for step in description["steps"]
        ]
        self._last_use = {name: row for row, (_, inputs, _, _) in enumerate(self._steps) for name in inputs}

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Run the network.

        Args:
            images: (N,3,H,W) float32 of the network's size and range.

        Returns:
            Its outputs by name; rank-4 outputs as (N,C,H,W).
        """
        values = {self._input: images}
        for row, (operation, inputs, output, arguments) in enumerate(self._steps):
            operands = [values[name] if name in values else self._weights[name] for name in inputs]
            values[output] = operation(*operands, **arguments)
            for name in inputs:
                if self._last_use[name] == row and name not in self._outputs:
                    values.pop(name, None)
        return {name: values[name] for name in self._outputs}


def _pad(image: Tensor, *, padding: list[int], value: float = 0.0) -> Tensor:
    """`padding`: before and after, last dimension first, as torch counts."""
    return functional.pad(image, padding, value=value)


def _convolution(
    image: Tensor, weight: Tensor, bias: Tensor, *, stride: int, padding: list[int], groups: int, relu: bool
) -> Tensor:
    """`padding`: left, right, top, bottom; TFLite's SAME padding at stride 2 is not symmetric."""
    left, right, top, bottom = padding
    symmetric = left == right and top == bottom
    if not symmetric:
        image = functional.pad(image, padding)
    own_padding = (top, left) if symmetric else 0
    result = functional.conv2d(image, weight, bias, stride=stride, padding=own_padding, groups=groups)
    return result.relu_() if relu else result


def _max_pool(image: Tensor, *, size: int, stride: int, padding: list[int]) -> Tensor:
    # the border must never win, hence minus infinity
    padded = functional.pad(image, padding, value=-math.inf) if any(padding) else image
    return functional.max_pool2d(padded, size, stride)


def _add(left: Tensor, right: Tensor, *, relu: bool) -> Tensor:
    result = left + right
    return result.relu_() if relu else result


def _relu(image: Tensor) -> Tensor:
    return image.relu()


def _prelu(image: Tensor, slope: Tensor) -> Tensor:
    return functional.prelu(image, slope)


def _scale(values: Tensor, *, factor: float) -> Tensor:
    return values * factor


def _resize_bilinear(image: Tensor, *, size: list[int]) -> Tensor:
    return functional.interpolate(image, size=size, mode="bilinear", align_corners=False)


def _depth_to_space(image: Tensor, *, block: int) -> Tensor:
    """TFLite's order of channels: block row, block column, channel (torch's pixel_shuffle has the channel first)."""
    count, depth, height, width = image.shape
    channels = depth // block**2
    blocks = image.view(count, block, block, channels, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(count, channels, height * block, width * block)


def _reshape(values: Tensor, *, shape: list[int]) -> Tensor:
    """`shape`: without the batch, channels last, as the source file counts."""
    if values.ndim == 4:
        values = values.permute(0, 2, 3, 1)
    values = values.reshape(len(values), *shape)
    return values.permute(0, 3, 1, 2) if values.ndim == 4 else values


def _concatenate(*parts: Tensor, axis: int) -> Tensor:
    return torch.cat(parts, dim=axis)


def _region_transform(
    landmarks: Tensor,
    *,
    start: int,
    end: int,
    members: list[int],
    scale: list[float],
    size: list[int],
    target_angle: float,
) -> Tensor:
    """Where a region of the face lies: the turned box around some landmarks.

    Args:
        landmarks: (N,L,3); x, y in pixels of the feature map.
        start, end: the landmarks whose connection, turned to `target_angle`, is the box's horizontal.
        members: the landmarks inside.
        scale: how much wider and higher than the members the box is.
        size: width and height of the region's own grid.

    Returns:
        (N,2,3): feature-map position = matrix @ (region x, region y, 1).
    """
    points = landmarks[..., :2]
    direction = points[:, end] - points[:, start]
    angle = target_angle - torch.atan2(direction[:, 1], direction[:, 0])
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([cos, -sin, sin, cos], dim=-1).view(-1, 2, 2)
    turned = points[:, members] @ turn.mT
    low, high = turned.amin(1), turned.amax(1)
    grid = torch.tensor(size, dtype=points.dtype, device=points.device)
    extent = (high - low) * torch.tensor(scale, dtype=points.dtype, device=points.device)
    linear = turn.mT * (extent / grid)[:, None]
    centre = turn.mT @ ((low + high) / 2)[..., None]
    return torch.cat([linear, centre - linear @ (grid / 2)[:, None]], dim=-1)


def _sample_region(image: Tensor, transform: Tensor, *, size: list[int]) -> Tensor:
    """Read a region from a feature map; (N,2,3) as `_region_transform` gives it, `size` width and height.

    Pixel centres lie at +0.5. A sample beyond the centres of the outermost pixels is zero, not a blend with zero.
    """
    width, height = size
    columns = torch.arange(width, dtype=image.dtype, device=image.device) + 0.5
    rows = torch.arange(height, dtype=image.dtype, device=image.device) + 0.5
    x, y = columns.expand(height, -1), rows[:, None].expand(-1, width)
    grid = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    position = grid.view(1, -1, 3) @ transform.mT
    extent = position.new_tensor([image.shape[3], image.shape[2]])
    inside = ((position >= 0.5) & (position <= extent - 0.5)).all(-1).view(-1, 1, height, width)
    normalised = (2 * position / extent - 1).view(-1, height, width, 2)
    return functional.grid_sample(image, normalised, align_corners=False, padding_mode="border") * inside


def _scale_offset(transform: Tensor, *, factor: float) -> Tensor:
    """The same transform between grids that are both `factor` times finer; (N,2,3)."""
    return torch.cat([transform[..., :2], transform[..., 2:] * factor], dim=-1)


def _transform_landmarks(landmarks: Tensor, transform: Tensor) -> Tensor:
    """(N,L,2) points of a region's grid to the feature map; transform (N,2,3)."""
    return landmarks @ transform[..., :2].mT + transform[:, None, :, 2]


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "pad": _pad,
    "convolution": _convolution,
    "max_pool": _max_pool,
    "add": _add,
    "relu": _relu,
    "prelu": _prelu,
    "scale": _scale,
    "resize_bilinear": _resize_bilinear,
    "depth_to_space": _depth_to_space,
    "reshape": _reshape,
    "concatenate": _concatenate,
    "region_transform": _region_transform,
    "sample_region": _sample_region,
    "scale_offset": _scale_offset,
    "transform_landmarks": _transform_landmarks,
}
