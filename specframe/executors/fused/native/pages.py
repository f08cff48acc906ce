"""Moves weights to huge pages: their addresses are then translated once for 2 MiB, not 4 KiB."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

from torch import Tensor

__all__ = ["use_huge_pages"]

HUGE = 2 << 20  # bytes of a huge page of x86-64, and of ARM with pages of 4 KiB
COLLAPSE = 25  # MADV_COLLAPSE of Linux 6.1: joins the pages of a range at once, at the same place


def use_huge_pages(tensors: Iterable[Tensor]) -> None:
    """Ask the kernel for huge pages under these tensors; where it has none, nothing changes."""
    if not sys.platform.startswith("linux"):
        return
    advise = ctypes.CDLL(None).madvise
    for page in sorted({page for tensor in tensors for page in _pages(tensor)}):
        advise(ctypes.c_void_p(page), ctypes.c_size_t(HUGE), COLLAPSE)


def _pages(tensor: Tensor) -> range:
    """The huge pages that a tensor touches; the first and the last may hold other data too."""
    start = tensor.data_ptr()
    return range(start // HUGE * HUGE, start + tensor.nbytes, HUGE)
