"""Torch on one thread, for work in small pieces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold torch to one thread: its pieces of work here are so small that several threads mostly wait for each other.

    Measured on two cores that other programs used as well: with one thread the fit took 1.1 s, texture and displacement
    4 to 6.6 s; with two the fit took 0.8 to 22 s, texture and displacement 6.1 to 7.9 s.
    """
    # imported here, so that the command line starts without torch
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
