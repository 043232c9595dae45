"""Many photos, one identity: robust Gauss-Newton on normal equations that form an arrow.

Expression, pose and camera of a photo meet those of another only through the identity that all share. Each photo's own
unknowns can therefore be eliminated alone (the Schur complement), which leaves a system of the identity's size however
many photos there are: the time of a step is linear in their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ml_backend.coarse.gauss_newton import INITIAL_DAMPING, MAX_DAMPING, MIN_GAIN, NormalEquations, Term, assemble
from ml_backend.coarse.parameters import FitParameters

# keeps an unknown that no evidence speaks of out of a division by zero
SMALLEST_DIAGONAL = 1e-6
# a view's own unknowns are free when it is asked what identity it would have: only so much that rounding does no harm
DISAGREEMENT_DAMPING = 1e-6


@dataclass(frozen=True)
class IdentityPrior:
    """What is known of an identity before any photo, as linear residuals rows @ shape - goal in standard deviations.

    Attributes:
        rows: (M,S); goal: (M,).
    """

    rows: torch.Tensor
    goal: torch.Tensor

    def equations(self, shape: torch.Tensor) -> NormalEquations:
        """The prior's normal equations at a shape (S,)."""
        value = self.rows.double() @ shape.double() - self.goal.double()
        system = NormalEquations(len(shape), torch.float64)
        system.matrix += self.rows.double().T @ self.rows.double()
        system.gradient += self.rows.double().T @ value
        system.cost = float(value.square().sum())
        return system


@dataclass(frozen=True)
class ViewEvidence:
    """One photo in the joint solve.

    Attributes:
        parameters: where it stands; its shape is the shared one.
        terms: all that it says, and the priors of its own unknowns; nothing about the identity alone.
        weight: its say about the identity beside the other views' and the prior's.
    """

    parameters: FitParameters
    terms: tuple[Term, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class JointSolution:
    """The lowest cost met.

    Attributes:
        parameters: of each view, all with the same shape.
        disagreement: (N,) how much each view's cost would fall if it had an identity of its own.
    """

    parameters: tuple[FitParameters, ...]
    disagreement: torch.Tensor


@dataclass(frozen=True)
class EliminatedView:
    """A view's equations with its own R unknowns eliminated.

    Attributes:
        matrix: (S,S); gradient: (S,), of the identity that remains.
        own_by_shape: (R,S); own: (R,): the best own step is own + own_by_shape @ step of the identity.
    """

    matrix: torch.Tensor
    gradient: torch.Tensor
    own_by_shape: torch.Tensor
    own: torch.Tensor


class _State:
    """All normal equations at one value of the unknowns."""

    def __init__(self, views: Sequence[ViewEvidence], prior: IdentityPrior) -> None:
        self.views = views
        self.prior = prior.equations(views[0].parameters.shape)
        self.systems = [assemble(view.parameters, view.terms) for view in views]
        self.cost = self.prior.cost + sum(
            view.weight * system.cost for view, system in zip(views, self.systems, strict=True)
        )

    def steps(self, damping: float) -> list[torch.Tensor]:
        """The damped step (P,) of each view's unknowns; the identity's part is the same in all."""
        size = len(self.prior.gradient)
        matrix, gradient = self.prior.matrix.clone(), self.prior.gradient.clone()
        diagonal = self.prior.matrix.diagonal().clone()
        eliminated = []
        for view, system in zip(self.views, self.systems, strict=True):
            reduced = eliminate_own(system, size, damping)
            matrix += view.weight * reduced.matrix
            gradient += view.weight * reduced.gradient
            diagonal += view.weight * system.matrix.diagonal()[:size].double()
            eliminated.append(reduced)
        matrix += torch.diag(damping * diagonal.clamp(min=SMALLEST_DIAGONAL))
        identity = -torch.linalg.solve(matrix, gradient)
        return [torch.cat([identity, reduced.own + reduced.own_by_shape @ identity]) for reduced in eliminated]

    def promised_gain(self, steps: Sequence[torch.Tensor]) -> float:
        """How far steps lower the cost if all residuals are as linear as they look."""
        gain = self.prior.promised_gain(steps[0][: len(self.prior.gradient)])
        for view, system, step in zip(self.views, self.systems, steps, strict=True):
            gain += view.weight * system.promised_gain(step.to(system.gradient.dtype))
        return gain

    def moved(self, steps: Sequence[torch.Tensor]) -> list[ViewEvidence]:
        """The views after their steps."""
        return [
            replace(view, parameters=view.parameters.moved(step.to(view.parameters.shape.dtype)))
            for view, step in zip(self.views, steps, strict=True)
        ]

    def disagreement(self) -> torch.Tensor:
        """(N,) how far each view's own cost and the prior would fall together if the identity were the view's alone."""
        size = len(self.prior.gradient)
        gains = []
        for system in self.systems:
            reduced = eliminate_own(system, size, DISAGREEMENT_DAMPING)
            alone = torch.linalg.solve(reduced.matrix + self.prior.matrix, reduced.gradient)
            gains.append(reduced.gradient @ alone)
        return torch.stack(gains)


def solve_jointly(
    views: Sequence[ViewEvidence], prior: IdentityPrior, iterations: int, damping: float = INITIAL_DAMPING
) -> JointSolution:
    """Levenberg-Marquardt on one identity and every view's own unknowns.

    Args:
        views: all with the same shape.
        iterations: most linearisations.
        damping: of the first step, as a fraction of the diagonal.

    Source: own derivation: the Schur complement of the views' own blocks, as bundle adjustment takes its points'.
    """
    current = _State(views, prior)
    for _ in range(iterations):
        steps = current.steps(damping)
        if current.promised_gain(steps) < MIN_GAIN * current.cost:
            break
        candidate = _State(current.moved(steps), prior)
        if candidate.cost < current.cost:
            gain = (current.cost - candidate.cost) / max(current.cost, 1e-12)
            current, damping = candidate, damping / 4
            if gain < MIN_GAIN:
                break
        else:
            damping *= 8
            if damping > MAX_DAMPING:
                break
    return JointSolution(tuple(view.parameters for view in current.views), current.disagreement())


def eliminate_own(system: NormalEquations, num_shape: int, damping: float) -> EliminatedView:
    """Eliminate a view's own unknowns, damped, from its normal equations over [identity | own]."""
    matrix, gradient = system.matrix.double(), system.gradient.double()
    coupling, own = matrix[num_shape:, :num_shape], matrix[num_shape:, num_shape:]
    own = own + torch.diag(damping * own.diagonal().clamp(min=SMALLEST_DIAGONAL))
    solved = torch.linalg.solve(own, torch.cat([coupling, gradient[num_shape:, None]], 1))
    own_by_shape, own_step = -solved[:, :-1], -solved[:, -1]
    return EliminatedView(
        matrix=matrix[:num_shape, :num_shape] + coupling.T @ own_by_shape,
        gradient=gradient[:num_shape] + coupling.T @ own_step,
        own_by_shape=own_by_shape,
        own=own_step,
    )
