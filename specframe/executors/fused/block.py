"""One block of memory for the weights of all linear layers, in huge pages."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

__all__ = ["gather"]

HUGE = 2 << 20  # bytes of a huge page


def gather(linears: Sequence[nn.Linear]) -> None:
    """Move weights on a CPU into one block, in this order; the parameters become views of it.

    Memory use does not double: the block takes physical memory only as it is written, and each
    weight's former memory is freed after the weight has moved.
    """
    weights = [linear.weight for linear in linears]
    first = weights[0]
    alike = all(part.device.type == "cpu" and part.dtype == first.dtype for part in weights)
    if not alike or len({part.untyped_storage().data_ptr() for part in weights}) == 1:
        return
    block = _block(sum(part.nbytes for part in weights)).view(first.dtype)
    start = 0
    for part in weights:
        place = block[start : start + part.numel()].view(part.shape)
        part.data = place.copy_(part.data)
        start += part.numel()


def _block(size: int) -> Tensor:
    """`size` bytes. An address in a huge page is translated once for 2 MiB, instead of for 4 KiB,
    and prefetching does not stop at every 4 KiB."""
    if sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    pages = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without huge pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    block = torch.frombuffer(pages, dtype=torch.uint8)
    start = -block.data_ptr() % HUGE
    return block[start : start + size]
