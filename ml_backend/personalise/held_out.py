"""How much better the person's head explains photos that it was not made of than the head before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from addon.exchange.avatar_description import HeldOutError
from ml_backend.coarse.fit_photo import FitOptions, fit_photo
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions, fit_again, fit_view
from ml_backend.personalise.vertex_offsets import personal_head
from ml_backend.personalise.view import View

# One photo of so many is held out, and no more than the most: each costs two fits. With fewer than the fewest, too
# little would remain to make a head of.
ONE_OF, MOST_HELD_OUT, FEWEST_VIEWS = 5, 4, 4


@dataclass(frozen=True)
class PersonHead:
    """A person's head.

    Attributes:
        head: with the person's offsets; shape: (S,); albedo: (A,): standard deviations.
    """

    head: HeadModel
    shape: torch.Tensor
    albedo: torch.Tensor


def held_out_views(count: int) -> tuple[int, ...]:
    """The numbers of the photos, of so many, that are held out: spread over the order of choice, never the first."""
    if count < FEWEST_VIEWS:
        return ()
    held = min(MOST_HELD_OUT, max(1, round(count / ONE_OF)))
    return tuple(int((number + 0.5) * count / held) for number in range(held))


def held_out_error(
    views: Sequence[View],
    joint: JointFit,
    head: HeadModel,
    albedo_model: AlbedoModel,
    worth: Sequence[float],
    trust: Sequence[float],
    before: PersonHead | None,
    options: JointFitOptions,
) -> HeldOutError | None:
    """Fit a head to most photos alone, and measure it, and the one before, on the others.

    Args:
        views, joint: all photos, in the order of choice, and their joint fit; head: the plain one.
        worth: of each photo, how good it is for a head of it alone; trust: as `fit_jointly`.
        before: None: the head of the best photo alone, of those that are not held out, stands for it.

    Returns:
        None with fewer than FEWEST_VIEWS photos.
    """
    held = held_out_views(len(views))
    if not held:
        return None
    rest = [number for number in range(len(views)) if number not in held]
    with torch.no_grad():
        after = fit_again(
            [views[number] for number in rest],
            [joint.fits[number] for number in rest],
            head,
            albedo_model,
            options,
            [trust[number] for number in rest],
        )
        if before is None:
            best = views[max(rest, key=lambda number: worth[number])]
            as_alone = FitOptions(use_silhouette=options.use_silhouette, use_photometric=options.use_photometric)
            alone = fit_photo(best.pixels, best.face, head, albedo_model, as_alone, best.start)
            before = PersonHead(head, alone.shape, alone.albedo)
        made = PersonHead(personal_head(head, after.offsets_m), after.shape, after.albedo)
        errors = [_mean_error([views[number] for number in held], who, albedo_model, options) for who in (before, made)]
    return HeldOutError(len(held), *errors)


def _mean_error(
    views: Sequence[View], person: PersonHead, albedo_model: AlbedoModel, options: JointFitOptions
) -> float:
    """The landmarks' mean error in photos of a person whose identity is held fixed, percent."""
    fits = [fit_view(view, person.head, person.shape, person.albedo, albedo_model, options) for view in views]
    return float(np.mean([fit.landmark_error_percent for fit in fits]))
