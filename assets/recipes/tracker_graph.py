"""Turns a TFLite network into the steps that `ml_backend/tracking/network_graph.py` runs.

Shapes are fixed, so everything that TFLite decides at run time (asymmetric SAME padding, reshapes) is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from assets.recipes.tflite_file import Operation, StoredNetwork
from assets.recipes.tflite_flexbuffer import read_flexbuffer_map

_SAME = 0
_NO_ACTIVATION, _RELU = 0, 1
# steps that only pass a stored constant on
_CONSTANT_OPERATIONS = ("DEQUANTIZE", "DENSIFY")


class TrackerGraph:
    """Steps and weights of one network under conversion.

    Attributes:
        steps: as `NetworkGraph` takes them.
        weights: the arrays that the steps name, in torch's layouts and in the source's precision (half).
    """

    def __init__(self, network: StoredNetwork, outputs: dict[str, str]) -> None:
        """Convert.

        Args:
            network: the source.
            outputs: the source's names of the outputs -> ours.

        Raises:
            ValueError: the network does something that the steps cannot express.
        """
        self._network = network
        self._constants = {row: t.values for row, t in enumerate(network.tensors) if t.values is not None}
        self._names: dict[int, str] = {network.inputs[0]: "image"}
        self._names |= {row: outputs[network.tensors[row].name] for row in network.outputs}
        self.steps: list[dict[str, Any]] = []
        self.weights: dict[str, np.ndarray] = {}
        for operation in network.operations:
            self._convert(operation)

    def description(self) -> dict[str, Any]:
        """What `NetworkGraph` takes."""
        outputs = [self._names[row] for row in self._network.outputs]
        return {"input": "image", "outputs": outputs, "steps": self.steps}

    def _convert(self, operation: Operation) -> None:
        if operation.name in _CONSTANT_OPERATIONS:
            self._constants[operation.outputs[0]] = self._constants[operation.inputs[0]]
        elif operation.name in _CONVERTERS:
            _CONVERTERS[operation.name](self, operation)
        else:
            raise ValueError(f"There is no conversion for {operation.name}.")

    def shape(self, row: int) -> tuple[int, ...]:
        return self._network.tensors[row].shape

    def constant(self, row: int) -> np.ndarray:
        return self._constants[row]

    def name(self, row: int) -> str:
        return self._names.setdefault(row, f"t{row}")

    def add_step(self, kind: str, operation: Operation, inputs: list[str] | None = None, **arguments: Any) -> None:
        inputs = [self.name(row) for row in operation.inputs] if inputs is None else inputs
        self.steps.append({"op": kind, "inputs": inputs, "output": self.name(operation.outputs[0]), **arguments})

    def add_weight(self, row: int, values: np.ndarray) -> str:
        """Store an array once, however many steps use it; returns its name."""
        name = f"w{row}"
        self.weights[name] = np.ascontiguousarray(values.astype(np.float16))
        if not np.array_equal(self.weights[name].astype(values.dtype), values):
            raise ValueError("A weight does not fit half precision.")
        return name


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Before and after; the odd pixel goes after. Source: TFLite's definition of SAME."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _window_padding(graph: TrackerGraph, operation: Operation, kernel: tuple[int, int]) -> tuple[int, list[int]]:
    """Stride, and padding left, right, top, bottom."""
    stride = operation.options["stride_h"]
    if stride != operation.options["stride_w"]:
        raise ValueError("A step has different strides for rows and columns.")
    if operation.options["padding"] != _SAME:
        return stride, [0, 0, 0, 0]
    _, height, width, _ = graph.shape(operation.inputs[0])
    top, bottom = _same_padding(height, kernel[0], stride)
    left, right = _same_padding(width, kernel[1], stride)
    return stride, [left, right, top, bottom]


def _relu_fused(operation: Operation) -> bool:
    activation = operation.options["activation"]
    if activation not in (_NO_ACTIVATION, _RELU):
        raise ValueError(f"A step uses activation {activation}, which is not supported.")
    return activation == _RELU


def _convert_convolution(graph: TrackerGraph, operation: Operation) -> None:
    image, weight, bias = operation.inputs
    values = graph.constant(weight)
    depthwise = operation.name == "DEPTHWISE_CONV_2D"
    groups = values.shape[3] if depthwise else 1
    # source: (out, rows, columns, in), depthwise (1, rows, columns, channels); torch: (out, in / groups, rows, columns)
    arranged = values.transpose(3, 0, 1, 2) if depthwise else values.transpose(0, 3, 1, 2)
    stride, padding = _window_padding(graph, operation, arranged.shape[2:])
    inputs = [graph.name(image), graph.add_weight(weight, arranged), graph.add_weight(bias, graph.constant(bias))]
    graph.add_step(
        "convolution", operation, inputs, stride=stride, padding=padding, groups=groups, relu=_relu_fused(operation)
    )


def _convert_max_pool(graph: TrackerGraph, operation: Operation) -> None:
    size = operation.options["filter_h"]
    if size != operation.options["filter_w"] or _relu_fused(operation):
        raise ValueError("A pooling step is not square, or has an activation.")
    stride, padding = _window_padding(graph, operation, (size, size))
    graph.add_step("max_pool", operation, size=size, stride=stride, padding=padding)


def _convert_add(graph: TrackerGraph, operation: Operation) -> None:
    graph.add_step("add", operation, relu=_relu_fused(operation))


def _convert_relu(graph: TrackerGraph, operation: Operation) -> None:
    graph.add_step("relu", operation)


def _convert_prelu(graph: TrackerGraph, operation: Operation) -> None:
    image, slope = operation.inputs
    graph.add_step("prelu", operation, [graph.name(image), graph.add_weight(slope, graph.constant(slope).reshape(-1))])


def _convert_multiply(graph: TrackerGraph, operation: Operation) -> None:
    values, factor = operation.inputs
    factors = graph.constant(factor).astype(np.float64)
    if factors.size == 1:
        graph.add_step("scale", operation, [graph.name(values)], factor=float(factors.item()))
        return
    # a transform, rows x, y, z, 1: only the offset of x and y may change
    first_rows = factors.reshape(4, 4)[:2]
    offset_factor = first_rows[0, 3]
    if not np.array_equal(first_rows[:, [0, 1, 3]], [[1, 1, offset_factor]] * 2):
        raise ValueError("A transform is multiplied in a way that is not supported.")
    graph.add_step("scale_offset", operation, [graph.name(values)], factor=float(offset_factor))


def _convert_pad(graph: TrackerGraph, operation: Operation) -> None:
    image, amounts = operation.inputs
    (_, _), rows, columns, channels = graph.constant(amounts).tolist()
    padding = [*columns, *rows, *channels]
    graph.add_step("pad", operation, [graph.name(image)], padding=padding if any(channels) else padding[:4])


def _convert_resize(graph: TrackerGraph, operation: Operation) -> None:
    if operation.options["align_corners"] or not operation.options["half_pixel_centers"]:
        raise ValueError("A resize does not use pixel centres at half pixels.")
    size = graph.constant(operation.inputs[1]).tolist()
    graph.add_step("resize_bilinear", operation, [graph.name(operation.inputs[0])], size=size)


def _convert_depth_to_space(graph: TrackerGraph, operation: Operation) -> None:
    graph.add_step("depth_to_space", operation, block=operation.options["block_size"])


def _convert_reshape(graph: TrackerGraph, operation: Operation) -> None:
    shape = list(graph.shape(operation.outputs[0])[1:])
    graph.add_step("reshape", operation, [graph.name(operation.inputs[0])], shape=shape)


def _convert_concatenation(graph: TrackerGraph, operation: Operation) -> None:
    if len(graph.shape(operation.outputs[0])) != 3:
        raise ValueError("Only lists of values can be concatenated.")
    graph.add_step("concatenate", operation, axis=operation.options["axis"])


def _convert_slice(graph: TrackerGraph, operation: Operation) -> None:
    source, begin, _, strides = operation.inputs
    whole = graph.shape(source) == graph.shape(operation.outputs[0])
    if not whole or graph.constant(begin).any() or (graph.constant(strides) != 1).any():
        raise ValueError("Only a slice that keeps everything is supported.")
    graph.add_step("scale", operation, [graph.name(source)], factor=1.0)


def _convert_region_transform(graph: TrackerGraph, operation: Operation) -> None:
    options = read_flexbuffer_map(operation.custom_options)
    graph.add_step(
        "region_transform",
        operation,
        start=options["left_rotation_idx"],
        end=options["right_rotation_idx"],
        members=options["subset_idxs"],
        scale=[options["scale_x"], options["scale_y"]],
        size=[options["output_width"], options["output_height"]],
        target_angle=options["target_rotation_radians"],
    )


def _convert_region_sampling(graph: TrackerGraph, operation: Operation) -> None:
    options = read_flexbuffer_map(operation.custom_options)
    graph.add_step("sample_region", operation, size=[options["output_width"], options["output_height"]])


def _convert_landmark_transform(graph: TrackerGraph, operation: Operation) -> None:
    graph.add_step("transform_landmarks", operation)


_CONVERTERS: dict[str, Callable[[TrackerGraph, Operation], None]] = {
    "CONV_2D": _convert_convolution,
    "DEPTHWISE_CONV_2D": _convert_convolution,
    "MAX_POOL_2D": _convert_max_pool,
    "ADD": _convert_add,
    "RELU": _convert_relu,
    "PRELU": _convert_prelu,
    "MUL": _convert_multiply,
    "PAD": _convert_pad,
    "RESIZE_BILINEAR": _convert_resize,
    "DEPTH_TO_SPACE": _convert_depth_to_space,
    "RESHAPE": _convert_reshape,
    "CONCATENATION": _convert_concatenation,
    "STRIDED_SLICE": _convert_slice,
    "Landmarks2TransformMatrix": _convert_region_transform,
    "TransformTensorBilinear": _convert_region_sampling,
    "TransformLandmarks": _convert_landmark_transform,
}
