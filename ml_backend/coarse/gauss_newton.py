"""A damped, robust Gauss-Newton solver for a sum of residual blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ml_backend.coarse.parameters import FitParameters

INITIAL_DAMPING = 1e-3
MAX_DAMPING = 1e6
# a step that lowers the cost by less than this fraction, or that promises no more, ends the solve
MIN_GAIN = 1e-4


@dataclass(frozen=True)
class Residuals:
    """One block: residuals in standard deviations and their derivatives.

    Attributes:
        value: (M,) or (M,2) for points, whose two numbers share one robust weight.
        jacobian: value's shape + (P,).
        robust_scale: residual length at which evidence begins to lose its say (Geman-McClure); None = least squares.
    """

    value: torch.Tensor
    jacobian: torch.Tensor
    robust_scale: float | None = None


@dataclass(frozen=True)
class SeparateResiduals:
    """Least-squares residuals that each depend on one unknown: value (M,), slope (M,), unknown (M,) its column."""

    value: torch.Tensor
    slope: torch.Tensor
    unknown: torch.Tensor


@dataclass
class NormalEquations:
    """Accumulates J'J and J'r of residual blocks, reweighted for robustness, and their cost."""

    size: int
    dtype: torch.dtype = torch.float32
    matrix: torch.Tensor = field(init=False)
    gradient: torch.Tensor = field(init=False)
    cost: float = 0.0

    def __post_init__(self) -> None:
        self.matrix = torch.zeros(self.size, self.size, dtype=self.dtype)
        self.gradient = torch.zeros(self.size, dtype=self.dtype)

    def add(self, block: Residuals | SeparateResiduals) -> None:
        """Take in one block."""
        if isinstance(block, SeparateResiduals):
            self._add_separate(block)
        else:
            self._add_joint(block)

    def _add_separate(self, block: SeparateResiduals) -> None:
        self.cost += float(block.value.square().sum())
        self.matrix.diagonal().index_add_(0, block.unknown, block.slope.square())
        self.gradient.index_add_(0, block.unknown, block.slope * block.value)

    def _add_joint(self, block: Residuals) -> None:
        value = block.value if block.value.dim() == 2 else block.value[:, None]
        jacobian = block.jacobian.reshape(*value.shape, self.size)
        squared = (value * value).sum(1)
        weight = torch.ones_like(squared)
        if block.robust_scale is not None:
            scale = block.robust_scale**2
            weight = scale / (scale + squared)
            self.cost += float((scale * squared / (scale + squared)).sum())
            weight = weight * weight
        else:
            self.cost += float(squared.sum())
        weighted = jacobian * weight[:, None, None]
        self.matrix += weighted.flatten(0, 1).T @ jacobian.flatten(0, 1)
        self.gradient += weighted.flatten(0, 1).T @ value.flatten()

    def promised_gain(self, step: torch.Tensor) -> float:
        """How far a step (P,) lowers the cost if the residuals are as linear as they look."""
        return -float(step @ (2 * self.gradient + self.matrix @ step))


Term = Callable[[FitParameters], Residuals | SeparateResiduals | None]


def minimise(
    parameters: FitParameters,
    terms: Sequence[Term],
    free: torch.Tensor,
    iterations: int,
    damping: float = INITIAL_DAMPING,
) -> FitParameters:
    """Levenberg-Marquardt on the free parameters.

    Args:
        terms: each gives its residual block at given parameters (None: nothing to say there).
        free: (P,) bool.
        iterations: most linearisations.
        damping: of the first step, as a fraction of the diagonal.

    Returns:
        The parameters of the lowest cost met.
    """
    current, system = parameters, assemble(parameters, terms)
    for _ in range(iterations):
        step = _step(system, free, damping)
        # also where steps are refused again and again: correspondences that jump to and fro keep a cost from falling
        if system.promised_gain(step) < MIN_GAIN * system.cost:
            break
        candidate = current.moved(step)
        candidate_system = assemble(candidate, terms)
        if candidate_system.cost < system.cost:
            gain = (system.cost - candidate_system.cost) / max(system.cost, 1e-12)
            current, system, damping = candidate, candidate_system, damping / 4
            if gain < MIN_GAIN:
                break
        else:
            damping *= 8
            if damping > MAX_DAMPING:
                break
    return current


def assemble(parameters: FitParameters, terms: Sequence[Term]) -> NormalEquations:
    """The normal equations of all terms at given parameters."""
    system = NormalEquations(len(parameters.vector), parameters.vector.dtype)
    for term in terms:
        block = term(parameters)
        if block is not None:
            system.add(block)
    return system


def _step(system: NormalEquations, free: torch.Tensor, damping: float) -> torch.Tensor:
    matrix = system.matrix[free][:, free]
    matrix = matrix + damping * torch.diag(matrix.diagonal().clamp(min=1e-6))
    step = torch.zeros_like(system.gradient)
    step[free] = -torch.linalg.solve(matrix, system.gradient[free])
    return step
