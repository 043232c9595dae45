"""The one place that imports timm, which builds the networks' bodies."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

from addon.exchange.errors import LikenessError

TORCHVISION_OPERATORS = "torchvision::"


class TrainingPackageMissing(LikenessError):
    """A package that only training needs is not there."""


def timm_module() -> ModuleType:
    """timm, imported when it is first needed (2 to 3 s).

    timm needs only the Python part of torchvision. On Linux the package index holds a torchvision built for CUDA, whose
    import fails beside a torch without CUDA: its compiled operators cannot be loaded, and it describes them to torch
    nevertheless. Then it is imported again without these descriptions.

    Raises:
        TrainingPackageMissing: it is not installed.
    """
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        raise TrainingPackageMissing(
            "timm_missing",
            f"Training needs the package {error.name}, which is not installed.",
            "Install it: python -m pip install -r requirements-training.txt",
        ) from error
    except RuntimeError as error:
        if TORCHVISION_OPERATORS not in str(error):
            raise
    _forget_partial_imports()
    with _tolerant_descriptions():
        return importlib.import_module("timm")


def create_model(name: str, **options: Any) -> torch.nn.Module:
    """A network of timm without pretrained weights.

    Args:
        name: timm's name of it.
        options: passed to timm's create_model.

    Raises:
        ValueError: timm has no network of this name.
    """
    timm = timm_module()
    if name not in timm.list_models(name):
        raise ValueError(f"timm has no network named {name}")
    return timm.create_model(name, pretrained=False, **options)


def _forget_partial_imports() -> None:
    """Remove what a failed import has left behind, so that the next one starts anew."""
    for name in [name for name in sys.modules if name.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]


@contextmanager
def _tolerant_descriptions() -> Iterator[None]:
    """Let descriptions of torchvision's operators pass unused while the context lasts."""
    strict = torch.library.register_fake

    def register_fake(op: Any, *positional: Any, **named: Any) -> Any:
        if isinstance(op, str) and op.startswith(TORCHVISION_OPERATORS):
            return _unchanged
        return strict(op, *positional, **named)

    torch.library.register_fake = register_fake
    try:
        yield
    finally:
        torch.library.register_fake = strict


def _unchanged(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
