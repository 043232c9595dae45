"""Which device the networks run on."""

from __future__ import annotations

import os
from dataclasses import dataclass

from addon.exchange.errors import LikenessError

CHOICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A device: torch's name ("cpu", "cuda:0", "mps"), and its name for people."""

    name: str
    words: str


def choose_device(choice: str) -> Device:
    """Find the device.

    Args:
        choice: one of CHOICES; "auto" takes a graphics card where torch finds one.

    Raises:
        LikenessError: the device asked for is not there.
    """
    import torch

    if choice in ("auto", "cuda") and torch.cuda.is_available():
        return Device("cuda:0", torch.cuda.get_device_name(0))
    if choice in ("auto", "mps") and torch.backends.mps.is_available():
        return Device("mps", "Apple graphics")
    if choice in ("auto", "cpu"):
        return processor()
    kind = {"cuda": "NVIDIA graphics card", "mps": "Apple graphics processor"}[choice]
    raise LikenessError(
        "device_missing", f"The backend finds no {kind}.", "Choose the device Automatic or CPU in the preferences."
    )


def processor() -> Device:
    """The processor, which is always there."""
    return Device("cpu", f"CPU, {os.cpu_count() or 1} cores")
