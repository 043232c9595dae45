"""Draws a family's lines in its chart: the same lines every time for one person, and different ones for another.

Skin folds along lines that it keeps for life. A family has a few main lines, and shorter, shallower ones that run
beside them or into them. A line is a sharp valley between rounded ridges.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ml_backend.wrinkles.line_systems import LineSystem

# All of these are chosen by eye against photographs of faces.
# half width of a valley, as part of the spacing, and its bounds: a fine line is some tenths of a millimetre wide
VALLEY_WIDTH, VALLEY_WIDTH_LIMITS_M = 0.10, (0.00045, 0.00115)
# where the ridge beside a valley is highest, as part of the spacing
RIDGE_DISTANCE = 0.33
# the ridge's part of the depth from valley to ridge, and how much higher it is on one side: skin hangs over a fold
RIDGE_SHARE, RIDGE_ASYMMETRY = 0.28, 0.35
# below 2, the bottom of a valley is sharper than a Gaussian's
VALLEY_EXPONENT = 1.35
# lines stray by this part of their spacing, in waves of these lengths; neighbours stray together by more
OWN_WANDER, SHARED_WANDER = 0.09, 0.15
WANDER_LENGTHS_M = (0.013, 0.024, 0.044, 0.080)
# length and depth of secondary lines, as part of the area's and of a main line's
SECONDARY_LENGTH, SECONDARY_DEPTH = (0.18, 0.55), (0.22, 0.55)
MAIN_LENGTH, MAIN_DEPTH = (1.1, 1.9), (0.75, 1.0)
# a line's end fades over this length
TAPER_M = 0.011
# texels of the map that a valley's half width must have at least; a coarser map shows it wider and shallower
MIN_WIDTH_TEXELS = 0.75
# a line's course is worked out at steps of this length
COURSE_STEP_M = 0.0004
# a dimple's radius, as part of the spacing
DIMPLE_RADIUS = 0.30


@dataclass(frozen=True)
class Line:
    """One line in its family's chart, metres.

    Attributes:
        across_m: its place; start_m, end_m: where along it begins and ends.
        depth: 0-1, of the family's; width_m: half width of the valley; ridge_m: distance of its ridges.
        waves: (K, 3) amplitude in metres, wavelength in metres and phase of its straying.
        joins_m: how far it bends across at its end, into a neighbour; 0 = it runs free.
        high_side: 1 or -1, the side of the higher ridge.
    """

    across_m: float
    start_m: float
    end_m: float
    depth: float
    width_m: float
    ridge_m: float
    waves: np.ndarray
    joins_m: float
    high_side: int


def random_of(seed: int, name: str) -> np.random.Generator:
    """A person's own random numbers for one thing, whatever else is drawn."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def person_lines(system: LineSystem, seed: int) -> list[Line]:
    """The lines of one person's family.

    Args:
        system: the family; seed: the person's.
    """
    random = random_of(seed, system.name)
    spacing = system.spacing_m * random.uniform(0.88, 1.15)
    shared = _waves(random, SHARED_WANDER * system.wander * spacing)
    if system.fixed_lines:
        places = [spacing * (place + random.normal(0, 0.10)) for place in system.fixed_lines]
    else:
        count = max(1, round(2 * 0.85 * system.half_across_m / spacing))
        places = [spacing * (k - (count - 1) / 2 + random.uniform(-0.28, 0.28)) for k in range(count)]
    lines = [_main_line(system, spacing, place, shared, random) for place in places]
    for _ in range(round(system.secondary * len(places))):
        lines.append(_secondary_line(system, spacing, places, shared, random))
    return lines


def _main_line(
    system: LineSystem, spacing: float, place: float, shared: np.ndarray, random: np.random.Generator
) -> Line:
    length = 2 * system.half_along_m * random.uniform(*MAIN_LENGTH)
    middle = system.half_along_m * random.normal(0, 0.18)
    waves = np.concatenate([shared, _waves(random, OWN_WANDER * system.wander * spacing)])
    valley = system.valley_m or _width(spacing)
    return Line(
        place, middle - length / 2, middle + length / 2, random.uniform(*MAIN_DEPTH), valley,
        RIDGE_DISTANCE * spacing, waves, 0.0, int(random.choice((-1, 1))),
    )  # fmt: skip


def _secondary_line(
    system: LineSystem, spacing: float, places: list[float], shared: np.ndarray, random: np.random.Generator
) -> Line:
    """A line between two main ones, or one that runs into a main one."""
    side = random.choice((-1, 1))
    beside = random.choice(places) + side * spacing * random.uniform(0.32, 0.62)
    length = 2 * system.half_along_m * random.uniform(*SECONDARY_LENGTH)
    start = random.uniform(-1.0, 1.0) * system.half_along_m - length / 2
    joins = -side * 0.35 * spacing if random.random() < 0.4 else 0.0
    waves = np.concatenate([shared, _waves(random, OWN_WANDER * system.wander * spacing)])
    return Line(
        beside, start, start + length, random.uniform(*SECONDARY_DEPTH), 0.75 * _width(spacing),
        0.6 * RIDGE_DISTANCE * spacing, waves, joins, int(random.choice((-1, 1))),
    )  # fmt: skip


def _width(spacing: float) -> float:
    return float(np.clip(VALLEY_WIDTH * spacing, *VALLEY_WIDTH_LIMITS_M))


def _waves(random: np.random.Generator, amplitude: float) -> np.ndarray:
    """(K, 3) waves whose sum has about the given standard deviation; longer ones are higher."""
    lengths = np.array(WANDER_LENGTHS_M) * random.uniform(0.8, 1.25, len(WANDER_LENGTHS_M))
    heights = lengths
    heights = amplitude * np.sqrt(2) * heights / np.linalg.norm(heights)
    return np.column_stack([heights, lengths, random.uniform(0, 2 * np.pi, len(lengths))])


def line_relief(
    lines: list[Line], along_m: np.ndarray, across_m: np.ndarray, metres_per_across: np.ndarray, texel_m: float
) -> np.ndarray:
    """The lines' relief at full depth.

    Args:
        lines: of one family.
        along_m, across_m: (T,) chart coordinates; metres_per_across: (T,) of the surface.
        texel_m: size of a texel.

    Returns:
        (T,) float32; 1 is the depth from valley to ridge: valleys reach RIDGE_SHARE - 1, ridges RIDGE_SHARE.
    """
    valley, ridge = np.zeros(len(along_m), np.float32), np.zeros(len(along_m), np.float32)

    def looked_up(places: np.ndarray, steps: np.ndarray, values: np.ndarray) -> np.ndarray:
        # float32 as all the rest: 64 bits take twice as long
        return np.interp(places, steps, values).astype(np.float32)

    for line in lines:
        # nothing of a line is felt beyond three times the distance of its ridges, straying included
        near = np.flatnonzero(
            (along_m > line.start_m) & (along_m < line.end_m) & (np.abs(across_m - line.across_m) < 5 * line.ridge_m)
        )
        # the course is smooth: it is worked out at steps and looked up
        steps = np.linspace(line.start_m, line.end_m, max(2, round((line.end_m - line.start_m) / COURSE_STEP_M)))
        here = along_m[near]
        distance = (across_m[near] - looked_up(here, steps, _path(line, steps))) * metres_per_across[near]
        depth = line.depth * looked_up(here, steps, _taper(line, steps))
        width = float(np.hypot(line.width_m, MIN_WIDTH_TEXELS * texel_m))
        groove = -depth * (line.width_m / width) * np.exp(-((np.abs(distance) / width) ** VALLEY_EXPONENT))
        squared = (distance / line.ridge_m) ** 2
        lean = 1 + RIDGE_ASYMMETRY * line.high_side * np.tanh(distance / line.ridge_m)
        valley[near] = np.minimum(valley[near], groove)
        ridge[near] = np.maximum(ridge[near], depth * lean * squared * np.exp(1 - squared))
    return (1 - RIDGE_SHARE) * valley + RIDGE_SHARE * ridge


def _path(line: Line, along_m: np.ndarray) -> np.ndarray:
    """Where the line runs across, at places along it."""
    amplitude, length, phase = line.waves.T[:, :, None]
    path = line.across_m + (amplitude * np.sin(2 * np.pi * along_m / length + phase)).sum(0)
    if line.joins_m:
        to_end = np.clip((along_m - line.start_m) / (line.end_m - line.start_m), 0, 1)
        path = path + line.joins_m * to_end**2
    return path


def _taper(line: Line, along_m: np.ndarray) -> np.ndarray:
    """0-1: full in the middle, 0 at the ends, uneven between."""
    length = line.end_m - line.start_m
    reach = min(TAPER_M, 0.4 * length)
    inside = np.minimum(along_m - line.start_m, line.end_m - along_m) / reach
    _, wavelength, phase = line.waves[-1]
    uneven = 0.82 + 0.18 * np.sin(2 * np.pi * along_m / (0.6 * wavelength) + 2 * phase)
    return np.sin(0.5 * np.pi * np.clip(inside, 0, 1)) * uneven


def dimple_relief(system: LineSystem, seed: int, along_m: np.ndarray, across_m: np.ndarray) -> np.ndarray:
    """The dimples of a cobbled family at full depth, (T,) float32 like `line_relief`."""
    random = random_of(seed, system.name)
    spacing = system.spacing_m * random.uniform(0.9, 1.15)
    reach = 1.5 * max(system.half_along_m, system.half_across_m)
    steps = np.arange(-reach, reach, spacing)
    grid = np.stack(np.meshgrid(steps, 0.87 * steps), -1)
    # every second row stands between the others' columns
    grid[1::2, :, 0] += 0.5 * spacing
    points = grid.reshape(-1, 2) + random.normal(0, 0.22 * spacing, (grid.size // 2, 2))
    depth = random.uniform(0.35, 1.0, len(points))
    distance, nearest = cKDTree(points).query(np.column_stack([along_m, across_m]), 3)
    radius = DIMPLE_RADIUS * spacing
    relief = -(depth[nearest] * np.exp(-((distance / radius) ** 2))).sum(1)
    return (RIDGE_SHARE + np.maximum(relief, -1)).astype(np.float32)
