"""A joint fit as arrays and JSON values, to be kept on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from addon.exchange.typed_json import JsonMismatch, decode, encode
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.personalise.joint_fit import JointFit
from ml_backend.personalise.kept_files import KeptContent
from ml_backend.rendering.camera import Camera

_SHARED = ("shape", "albedo", "offsets_m")
# of each photo, stacked in the file
_OWN = ("expression", "pose", "light")


@dataclass(frozen=True)
class _ViewDocument:
    """What is no array of a photo in the fit."""

    name: str
    camera: Camera
    landmark_error_percent: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _FitDocument:
    """What is no array of the fit."""

    views: tuple[_ViewDocument, ...]
    say: tuple[float, ...]


def fit_content(joint: JointFit, names: Sequence[str]) -> KeptContent:
    """A joint fit of photos of these names."""
    arrays = {name: getattr(joint, name).numpy() for name in _SHARED}
    arrays |= {name: torch.stack([getattr(fit, name) for fit in joint.fits]).numpy() for name in _OWN}
    views = tuple(
        _ViewDocument(name, fit.camera, float(fit.landmark_error_percent), fit.warnings)
        for name, fit in zip(names, joint.fits, strict=True)
    )
    return KeptContent(arrays, encode(_FitDocument(views, joint.say)))


def fit_of(content: KeptContent, names: Sequence[str]) -> JointFit | None:
    """The joint fit that was kept; None where it is something else, or of other photos."""
    try:
        document = decode(_FitDocument, content.document)
        if [view.name for view in document.views] != list(names):
            return None
        shared = {name: torch.from_numpy(content.arrays[name]) for name in _SHARED}
        fits = tuple(_fit(content.arrays, shared, number, view) for number, view in enumerate(document.views))
    except (JsonMismatch, KeyError, IndexError, TypeError):
        return None
    errors = tuple(view.landmark_error_percent for view in document.views)
    return JointFit(**shared, fits=fits, error_percent=errors, say=document.say)


def _fit(arrays: dict[str, np.ndarray], shared: dict[str, torch.Tensor], number: int, view: _ViewDocument) -> CoarseFit:
    own = {name: torch.from_numpy(arrays[name][number]) for name in _OWN}
    return CoarseFit(
        shape=shared["shape"], albedo=shared["albedo"], camera=view.camera,
        landmark_error_percent=view.landmark_error_percent, warnings=view.warnings, **own,
    )  # fmt: skip
