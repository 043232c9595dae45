"""Memory of large arrays, kept for the next one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# what glibc's `mallopt` calls them (malloc.h)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
# larger than any array here: a texture of 4096 pixels has 200 MB
KEPT_BYTES = 1 << 30
# how much the heap grows by at least, so that it grows seldom
GROWTH_BYTES = 64 << 20
# glibc's own largest border between small and large arrays on 64 bits; it trims beyond twice of that
USUAL_MMAP_BYTES = 32 << 20


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let freed arrays keep their memory until the end, when it goes back to the system.

    glibc gives the memory of a large array back as soon as the array goes, and the system must clear all its pages for
    the next one: with arrays of 4 to 50 MB by the hundred, that was a fifth of the processor's time of a texture.
    Elsewhere than on Linux with glibc nothing changes.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    libc.mallopt(M_TOP_PAD, GROWTH_BYTES)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * USUAL_MMAP_BYTES)
        libc.mallopt(M_TOP_PAD, 0)
        libc.malloc_trim(0)
