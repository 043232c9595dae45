"""When people blink, and how the lids move while they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..exchange.errors import LikenessError

# Mean rate at rest, blinks a minute: Bentivoglio et al. 1997 (150 adults: 17 at rest, 26 in conversation, 4.5 reading).
REST_RATE_PER_MINUTE = 17.0
# The lids close faster than they open: Guitton, Simard and Codere 1991; Evinger, Manning and Sibony 1991.
CLOSING_S, CLOSED_S, OPENING_S = 0.085, 0.04, 0.17
# Two blinks closer than this are seen as a flutter, not as blinking.
_LEAST_PAUSE_S = 0.5


@dataclass(frozen=True)
class Blink:
    """One blink, seconds: the lids start to close, are closed, start to open, are open."""

    start_s: float
    closed_s: float
    opening_s: float
    end_s: float


def random_blinks(
    start_s: float, end_s: float, rate_per_minute: float = REST_RATE_PER_MINUTE, seed: int = 0
) -> list[Blink]:
    """Blinks at random moments of a span, as a person at rest makes them.

    The pauses are a shortest one plus an exponential one, so that blinks never overlap and the mean rate is kept.

    Args:
        start_s, end_s: the span; every blink lies wholly inside.
        rate_per_minute: mean rate.
        seed: the same seed gives the same blinks.

    Raises:
        LikenessError: the rate leaves no time between blinks.
    """
    duration = CLOSING_S + CLOSED_S + OPENING_S
    shortest = duration + _LEAST_PAUSE_S
    if not 0 < rate_per_minute <= 60.0 / shortest:
        raise LikenessError(
            "blink_rate", f"{rate_per_minute:g} blinks a minute cannot be made.",
            f"Choose more than 0 and at most {60.0 / shortest:.0f}.",
        )  # fmt: skip
    generator = np.random.default_rng(seed)
    mean_free = 60.0 / rate_per_minute - shortest
    blinks = []
    # the first blink comes somewhere within the first pause
    moment = start_s + generator.uniform(0.0, 60.0 / rate_per_minute)
    while moment + duration <= end_s:
        blinks.append(_blink(moment))
        moment += shortest + generator.exponential(mean_free)
    return blinks


def _blink(start_s: float) -> Blink:
    closed = start_s + CLOSING_S
    return Blink(start_s, closed, closed + CLOSED_S, closed + CLOSED_S + OPENING_S)
