"""TLB events, noted for the trace, compiled: walks that the guest's own TLB could not spare it, and its flushes.

    words of a walk:  pass | access << 32     linear page     physical page | rights, or fault | error    reference
    of a flush:       pass | 3, 4 << 32       linear page     0                                           reference

`pass` and `reference` are how many of each had been noted: the walk was for the access that came next. Since
labkit's TLB (tlb.py) is a matter of the guest alone, so are its walks. But for fetches that are refused: Unicorn
translates ahead, and tries again. Of these only what comes to a page fault is noted, when it does (machine/trace.py).

A flush is told at the access after it: 3 is INVLPG, 4 is all (MOV to CR3, paging bits of CR0 or CR4, a task switch).
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import store64
from labkit.vm.machine.probes.trace_words import get, put
from labkit.vm.machine.probes.walk import WALK_FAULT

__all__ = ["ALL", "FETCH", "PAGE", "note_flush", "note_walk"]

U = np.uint64
READ, WRITE, FETCH, PAGE, ALL = 0, 1, 2, 3, 4


@njit(inlining="never")
def note_walk(a, va, granted, write, fetch):  # type: ignore[no-untyped-def]
    """A walk for a linear page has come to `granted`."""
    if fetch and granted & U(WALK_FAULT):
        return
    _note(a, va, granted, U(FETCH) if fetch else U(WRITE) if write else U(READ))


@njit(inlining="never")
def note_flush(a, va, what):  # type: ignore[no-untyped-def]
    """The guest's TLB has lost a linear page (`PAGE`), or all of them (`ALL`)."""
    if a[c.TRACE]:
        _note(a, va, U(0), U(what))


@njit(inlining="never")
def _note(a, va, granted, access):  # type: ignore[no-untyped-def]
    t = a[c.TRACE]
    if get(t, w.WALKS) == U(0) or get(t, w.WALK_COUNT) >= get(t, w.WALKS_HIGH):
        return
    at = get(t, w.WALKS) + (get(t, w.WALK_COUNT) << U(5))
    store64(at, ((get(t, w.PLACE) - get(t, w.PASSES)) >> U(4)) | (access << U(32)))
    store64(at + U(8), va & U(0xFFFFF000))
    store64(at + U(16), granted)
    store64(at + U(24), get(t, w.REFS))
    put(t, w.WALK_COUNT, get(t, w.WALK_COUNT) + U(1))
