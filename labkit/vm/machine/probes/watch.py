"""Observing hooks, compiled: stores to a frame, instructions at an address, changes of a register.

They note the clock of the first and of the last hit and change nothing that a guest could see.

A watched frame is reached through an alias above 4 GB whose reads and writes come to two callbacks; all other
frames stay at full speed, and no code has to be translated again.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.block import exact_clock
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.flags import note_flags
from labkit.vm.machine.probes.intrinsics import load8, load32, store8
from labkit.vm.machine.probes.stores import hit

__all__ = ["alias_read", "alias_write", "code_hook", "register_hook"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)


@njit()
def _note(a, clock):  # type: ignore[no-untyped-def]
    if clock < a[c.WATCH_FROM] or clock >= a[c.WATCH_UNTIL]:
        return
    if a[c.WATCH_COUNT] == U(0):
        a[c.WATCH_FIRST], a[c.WATCH_FIRST_SPAN] = clock, U(1)
    a[c.WATCH_LAST], a[c.WATCH_LAST_SPAN] = clock, U(1)
    a[c.WATCH_COUNT] += U(1)


@njit()
def _host(a, offset):  # type: ignore[no-untyped-def]
    return a[c.RAM] + ((a[c.WATCH_ALIAS] - U(1)) << U(12)) + offset


@cfunc(types.uint64(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def alias_read(_engine, offset, size, a):  # type: ignore[no-untyped-def]
    """A load from the watched frame; ones where none is, which Unicorn's own page walk (PAE) can lead to."""
    if a[c.WATCH_ALIAS] == U(0):
        return ~U(0)
    value, at = U(0), _host(a, offset)
    for i in range(size):
        value |= U(load8(at + U(i))) << U(8 * i)
    return value


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, types.uint64, CELLS_POINTER))
def alias_write(_engine, offset, size, value, a):  # type: ignore[no-untyped-def]
    """A store to the watched frame."""
    if a[c.WATCH_ALIAS] == U(0):
        return
    at = _host(a, offset)
    for i in range(size):
        store8(at + U(i), np.uint8((value >> U(8 * i)) & U(0xFF)))
    hit(a, offset, U(size), False)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def code_hook(_engine, linear, _size, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_CODE: an instruction in the watched range is about to run."""
    note_flags(a, linear)
    _note(a, exact_clock(a))


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def register_hook(_engine, linear, _size, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_CODE over everything: did the instruction before this one change the watched register?"""
    note_flags(a, linear)
    value = U(load32(a[c.ENV] + (a[c.WATCH_REGISTER] << U(3))))
    if value != a[c.WATCH_VALUE]:
        _note(a, exact_clock(a) - U(1))
        a[c.WATCH_VALUE] = value
