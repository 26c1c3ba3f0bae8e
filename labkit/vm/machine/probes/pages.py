"""Pages of RAM put back from copies, compiled: thousands of them make up a checkpoint.

`frames` are u32 frame numbers, `sources` u64 host addresses of what each shall hold, 0 for zeros.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import entry
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store64

__all__ = ["copy", "find_stale"]

U = np.uint64
WORDS = 512


@entry("void(cells, u64, u64, u64, i64)")
def find_stale(a, frames, sources, marks, count):  # type: ignore[no-untyped-def]
    """Of the frames with a mark (u8 each) leave it only to those that do not hold what they shall."""
    for i in range(U(count)):
        if not load8(marks + U(i)):
            continue
        here = a[c.RAM] + (U(load32(frames + U(4 * i))) << U(12))
        there = load64(sources + U(8 * i))
        same = True
        for k in range(WORDS):
            wanted = load64(there + U(8 * k)) if there else U(0)
            if load64(here + U(8 * k)) != wanted:
                same = False
                break
        if same:
            store8(marks + U(i), np.uint8(0))


@entry("void(cells, u64, u64, i64)")
def copy(a, frames, sources, count):  # type: ignore[no-untyped-def]
    """Give each frame what it shall hold."""
    for i in range(U(count)):
        here = a[c.RAM] + (U(load32(frames + U(4 * i))) << U(12))
        there = load64(sources + U(8 * i))
        if there:
            for k in range(WORDS):
                store64(here + U(8 * k), load64(there + U(8 * k)))
        else:
            for k in range(WORDS):
                store64(here + U(8 * k), U(0))
