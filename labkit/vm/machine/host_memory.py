"""How the host's C library keeps large blocks: each in a mapping of its own, whatever was freed before.

glibc raises the size from which it does so to that of the largest block that was freed: the tables of a second
machine then come from the heap, are cleared, and never go back to the system. With the size fixed they are pages
that are there once they are touched, and gone with their machine: a hundred machines take 2 MB each, not 13.
"""

import ctypes
import sys
from functools import cache

__all__ = ["keep_large_blocks_apart"]

M_MMAP_THRESHOLD = -3  # as glibc numbers it
LARGE = 1 << 20


@cache
def keep_large_blocks_apart() -> bool:
    """Blocks of 1 MB and more are mapped by themselves from now on; False where the C library offers no such thing."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE))
    except AttributeError:
        return False
