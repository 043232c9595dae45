"""The blend of the three displacement maps by tension, as nodes that mean the same in geometry and in shading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy

from ..scene.shader_nodes import socket
from .group_builder import GroupBuilder

NEUTRAL_MIDLEVEL, NEUTRAL_SCALE = "Neutral Midlevel", "Neutral Scale (mm)"
WRINKLE_MIDLEVEL, WRINKLE_SCALE = "Wrinkle Midlevel", "Wrinkle Scale (mm)"
FULL_COMPRESSION, FULL_STRETCH = "Full Compression", "Full Stretch"


@dataclass(frozen=True)
class MapFigure:
    """A number that says how an avatar's maps are read; an input of both groups."""

    name: str
    default: float
    limits: tuple[float, float]
    text: str


_MIDLEVEL_TEXT = "The map's value that means no displacement"
_SCALE_TEXT = "Millimetres from the map's 0 to its 1"
_MIDLEVEL_LIMITS, _SCALE_LIMITS = (0.0, 1.0), (0.0, 100.0)
# never 0: the tension is divided by it
_FULL_LIMITS = (0.001, 1.0)
MAP_FIGURES = (
    MapFigure(NEUTRAL_MIDLEVEL, 0.5, _MIDLEVEL_LIMITS, _MIDLEVEL_TEXT),
    MapFigure(NEUTRAL_SCALE, 1.0, _SCALE_LIMITS, _SCALE_TEXT),
    MapFigure(WRINKLE_MIDLEVEL, 0.5, _MIDLEVEL_LIMITS, _MIDLEVEL_TEXT),
    MapFigure(WRINKLE_SCALE, 1.0, _SCALE_LIMITS, _SCALE_TEXT),
    MapFigure(FULL_COMPRESSION, 0.5, _FULL_LIMITS, "The tension at which the compressed map shows whole"),
    MapFigure(FULL_STRETCH, 0.5, _FULL_LIMITS, "The stretch at which the expanded map shows whole"),
)


@dataclass(frozen=True)
class ExactHeight:
    """What a frame's exact image adds to the blend.

    Attributes:
        height_mm: what it holds here, millimetres.
        weight: 1 takes it in place of the maps by tension, 0 leaves it out.
    """

    height_mm: bpy.types.NodeSocket
    weight: bpy.types.NodeSocket


def blend_heights(
    nodes: GroupBuilder,
    location: tuple[float, float],
    weights: bpy.types.NodeSocket,
    figures: bpy.types.Node,
    samples: Sequence[bpy.types.NodeSocket],
    exact: ExactHeight,
) -> bpy.types.NodeSocket:
    """Add the nodes of D = rest * N + wrinkles * (w_c (C - N) + w_e (E - N)), or rest * N + wrinkles * (X - N).

    Args:
        nodes: of the group.
        location: of the first node.
        weights: vector (rest, wrinkles, tension).
        figures: a Group Input node with MAP_FIGURES.
        samples: what the neutral, compressed and expanded maps hold here, 0-1.
        exact: the frame's own displacement X.

    Returns:
        The displacement in millimetres.
    """
    x, y = location
    parts = nodes.add("ShaderNodeSeparateXYZ", (x, y + 400))
    nodes.link_socket(weights, parts, "Vector")
    rest, wrinkles, tension = parts.outputs
    neutral = _millimetres(nodes, (x, y + 100), samples[0], figures, (NEUTRAL_MIDLEVEL, NEUTRAL_SCALE), "Neutral")
    heights = [
        _millimetres(nodes, (x, y - 250 - 350 * row), sample, figures, (WRINKLE_MIDLEVEL, WRINKLE_SCALE), name)
        for row, (sample, name) in enumerate(zip(samples[1:], ("Compressed", "Expanded"), strict=True))
    ]
    opposite = nodes.calculate("MULTIPLY", (x + 220, y + 400), tension, -1.0, label="Stretch")
    changes = []
    for row, (signed, full, height) in enumerate(
        zip((tension, opposite), (FULL_COMPRESSION, FULL_STRETCH), heights, strict=True)
    ):
        level = y - 250 - 350 * row
        weight = nodes.calculate(
            "DIVIDE", (x + 440, level + 180), signed, figures.outputs[full], label=full, clamp=True
        )
        change = nodes.calculate("SUBTRACT", (x + 440, level), height, neutral, label="Less neutral")
        changes.append(nodes.calculate("MULTIPLY", (x + 640, level), change, weight))
    played = nodes.calculate("ADD", (x + 820, y - 300), *changes, label="By tension")
    of_frame = nodes.calculate("SUBTRACT", (x + 640, y - 900), exact.height_mm, neutral, label="Exact less neutral")
    total = nodes.add("ShaderNodeMix", (x + 820, y - 500), "Exact or by tension")
    for name, value in (("Factor", exact.weight), ("A", played), ("B", of_frame)):
        nodes.link_socket(value, total, name)
    change = socket(total.outputs, "Result")
    dynamic = nodes.calculate("MULTIPLY", (x + 820, y - 100), change, wrinkles, label="Wrinkles")
    static = nodes.calculate("MULTIPLY", (x + 820, y + 100), neutral, rest, label="At rest")
    return nodes.calculate("ADD", (x + 1000, y), static, dynamic, label="Millimetres")


def _millimetres(
    nodes: GroupBuilder,
    location: tuple[float, float],
    sample: bpy.types.NodeSocket,
    figures: bpy.types.Node,
    names: tuple[str, str],
    label: str,
) -> bpy.types.NodeSocket:
    """(sample - midlevel) * scale."""
    midlevel, scale = names
    raised = nodes.calculate("SUBTRACT", location, sample, figures.outputs[midlevel], label=label)
    return nodes.calculate(
        "MULTIPLY", (location[0] + 220, location[1]), raised, figures.outputs[scale], label=f"{label}, mm"
    )
