"""Compiled hooks for exceptions, RDTSC, IN and SYSENTER."""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.block import exact_clock, settle, settle_software
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.flags import mend_flags, settle_flags
from labkit.vm.machine.probes.intrinsics import call_in, call_stop, load32, store32, store64
from labkit.vm.machine.probes.translated import enter

__all__ = ["exception_hook", "flags_hook", "in_hook", "note_exception", "rdtsc_hook", "sysenter_hook"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32 = U(0xFFFFFFFF)
MINUS_ONE = np.uint32(0xFFFFFFFF)
DEBUG_EXCEPTION = 1
TF, VM, IF, RF = 0x100, 0x20000, 0x200, 0x10000
# hflags: CPL 0-1, INHIBIT_IRQ 3, CS32 4, SS32 5, ADDSEG 6
HFLAGS_KEEP = np.uint32(0xFFFFFFFF & ~(0x3 | 0x8 | 0x10 | 0x20 | 0x40))
FLAT_CODE = np.uint32(0x00CF9B00)  # descriptor word 1: present, DPL 0, code, 4 GB
FLAT_STACK = np.uint32(0x00CF9300)
SEGMENT = 24


@njit()
def note_exception(a, vector):  # type: ignore[no-untyped-def]
    """Note the exception or INT n and leave.

    A software interrupt has retired (EIP is behind it); a fault has not (EIP is at it).
    """
    store32(a[c.OLD_EXCEPTION], MINUS_ONE)
    a[c.VECTOR] = U(vector)
    a[c.SOFTWARE] = U(load32(a[c.IS_SOFTWARE]))
    a[c.ERROR] = U(load32(a[c.ERROR_CODE]))
    a[c.STOP] = U(c.Stop.EXCEPTION)
    eip = U(load32(a[c.ENV] + U(layout.EIP)))
    if a[c.SOFTWARE]:
        settle_software(a, eip)
    elif vector != DEBUG_EXCEPTION:
        settle(a, eip)
    mend_flags(a[c.ENV])
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])


@cfunc(types.void(types.voidptr, types.uint32, CELLS_POINTER))
def exception_hook(_engine, vector, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_INTR: note the exception or INT n and leave; delivery is the monitor's work."""
    note_exception(a, vector)


@njit()
def _ticks(a):  # type: ignore[no-untyped-def]
    """Guest time, see guest_clock.py."""
    passed = ((exact_clock(a) - a[c.TIME_CLOCK]) * a[c.TIME_RATE]) >> U(16)
    return a[c.TIME_TICKS] + passed + a[c.IDLE]


@cfunc(types.uint32(types.uint64, types.uint32, types.int32, CELLS_POINTER))
def in_hook(engine, port, size, a):  # type: ignore[no-untyped-def]
    """IN: from the polled port while its value is known, else by Python."""
    if U(port) + U(1) == a[c.POLLED_PORT] and size == 1 and _ticks(a) < a[c.POLLED_UNTIL]:
        a[c.POLLED_READS] += U(1)
        return np.uint32(a[c.POLLED_VALUE])
    return call_in(a[c.PORT_FUNCTION], engine, port, size)


@cfunc(types.int32(types.voidptr, CELLS_POINTER))
def rdtsc_hook(_engine, a):  # type: ignore[no-untyped-def]
    """RDTSC: guest time in ticks."""
    a[c.RDTSCS] += U(1)
    ticks = _ticks(a)
    store64(a[c.ENV], ticks & MASK32)
    store64(a[c.ENV] + U(16), ticks >> U(32))
    return 1


@njit()
def _flat(env, index, selector, flags):  # type: ignore[no-untyped-def]
    at = env + U(layout.SEGMENTS + SEGMENT * index)
    store32(at, selector)
    store64(at + U(8), U(0))
    store32(at + U(16), MINUS_ONE)
    store32(at + U(20), flags)


@cfunc(types.void(types.voidptr, CELLS_POINTER))
def sysenter_hook(_engine, a):  # type: ignore[no-untyped-def]
    """SYSENTER, which Unicorn leaves undone: flat ring 0 code and stack from the three MSRs (SDM volume 2).

    Unicorn adds the instruction's length (2) to EIP when the hook returns.
    """
    a[c.SYSENTERS] += U(1)
    env = a[c.ENV]
    selector = load32(env + U(layout.SYSENTER_CS)) & np.uint32(0xFFFC)
    _flat(env, 1, selector, FLAT_CODE)
    _flat(env, 2, selector + np.uint32(8), FLAT_STACK)
    hflags = load32(env + U(layout.HFLAGS)) & HFLAGS_KEEP
    data_base = load32(env + U(layout.SEGMENTS + 8)) | load32(env + U(layout.SEGMENTS + 3 * SEGMENT + 8))
    store32(env + U(layout.HFLAGS), hflags | np.uint32(0x30) | np.uint32(0x40 if data_base else 0))
    eflags = load32(env + U(layout.EFLAGS)) & np.uint32(~(IF | VM | RF) & 0xFFFFFFFF)
    store64(env + U(layout.EFLAGS), U(eflags))
    store64(env + U(32), U(load32(env + U(layout.SYSENTER_ESP))))
    store64(env + U(layout.EIP), (U(load32(env + U(layout.SYSENTER_EIP))) - U(2)) & MASK32)
    enter(a, U(load32(env + U(layout.SYSENTER_EIP))), 2)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def flags_hook(_engine, linear, _size, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_CODE of CMPXCHG8B, which must find the flags and not what they are to be computed of."""
    settle_flags(a, linear)
