"""The protection unit in the processor, compiled: the TLB fill of a machine whose mmu is "keys".

The words of the unit, at the address in cell PROTECTION: level, keys on, translation on, space, then addresses of

    TLB        u64 for each page of each of four spaces; 0 = no entry
               63      44 43       20 19      7   6   5   4 3   2   0
               |  frame  |   key     |   0   | a | d | p | pl  |  ar  |  +  bit 19: there is one
    REGISTERS  u32 each, as the key registers' words
    RIGHTS     u8 for each ar, pl, level: what is allowed

Unicorn's own TLB only remembers what was granted here; it is flushed whenever one of these words changes, which costs
time and no fill of the unit's TLB.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.answers import CELLS_POINTER, FETCH, WRITE, memory, outside, refuse
from labkit.vm.machine.probes.compiled import cfunc, entry, njit, types
from labkit.vm.machine.probes.fill import paged_answer
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store32

__all__ = ["COUNT", "KEYS_ON", "LEVEL", "REGISTERS", "RIGHTS", "SIZE", "SPACE", "TLB", "TRANSLATE", "unit_fill",
           "verdict"]  # fmt: skip

LEVEL, KEYS_ON, TRANSLATE, SPACE, TLB, REGISTERS, COUNT, RIGHTS = range(8)
SIZE = 8

U = np.uint64
R, W, X = 1, 2, 4
PASSED = 1 << 8
MISS, NOT_PRESENT, KEY_MISS, KEY_PERMISSION, ACCESS_RIGHTS, DIRTY_BIT, ACCESS_BIT = range(1, 8)


@njit()
def _word(unit, index):  # type: ignore[no-untyped-def]
    return load64(unit + U(8 * index))


@njit()
def _entry(unit, page):  # type: ignore[no-untyped-def]
    return load64(_word(unit, TLB) + (((_word(unit, SPACE) << U(20)) | page) << U(3)))


@njit()
def _check(unit, found, need):  # type: ignore[no-untyped-def]
    """The number of the fault, or PASSED | what else this page may be used for: the gates in their order."""
    if not (found & U(1 << 19)):
        return U(MISS)
    if not (found & U(1 << 5)):
        return U(NOT_PRESENT)
    disabled = U(0)
    if _word(unit, KEYS_ON):
        key, holds = (found >> U(20)) & U(0xFFFFFF), False
        for i in range(_word(unit, COUNT)):
            register = U(load32(_word(unit, REGISTERS) + U(4 * i)))
            if register & U(1) and register >> U(8) == key:
                holds = True
                disabled = ((register >> U(2)) & U(R)) | (register & U(W)) | ((register >> U(1)) & U(X))
        if not holds:
            return U(KEY_MISS)
        if disabled & need:
            return U(KEY_PERMISSION)
    index = ((found & U(7)) << U(4)) | (((found >> U(3)) & U(3)) << U(2)) | _word(unit, LEVEL)
    allowed = U(load8(_word(unit, RIGHTS) + index))
    if not (allowed & need):
        return U(ACCESS_RIGHTS)
    if not (found & U(1 << 6)):
        if need == U(W):
            return U(DIRTY_BIT)
        allowed &= ~U(W)
    if not (found & U(1 << 7)):
        return U(ACCESS_BIT)
    return U(PASSED) | (allowed & ~disabled)


@entry("u64(cells, u64, u64)")
def verdict(a, page, need):  # type: ignore[no-untyped-def]
    """The number of the fault that an access (1 read, 2 write, 4 execute) to a page raises, or 256 | its rights."""
    return _check(a[c.PROTECTION], _entry(a[c.PROTECTION], page), need)


@njit()
def _readable(done, result, rights):  # type: ignore[no-untyped-def]
    """Reading is a right of its own here: a page may be executed, or written, without it."""
    if done:
        store32(result + U(8), load32(result + U(8)) & np.uint32(rights))
    return done


@njit()
def _unit(a, va, access, result):  # type: ignore[no-untyped-def]
    if a[c.MAINTENANCE]:
        return paged_answer(a, va, access, result)
    a[c.TLB_FILLS] += U(1)
    unit = a[c.PROTECTION]
    va &= U(0xFFFFFFFF)
    need = U(X) if access == FETCH else U(W) if access == WRITE else U(R)
    page, rights = va & U(0xFFFFF000), U(R | W | X)
    if _word(unit, TRANSLATE):
        found = _entry(unit, va >> U(12))
        answer = _check(unit, found, need)
        if not (answer & U(PASSED)):
            return refuse(a, c.Stop.PAGE_FAULT, va, U(0), answer | need << U(8), access)
        page, rights = (found >> U(44)) << U(12), answer & U(R | W | X)
    if page >= a[c.RAM_SIZE]:
        return _readable(outside(a, va, page, access, result), result, rights)
    return _readable(memory(a, va, page, rights, access, result), result, rights)


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, CELLS_POINTER))
def unit_fill(_engine, va, access, result, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_TLB_FILL, by the protection unit."""
    return _unit(a, va, access, result)
