"""Expressions to distil over: each ARKit shape alone, random combinations, and what faces make most.

The maps cannot play every expression well. Those that people make most weigh more than the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from addon.exchange.action_units import shapes_of_action_units
from addon.exchange.arkit import ARKIT_NAMES, NUM_ARKIT

NUM_COMBINATIONS = 40
# shapes in a combination, and their strength
SHAPES_PER_COMBINATION, STRENGTH = (2, 5), (0.3, 1.0)
# how often a combination has a sided shape on both sides, as spontaneous expressions mostly do
BOTH_SIDES = 0.7
# Whole expressions, as ARKit shapes.
COMMON_EXPRESSIONS: tuple[Mapping[str, float], ...] = (
    shapes_of_action_units({6: 1.0, 12: 1.0}),  # a smile with the eyes
    shapes_of_action_units({12: 1.0}),
    shapes_of_action_units({4: 1.0, 7: 0.4}),  # a frown
    shapes_of_action_units({1: 1.0, 2: 1.0}),
    shapes_of_action_units({1: 1.0}),
    shapes_of_action_units({7: 1.0}),
    shapes_of_action_units({9: 1.0, 10: 0.6}),  # disgust
    shapes_of_action_units({1: 0.8, 4: 0.4, 15: 0.7, 17: 0.25}),  # sadness
    shapes_of_action_units({1: 1.0, 2: 1.0, 5: 0.7, 26: 1.0}),  # surprise
    shapes_of_action_units({26: 1.0}),  # an open vowel
    {"mouthPucker": 0.75, "mouthFunnel": 0.2},  # a rounded vowel
)
COMMON_STRENGTHS = (0.5, 1.0)
# Of each of them against one of the others: a smile's fold beside the mouth comes out a tenth deeper than with 1, and
# the error over all does not rise; 30 brings little more.
COMMON_WEIGHT = 10.0


@dataclass(frozen=True)
class ExpressionSamples:
    """Expressions to distil over.

    Attributes:
        strengths: (B, 52) float32, 0-1, of the ARKit shapes in the order of ARKIT_NAMES.
        weight: (B,) float32, > 0, how much an error in each of them counts.
        growing: (K, 2) int64, pairs of an expression at a half and the same at 1.
    """

    strengths: torch.Tensor
    weight: torch.Tensor
    growing: torch.Tensor


def expression_samples(num_combinations: int = NUM_COMBINATIONS, seed: int = 0) -> ExpressionSamples:
    """Each shape alone, random combinations, and the common expressions at half and full strength, in this order.

    Args:
        num_combinations: how many random ones; seed: theirs.
    """
    others = torch.cat([torch.eye(NUM_ARKIT), _combinations(num_combinations, seed)])
    common = torch.stack([_strengths(shapes) for shapes in COMMON_EXPRESSIONS])
    common = torch.cat([strength * common for strength in COMMON_STRENGTHS])
    weight = torch.cat([torch.ones(len(others)), torch.full((len(common),), COMMON_WEIGHT)])
    halves = len(others) + torch.arange(len(COMMON_EXPRESSIONS))
    return ExpressionSamples(
        torch.cat([others, common]), weight, torch.stack([halves, halves + len(COMMON_EXPRESSIONS)], 1)
    )


def _strengths(shapes: Mapping[str, float]) -> torch.Tensor:
    """(52,) of the shapes in the order of ARKIT_NAMES."""
    return torch.tensor([shapes.get(name, 0.0) for name in ARKIT_NAMES])


def _combinations(num_combinations: int, seed: int) -> torch.Tensor:
    """(num_combinations, 52) sparse random strengths."""
    generator = torch.Generator().manual_seed(seed)
    combinations = torch.zeros(num_combinations, NUM_ARKIT)
    for strengths in combinations:
        low, high = SHAPES_PER_COMBINATION
        count = int(torch.randint(low, high + 1, (1,), generator=generator))
        chosen = torch.randperm(NUM_ARKIT, generator=generator)[:count].tolist()
        values = STRENGTH[0] + (STRENGTH[1] - STRENGTH[0]) * torch.rand(count, generator=generator)
        for shape, value, sided in zip(chosen, values, torch.rand(count, generator=generator), strict=True):
            strengths[shape] = value
            if sided < BOTH_SIDES:
                strengths[_other_side(shape)] = value
    return combinations


def _other_side(shape: int) -> int:
    """The same shape on the other side; itself where it has none."""
    name = ARKIT_NAMES[shape]
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side) and name[: -len(side)] + other in ARKIT_NAMES:
            return ARKIT_NAMES.index(name[: -len(side)] + other)
    return shape
