"""Walks of the page tables, noted for the trace, compiled: those that the guest's own TLB could not spare it.

    words of a walk:  pass | access << 32     linear page     physical page | rights, or fault | error    reference

`pass` and `reference` are how many of each had been noted: the walk was for the access that came next. Since
labkit's TLB (tlb.py) is a matter of the guest alone, so are its walks. But for fetches that are refused: Unicorn
translates ahead, and tries again. Of these only what comes to a page fault is noted, when it does (machine/trace.py).
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import store64
from labkit.vm.machine.probes.trace_words import get, put
from labkit.vm.machine.probes.walk import WALK_FAULT

__all__ = ["FETCH", "note_walk"]

U = np.uint64
READ, WRITE, FETCH = 0, 1, 2


@njit(inlining="never")
def note_walk(a, va, granted, write, fetch):  # type: ignore[no-untyped-def]
    """A walk for a linear page has come to `granted`."""
    t = a[c.TRACE]
    if get(t, w.WALKS) == U(0) or get(t, w.WALK_COUNT) >= get(t, w.WALKS_HIGH):
        return
    if fetch and granted & U(WALK_FAULT):
        return
    access = U(FETCH) if fetch else U(WRITE) if write else U(READ)
    at = get(t, w.WALKS) + (get(t, w.WALK_COUNT) << U(5))
    store64(at, ((get(t, w.PLACE) - get(t, w.PASSES)) >> U(4)) | (access << U(32)))
    store64(at + U(8), va & U(0xFFFFF000))
    store64(at + U(16), granted)
    store64(at + U(24), get(t, w.REFS))
    put(t, w.WALK_COUNT, get(t, w.WALK_COUNT) + U(1))
