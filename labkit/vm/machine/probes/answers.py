"""How a TLB fill may answer, compiled: a translation granted or refused, in RAM by the state of its frame.

    result   0         64        96
             | physical | rights |          rights: 1 read, 2 write, 4 execute; not touched by a refusal

The fills themselves (fill.py, keyed_fill.py, unit_fill.py, translated_run.py) find out what is allowed; what that
comes to on this machine is here. A refusal ends the run with the instruction not begun; `FAULT` tells why.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.block import settle
from labkit.vm.machine.probes.compiled import njit, types
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import load8, load16, load32, store8, store32, store64
from labkit.vm.machine.probes.walk import WALK_EXECUTE, WALK_WRITE, mark_dirty

__all__ = [
    "ABOVE", "CELLS_POINTER", "FETCH", "READ", "WRITE", "R", "W", "X", "grant", "linear_eip", "memory", "outside",
    "refuse",
]  # fmt: skip

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
READ, WRITE, FETCH = 16, 17, 18  # Unicorn's names for the access
R, W, X = 1, 2, 4
ABOVE, VOID, BUCKET = U(c.ABOVE), U(c.VOID_PAGE), U(c.BUCKET_PAGE)


@njit()
def grant(result, physical, rights):  # type: ignore[no-untyped-def]
    """The translation leads to this physical page."""
    store64(result, physical)
    store32(result + U(8), np.uint32(rights))
    return np.uint8(1)


@njit()
def refuse(a, why, va, physical, code, access):  # type: ignore[no-untyped-def]
    """No translation, for a `Stop`; the current block ends before the instruction."""
    a[c.FAULT] = U(why)
    a[c.FAULT_PAGE] = va
    a[c.FAULT_PHYSICAL] = physical
    a[c.FAULT_CODE] = code
    a[c.FAULT_ACCESS] = U(access)
    if access != FETCH:
        settle(a, U(load32(a[c.ENV] + U(layout.EIP))))
    mend_flags(a[c.ENV])
    return np.uint8(0)


@njit()
def linear_eip(a):  # type: ignore[no-untyped-def]
    """CS base + EIP."""
    env = a[c.ENV]
    return (U(load32(env + U(layout.EIP))) + U(load32(env + U(layout.CS_BASE)))) & U(0xFFFFFFFF)


@njit()
def outside(a, va, page, access, result):  # type: ignore[no-untyped-def]
    """An access beyond RAM: a device, or nothing (reads ones, swallows writes)."""
    if page < ABOVE:
        for i in range(c.MMIO_RANGES):
            first, end = a[c.MMIO + 2 * i], a[c.MMIO + 2 * i + 1]
            if first <= page < end:
                if access == FETCH:
                    break
                if access == READ and page + U(1) == a[c.STEADY_PAGE]:
                    return grant(result, U(c.REGISTER_PAGE), R)
                return refuse(a, c.Stop.MMIO, va, page, U(0), access)
    if access == FETCH:
        return refuse(a, c.Stop.NOWHERE, va, page, U(0), access)
    if access == WRITE:
        return grant(result, BUCKET, W)
    return grant(result, VOID, R)


@njit()
def memory(a, va, page, granted, access, result):  # type: ignore[no-untyped-def]
    """An access to RAM: apply the frame's state."""
    frame = page >> U(12)
    at = a[c.FRAMES] + frame
    state = load8(at)
    executable = np.uint64(X) if state & c.FRAME_MIXED else np.uint64(0)
    may_write = (granted & U(WALK_WRITE)) != 0 and not (state & c.FRAME_ROM)
    if access == FETCH:
        if not (state & (c.FRAME_CODE | c.FRAME_MIXED)):
            if state & c.FRAME_WRITABLE:
                return refuse(a, c.Stop.CODE_FETCH, va, page, U(0), access)
            store8(at, np.uint8(state | c.FRAME_CODE))
        store32(
            a[c.PAGES] + ((va >> U(12)) << U(2)),
            np.uint32(page | U(load16(a[c.GENERATION] + (frame << U(1))))),
        )
        if may_write and executable and load8(a[c.DIRTY] + frame) and not (state & c.FRAME_TRACED):
            if a[c.WATCH_ALIAS] == frame + U(1):
                a[c.WATCH_MISSED] = U(1)
            return grant(result, page, R | W | X)
        return grant(result, page, R | X)
    if executable and a[c.WATCH_ALIAS] == frame + U(1):
        a[c.WATCH_MISSED] = U(1)
    target = U(c.WATCH_PAGE) if a[c.WATCH_ALIAS] == frame + U(1) and not executable else page
    if access == WRITE:
        if state & c.FRAME_ROM:
            if state & c.FRAME_BUCKET:
                return grant(result, BUCKET, W)
            return refuse(a, c.Stop.ROM_WRITE, va, page, U(0), access)
        if state & c.FRAME_CODE or (executable and not (granted & U(WALK_EXECUTE))):
            return refuse(a, c.Stop.CODE_WRITE, va, page, U(0), access)
        mark_dirty(a, frame)
        store8(at, np.uint8((state | c.FRAME_WRITABLE) & (0xFF ^ c.FRAME_TRACED)))
        return grant(result, target, U(R | W) | executable)
    if executable and not (granted & U(WALK_EXECUTE)):
        return grant(result, target, R)
    if may_write and not (state & (c.FRAME_CODE | c.FRAME_TRACED)) and load8(a[c.DIRTY] + frame):
        store8(at, np.uint8(state | c.FRAME_WRITABLE))
        return grant(result, target, U(R | W) | executable)
    return grant(result, target, U(R) | executable)
