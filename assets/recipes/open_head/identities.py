"""Sampled identities and their principal components: the shape basis.

An identity is MakeHuman's base mesh plus a random mixture of its macro targets (ethnicity, sex, age, muscle, weight)
plus random amounts of its local targets (head, forehead, eyes, nose, ...). Sides get the same amount; `asym` targets
break the symmetry. Samples are moved so that the eye midpoint is the origin, else body height eats the first
components.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.sparse.linalg import eigsh

from assets.recipes.open_head.base_mesh import BaseMesh
from assets.recipes.open_head.makehuman_geometry import NUM_BASE_VERTICES, TargetLibrary

_ETHNICITIES = ("african", "asian", "caucasian")
_SEXES = ("female", "male")
_AGES = ("child", "young", "old")
_TONES = ("minmuscle", "averagemuscle", "maxmuscle")
_WEIGHTS = ("minweight", "averageweight", "maxweight")

_LOCAL_FOLDERS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "chin", "cheek", "ears", "neck", "asym")
# No human face has them, or they are not of the head.
_EXCLUDED = re.compile(r"ear-shape-(pointed|square|triangle)|asymm-|head-trans-")
# Opposite directions of one property; "-out" of a pair is its "-in" turned round, and so on.
_OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
    ("compress", "uncompress"),
)  # fmt: skip
# The reading of MakeHuman's sliders is 0-1; DESIGN: local targets at 0-0.5 look like real, distinct people.
_LARGEST_LOCAL = 0.5
# Of folders whose full range exaggerates when everything else varies too (seen on contact sheets).
_SPREAD = {"neck": 0.10, "asym": 0.09, "ears": 0.16, "head": 0.13, "eyes": 0.16}
_DEFAULT_SPREAD = 0.18


@dataclass(frozen=True)
class IdentitySettings:
    """How identities are sampled.

    Attributes:
        num_samples: identities in the PCA.
        num_components: components kept.
        seed: of the random numbers.
        chunk: identities assembled at once (memory).
    """

    num_samples: int = 6000
    num_components: int = 150
    seed: int = 20250
    chunk: int = 250


@dataclass(frozen=True)
class ShapeSpace:
    """The identities' mean and principal components.

    Attributes:
        mean: (V, 3) metres, symmetric.
        basis: (V, 3, S) metres per standard deviation; each component symmetric or antisymmetric.
        variance_kept: share of the sampled variance (weighted as in the PCA) that the basis keeps.
    """

    mean: np.ndarray
    basis: np.ndarray
    variance_kept: float


class IdentitySampler:
    """Draws random identities as vertices of the open head."""

    def __init__(self, base: BaseMesh, base_positions: np.ndarray, library: TargetLibrary) -> None:
        self._base = base
        self._needed = np.unique(np.concatenate([base.source_vertex[base.source_vertex >= 0], *base.eye_helpers]))
        self._library = library
        self._macros = tuple(_macro_names())
        self._properties = _local_properties(library)
        names = [*self._macros, *sorted({name for p in self._properties for name in p.targets()})]
        self._column = {name: column for column, name in enumerate(names)}
        self._offsets = np.stack([self._dense(name) for name in names])
        self._rest = base_positions[self._needed].astype(np.float32)

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Draw identities.

        Returns:
            (count, V, 3) float32, metres, eye midpoint at the origin.
        """
        weights = np.zeros((count, len(self._column)), np.float32)
        weights[:, : len(self._macros)] = _draw_macros(count, random)
        for one in self._properties:
            one.add(weights, self._column, random)
        moved = self._rest + np.tensordot(weights, self._offsets, axes=1)
        positions = np.zeros((count, NUM_BASE_VERTICES, 3), np.float32)
        positions[:, self._needed] = moved
        return self._base.from_makehuman(positions)

    def _dense(self, name: str) -> np.ndarray:
        target = self._library.read(name)
        offsets = np.zeros((NUM_BASE_VERTICES, 3), np.float32)
        offsets[target.index] = target.offset
        return offsets[self._needed]


@dataclass(frozen=True)
class _Property:
    """One local property: a positive and perhaps a negative target, on one or both sides.

    Attributes:
        sides: for each side the target for positive amounts and the one for negative amounts (None: no negative).
        spread: standard deviation of the amount.
    """

    sides: tuple[tuple[str, str | None], ...]
    spread: float

    def targets(self) -> list[str]:
        return [name for side in self.sides for name in side if name]

    def add(self, weights: np.ndarray, column: dict[str, int], random: np.random.Generator) -> None:
        """Draw amounts for a chunk of identities into their target weights (N, T)."""
        amount = np.clip(random.normal(0, self.spread, len(weights)), -_LARGEST_LOCAL, _LARGEST_LOCAL)
        for positive, negative in self.sides:
            # Of a target without an opposite, half of all people have nothing.
            weights[:, column[positive]] = np.maximum(amount, 0)
            if negative is not None:
                weights[:, column[negative]] = np.maximum(-amount, 0)


def _macro_names() -> list[str]:
    people = [f"macrodetails/{'-'.join(p)}" for p in product(_ETHNICITIES, _SEXES, _AGES)]
    builds = [f"macrodetails/universal-{'-'.join(p)}" for p in product(_SEXES, _AGES, _TONES, _WEIGHTS)]
    return people + builds


def _draw_macros(count: int, random: np.random.Generator) -> np.ndarray:
    """Draw the weights of `_macro_names`: products of mixtures, as MakeHuman combines its macro sliders."""
    ethnicity = random.dirichlet([0.35] * 3, count)  # mostly one, often two
    male = random.beta(0.6, 0.6, count)
    sex = np.stack([1 - male, male], 1)
    years = random.triangular(-0.25, 0.15, 0.9, count)  # below 0 towards the child, 1 = MakeHuman's "old"
    age = np.stack([np.maximum(-years, 0), 1 - np.abs(years), np.maximum(years, 0)], 1)
    tone = _three_way(random.normal(0, 0.35, count))
    weight = _three_way(random.normal(0.05, 0.45, count))
    people = np.einsum("ne,ns,na->nesa", ethnicity, sex, age).reshape(count, -1)
    builds = np.einsum("ns,na,nt,nw->nsatw", sex, age, tone, weight).reshape(count, -1)
    return np.concatenate([people, builds], 1)


def _three_way(amount: np.ndarray) -> np.ndarray:
    amount = np.clip(amount, -1, 1)
    return np.stack([np.maximum(-amount, 0), 1 - np.abs(amount), np.maximum(amount, 0)], 1)


def _local_properties(library: TargetLibrary) -> list[_Property]:
    """Group the local targets into properties: opposite directions and both sides belong together."""
    found: dict[str, dict[str, list[str | None]]] = {}
    for folder in _LOCAL_FOLDERS:
        for name in library.names(folder):
            if _EXCLUDED.search(name):
                continue
            stem, is_negative, both = _direction(name)
            side = re.sub(r"/([lr])-", "/", stem)
            slots = found.setdefault(side, {}).setdefault(stem, [None, None])
            slots[1 if is_negative and both else 0] = name
    properties = []
    for stem in sorted(found):
        sides = tuple((pair[0] or pair[1], pair[1] if pair[0] else None) for _, pair in sorted(found[stem].items()))
        properties.append(_Property(sides, _SPREAD.get(stem.split("/")[0], _DEFAULT_SPREAD)))
    return properties


def _direction(name: str) -> tuple[str, bool, bool]:
    """Split a target's name into the property's stem, whether it is the negative direction, and whether it has one."""
    if name.startswith("asym/"):
        return name[:-2], name.endswith("-l"), True
    for negative, positive in _OPPOSITES:
        for word in (negative, positive):
            if name.endswith(f"-{word}"):
                return f"{name.removesuffix(word)}{negative}-{positive}", word == negative, True
    return name, False, False


def build_shape_space(sampler: IdentitySampler, base: BaseMesh, settings: IdentitySettings) -> ShapeSpace:
    """Sample identities and take the principal components.

    Mirrored copies of all samples are counted in, so the mean is symmetric and every component is symmetric or
    antisymmetric: both halves of the covariance are decomposed apart.

    Args:
        sampler: draws the identities.
        base: the base mesh (mirror map, face mask for the weights).
        settings: numbers and seed.

    Returns:
        The shape space; components by falling variance.
    """
    random = np.random.default_rng(settings.seed)
    chunks = [settings.chunk] * (settings.num_samples // settings.chunk)
    samples = np.concatenate([sampler.draw(count, random) for count in chunks])
    mirrored_mean = _mirrored(samples.mean(axis=0, dtype=np.float64), base.mirror_vertex)
    mean = (samples.mean(axis=0, dtype=np.float64) + mirrored_mean) / 2
    samples -= mean.astype(np.float32)
    weight = np.sqrt(1.0 + 2.0 * base.face_mask)[:, None].astype(np.float32)  # the face counts three times the rest
    components, variances, total = [], [], 0.0
    for sign in (1.0, -1.0):
        part = (samples + np.float32(sign) * _mirrored(samples, base.mirror_vertex)) / 2
        vectors, values, trace = _principal(part * weight, settings.num_components)
        components.append(vectors.reshape(-1, *mean.shape) / weight)
        variances.append(values)
        total += trace
    variance = np.concatenate(variances)
    order = np.argsort(-variance, kind="stable")[: settings.num_components]
    basis = np.concatenate(components)[order] * np.sqrt(variance[order])[:, None, None]
    return ShapeSpace(mean, np.moveaxis(basis, 0, -1), float(variance[order].sum() / total))


def _mirrored(points: np.ndarray, mirror_vertex: np.ndarray) -> np.ndarray:
    return points[..., mirror_vertex, :] * np.array([-1, 1, 1], points.dtype)


def _principal(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Give the leading unit components (count, D), their variances (count,) and the whole variance.

    The sign is fixed: the largest entry of each component is positive.
    """
    flat = samples.reshape(len(samples), -1)
    gram = (flat @ flat.T).astype(np.float64) / len(flat)
    start = np.cos(np.arange(len(flat)))  # any fixed start vector: the result is the same on every run
    values, left = eigsh(gram, k=count, v0=start, tol=1e-12)
    order = np.argsort(-values)
    values, left = values[order], left[:, order]
    vectors = (left.T.astype(np.float32) @ flat).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    return vectors * np.sign(largest), values, float(np.trace(gram))
