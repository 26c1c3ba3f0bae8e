"""Linear memory as the processor itself reaches it, compiled: stacks and tables during delivery of an event.

Supervisor accesses, accessed and dirty bits set as by any other access.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import entry
from labkit.vm.machine.probes.intrinsics import load8, store8
from labkit.vm.machine.probes.stores import note_store
from labkit.vm.machine.probes.tlb import lookup
from labkit.vm.machine.probes.walk import WALK_FAULT, mark_dirty

__all__ = ["FAULT", "frame_for_write", "read_linear", "write_linear"]

U = np.uint64
FAULT = 1 << 62
FRAME = U(0xFFFFFF000)


@entry("u64(cells, u64, i64)")
def read_linear(a, linear, size):  # type: ignore[no-untyped-def]
    """Little-endian value of 1, 2 or 4 bytes, or FAULT | address << 8 | page-fault error code."""
    value = U(0)
    page, at = U(1), U(0)
    for i in range(size):
        address = (U(linear) + U(i)) & U(0xFFFFFFFF)
        if address & U(0xFFFFF000) != page:
            page = address & U(0xFFFFF000)
            at = lookup(a, page, False, False, False)
            if at & U(WALK_FAULT):
                return U(FAULT) | address << U(8) | (at & U(0x1F))
        physical = (at & FRAME) | (address & U(0xFFF))
        byte = U(load8(a[c.RAM] + physical)) if physical < a[c.RAM_SIZE] else U(0xFF)
        value |= byte << U(8 * i)
    return value


@entry("u64(cells, u64)")
def frame_for_write(a, linear):  # type: ignore[no-untyped-def]
    """Physical address behind a linear one that is about to be written, or FAULT as `read_linear`."""
    at = lookup(a, U(linear) & U(0xFFFFF000), True, False, False)
    if at & U(WALK_FAULT):
        return U(FAULT) | U(linear) << U(8) | (at & U(0x1F))
    return (at & FRAME) | (U(linear) & U(0xFFF))


@entry("u64(cells, u64, i64, u64)")
def write_linear(a, linear, size, value):  # type: ignore[no-untyped-def]
    """Store 1, 2 or 4 bytes; 0, or FAULT as `read_linear`. What lies outside RAM or in ROM is lost."""
    for i in range(size):
        at = frame_for_write(a, (U(linear) + U(i)) & U(0xFFFFFFFF))
        if at & U(FAULT):
            return at
        if at < a[c.RAM_SIZE] and not (load8(a[c.FRAMES] + (at >> U(12))) & c.FRAME_ROM):
            store8(a[c.RAM] + at, np.uint8((U(value) >> U(8 * i)) & U(0xFF)))
            mark_dirty(a, at >> U(12))
            note_store(a, at, U(1), True)
    return U(0)
