"""Expressions to distil over: each ARKit shape alone, and random combinations such as faces make."""

from __future__ import annotations

import torch

from addon.exchange.arkit import ARKIT_NAMES, NUM_ARKIT

NUM_COMBINATIONS = 40
# shapes in a combination, and their strength
SHAPES_PER_COMBINATION, STRENGTH = (2, 5), (0.3, 1.0)
# how often a combination has a sided shape on both sides, as spontaneous expressions mostly do
BOTH_SIDES = 0.7


def expression_samples(num_combinations: int = NUM_COMBINATIONS, seed: int = 0) -> torch.Tensor:
    """Strengths of the ARKit shapes.

    Args:
        num_combinations: how many random ones; seed: theirs.

    Returns:
        (52 + num_combinations, 52) float32, 0-1, in the order of ARKIT_NAMES.
    """
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
    return torch.cat([torch.eye(NUM_ARKIT), combinations])


def _other_side(shape: int) -> int:
    """The same shape on the other side; itself where it has none."""
    name = ARKIT_NAMES[shape]
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side) and name[: -len(side)] + other in ARKIT_NAMES:
            return ARKIT_NAMES.index(name[: -len(side)] + other)
    return shape
