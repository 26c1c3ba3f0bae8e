"""Set-associative caches with least-recently-used replacement, compiled.

The number of sets is a power of two. A set is a row of tags, the most recently used first; a tag is the
line's number + 1, 0 = empty. One array of words holds a cache's numbers, eight words each, and behind them
those of the batch that is gone through.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store64

__all__ = ["simulate"]

U = np.uint64
TAGS, SETS, WAYS, SHIFT, HITS, MISSES = 0, 1, 2, 3, 4, 5
L1I, L1D, L2, ITLB, DTLB = 0, 8, 16, 24, 32
LINEAR, PHYSICAL, SIZE, REFS, ADDRESS, META, COUNT = 40, 41, 42, 43, 44, 45, 46
WORDS = 48


@njit()
def _look(w, cache, line):  # type: ignore[no-untyped-def]
    """Is the line there? From now on it is."""
    ways, tag = w[cache + WAYS], line + U(1)
    row = w[cache + TAGS] + (line & (w[cache + SETS] - U(1))) * (ways << U(3))
    carried = tag
    for i in range(ways):
        place = row + (U(i) << U(3))
        here = load64(place)
        store64(place, carried)
        if here == tag:
            w[cache + HITS] += U(1)
            return True
        carried = here
    w[cache + MISSES] += U(1)
    return False


@njit()
def _reach(w, cache, address, size):  # type: ignore[no-untyped-def]
    """An access of `size` bytes through a first-level cache and the second level behind it."""
    shift = w[cache + SHIFT]
    line, last = address >> shift, (address + size - U(1)) >> shift
    while line <= last:
        if not _look(w, cache, line):
            _look(w, L2, (line << shift) >> w[L2 + SHIFT])
        line += U(1)


@entry("void(cells)", alone=False)
def simulate(w):  # type: ignore[no-untyped-def]
    """Feed the instructions and references of a batch to the caches, in order."""
    ref = U(0)
    for i in range(w[COUNT]):
        at, size = U(load32(w[PHYSICAL] + U(4 * i))), U(load8(w[SIZE] + U(i)))
        _look(w, ITLB, U(load32(w[LINEAR] + U(4 * i))) >> w[ITLB + SHIFT])
        _reach(w, L1I, at, size)
        for _ in range(U(load8(w[REFS] + U(i)))):
            address = U(load32(w[ADDRESS] + (ref << U(2))))
            _look(w, DTLB, address >> w[DTLB + SHIFT])
            _reach(w, L1D, address, U(load8(w[META] + ref) & 0x7F))
            ref += U(1)
