"""User/supervisor protection by keys, compiled: the TLB fill of a machine whose mmu is "keyed paging".

The processor's own check of the privilege level is not used. Page tables are walked as the supervisor would at
every level, so that the translations permit too much; each page has a key by the rights that its tables give:

    key 0 supervisor, read-only   1 supervisor, writable   2 user, read-only   3 user, writable
    disabled at user level: rwx                    rwx                 w                  nothing
    disabled at supervisor level: nothing (CR0.WP is in the walk)

A key that forbids is a fault of the hardware; the guest's own rule is then evaluated, and that fault reflected.
Unicorn has a TLB for ring 3 and one for the others, so what one level has filled the other does not see: the verdicts
are those of keys, the number of fills is Unicorn's. Behind both is the guest's TLB (tlb.py), whose entries carry the
key's two bits.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.answers import CELLS_POINTER, FETCH, WRITE, linear_eip, memory, outside, refuse
from labkit.vm.machine.probes.block import finish_flush
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.fill import paged_answer
from labkit.vm.machine.probes.intrinsics import load32, load64, store8, store64
from labkit.vm.machine.probes.system_access import system_access
from labkit.vm.machine.probes.tlb import drop_faulted, lookup, peek
from labkit.vm.machine.probes.walk import WALK_FAULT, WALK_LARGE, WALK_USER, WALK_WRITABLE

__all__ = [
    "CHANGES", "FORBIDDEN", "KEYS", "LEVEL", "OFF", "REGISTERS", "SIZE", "STALE", "WRITTEN", "keyed_fill",
]  # fmt: skip

# the words of the unit, at the address in cell PROTECTION
LEVEL, CHANGES, WRITTEN, FORBIDDEN, STALE, OFF, REGISTERS = 0, 1, 2, 3, 4, 5, 8
KEYS = 4
SIZE = REGISTERS + KEYS

U = np.uint64
R, W, X = 1, 2, 4
DISABLED = (R | W | X, R | W | X, W, 0)  # at user level, by key
HFLAGS_CPL = np.uint32(3)


@njit()
def _key(a, granted):  # type: ignore[no-untyped-def]
    """The key of a mapped page: the user and writable bits of its tables, all levels of them together."""
    if not (load32(a[c.ENV] + U(layout.CR0)) & np.uint32(0x80000000)):
        return U(3)  # paging is off: everybody's
    return ((granted & U(WALK_WRITABLE)) >> U(5)) | ((granted & U(WALK_USER)) >> U(3))


@njit()
def _set_level(unit, user):  # type: ignore[no-untyped-def]
    """The level has changed since the last fill: rewrite the key registers that hold another value for it."""
    if load64(unit + U(8 * LEVEL)) == user:
        return
    store64(unit + U(8 * LEVEL), user)
    store64(unit + U(8 * CHANGES), load64(unit + U(8 * CHANGES)) + U(1))
    for key in range(KEYS):
        disabled = U(DISABLED[key]) if user else U(0)
        at = unit + U(8 * (REGISTERS + key))
        if load64(at) != disabled:
            store64(at, disabled)
            store64(unit + U(8 * WRITTEN), load64(unit + U(8 * WRITTEN)) + U(1))


@njit()
def _count(unit, what):  # type: ignore[no-untyped-def]
    at = unit + U(8 * what)
    store64(at, load64(at) + U(1))


@njit()
def _keyed(a, va, access, result):  # type: ignore[no-untyped-def]
    if a[c.MAINTENANCE]:
        return paged_answer(a, va, access, result)
    unit = a[c.PROTECTION]
    va &= U(0xFFFFFFFF)
    fetch, write = access == FETCH, access == WRITE
    user = (load32(a[c.ENV] + U(layout.HFLAGS)) & HFLAGS_CPL) == 3
    _set_level(unit, U(1) if user else U(0))
    if fetch and a[c.ATTENTION] & U(c.ATTENTION_FLUSHING):
        finish_flush(a, linear_eip(a))
    granted = peek(a, va, write, fetch)  # what the shadow rights permit, at any level
    disabled, need = U(0), U(X) if fetch else U(W) if write else U(R)
    if not (granted & U(WALK_FAULT)) and not load64(unit + U(8 * OFF)):
        disabled = load64(unit + U(8 * REGISTERS) + (_key(a, granted) << U(3)))
    if user and not fetch and (granted & U(WALK_FAULT) or disabled & need) and system_access(a, va):
        user, disabled = False, U(0)  # the processor's own read of a table: made at supervisor level
    if granted & U(WALK_FAULT) or disabled & need:
        if not (granted & U(WALK_FAULT)):
            _count(unit, FORBIDDEN)
        granted = lookup(a, va, write, fetch, user)  # the guest's own rule: which fault it is to see
        if granted & U(WALK_FAULT):
            a[c.TLB_FILLS] += U(1)
            if not fetch or va == linear_eip(a) & U(0xFFFFF000):  # and not a fetch ahead
                drop_faulted(a, va)
            return refuse(a, c.Stop.PAGE_FAULT, va, U(0), granted & U(0x1F), access)
        _count(unit, STALE)  # hidden: the guest's TLB held older tables than it has now
        disabled = U(0)
    else:
        granted = lookup(a, va, write, fetch, False)
    if a[c.WALKED_CODE]:  # an accessed or dirty bit lies in a frame with code
        frame, a[c.WALKED_CODE] = a[c.WALKED_CODE] - U(1), U(0)
        return refuse(a, c.Stop.CODE_WRITE, va, frame << U(12), U(0), access)
    granted &= ~disabled
    a[c.TLB_FILLS] += U(1)
    if granted & U(WALK_LARGE):
        half = a[c.LARGE] + ((va >> U(22)) << U(1))
        store8(half, np.uint8(1))
        store8(half + U(1), np.uint8(1))
    page = granted & U(0x0000FFFFFFFFF000)
    if a[c.ALIAS_FRAME] or page >= a[c.RAM_SIZE]:
        if a[c.ALIAS_FRAME] and page == (a[c.ALIAS_FRAME] - U(1)) << U(12):
            return paged_answer(a, va, access, result)  # a device register of the instruction that the monitor emulates
        if page >= a[c.RAM_SIZE]:
            return outside(a, va, page, access, result)
    return memory(a, va, page, granted, access, result)


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, CELLS_POINTER))
def keyed_fill(_engine, va, access, result, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_TLB_FILL, with keys in place of the user/supervisor check."""
    return _keyed(a, va, access, result)
