"""The block hook, compiled: the instruction clock, exact deadlines and the interrupt window.

Unicorn calls it before each translated block. Where a block ends depends on Unicorn (page ends, hooks, cache), so
nothing the guest can see may depend on it: the clock counts instructions, not blocks, and a deadline inside a
block stops before the block, to be finished exactly (see processor.py).

What a block holds is decoded once and kept in a direct-mapped table. A key names the physical code bytes:

    63   57 56        44 43      32 31          12 11          0
    |wide |   size      | offset   | frame        | generation  |     (two pages: the second is mixed in)

and the frame's generation changes whenever its bytes may have changed.
"""

import numpy as np
from numba import carray, cfunc, njit, types

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.decode import (
    BRANCH,
    CX8,
    INFO_COUNT,
    IO,
    REP,
    REP_FIRST,
    SENSITIVE,
    SYSENTER,
    TSC,
    retired_before,
    survey,
)
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import call_stop, load8, load32, load64, store8, store64
from labkit.vm.machine.probes.walk import WALK_FAULT, translate

__all__ = ["TABLE_BITS", "accept", "block_bytes", "block_hook", "exact_clock", "settle"]

U = np.uint64
TABLE_BITS = 17
GOLDEN = U(0x9E3779B97F4A7C15)
UNCACHED = np.uint32(0xFFF)
PAGE = U(4096)
MASK32 = U(0xFFFFFFFF)
ALLOW_ALL = U(c.ALLOW_ALL)


@njit(cache=True)
def wide(a):  # type: ignore[no-untyped-def]
    """The D bit of CS: 1 in 32-bit code, 0 in 16-bit code."""
    return np.int64((load32(a[c.ENV] + U(layout.HFLAGS)) >> 4) & 1)


@njit(cache=True)
def _page(a, linear):  # type: ignore[no-untyped-def]
    """Physical frame | generation of a page that code was fetched from."""
    if a[c.NATIVE]:
        found = translate(a, linear, False, True, False, False)
        if found & U(WALK_FAULT):
            return UNCACHED
        return np.uint32(found & U(0xFFFFF000)) | UNCACHED
    return load32(a[c.PAGES] + (((linear & MASK32) >> U(12)) << U(2)))


@njit(cache=True)
def _host(a, page):  # type: ignore[no-untyped-def]
    """Host address of a code page; a page of ours where there is no RAM."""
    physical = U(page & np.uint32(0xFFFFF000))
    return a[c.RAM] + physical if physical < a[c.RAM_SIZE] else a[c.SCRATCH] + U(8192)


@njit(cache=True)
def block_bytes(a, linear, size):  # type: ignore[no-untyped-def]
    """Host address of a block's bytes, gathered in the scratch cells when it crosses a page.

    15 bytes more than the block may be read from there.
    """
    offset = linear & U(0xFFF)
    start = _host(a, _page(a, linear)) + offset
    if offset + size + U(16) <= PAGE:
        return start
    first = PAGE - offset
    rest = size + U(16) - first if size + U(16) > first else U(0)
    second = _host(a, _page(a, linear + first)) if offset + size > PAGE else a[c.SCRATCH] + U(8192)
    for i in range(first):
        store8(a[c.SCRATCH] + U(i), load8(start + U(i)))
    for i in range(min(rest, U(4096))):
        store8(a[c.SCRATCH] + first + U(i), load8(second + U(i)))
    return a[c.SCRATCH]


@njit(cache=True)
def _slot(a, key):  # type: ignore[no-untyped-def]
    return a[c.BLOCKS] + (((key * GOLDEN) >> U(64 - TABLE_BITS)) << U(4))


@njit(cache=True)
def _key(a, linear, size):  # type: ignore[no-untyped-def]
    """The table's key for a block, and whether it must not be kept."""
    page = _page(a, linear)
    key = U(page) | ((linear & U(0xFFF)) << U(32)) | (size << U(44)) | (U(wide(a)) << U(58)) | U(1 << 63)
    uncached = (page & UNCACHED) == UNCACHED
    if (linear & U(0xFFF)) + size > PAGE:
        other = _page(a, linear + PAGE)
        key ^= U(other) * GOLDEN | U(1)
        uncached = uncached or (other & UNCACHED) == UNCACHED
    return key, uncached


@njit(cache=True)
def block_info(a, linear, size):  # type: ignore[no-untyped-def]
    """Instruction count and kinds of the block at `linear`, from the table or decoded now."""
    key, uncached = _key(a, linear, size)
    slot = _slot(a, key)
    if load64(slot) == key and not uncached:
        return load64(slot + U(8))
    a[c.DECODES] += U(1)
    info = U(survey(block_bytes(a, linear, size), size, wide(a)))
    store64(slot, U(0) if uncached else key)
    store64(slot + U(8), info)
    return info


@njit(cache=True)
def accept(a, linear, size):  # type: ignore[no-untyped-def]
    """Note that the block's CMPXCHG8B has been seen to: it is not stopped before again while the table has it."""
    block_info(a, linear, size)
    key, _ = _key(a, linear, size)
    slot = _slot(a, key)
    if load64(slot) == key:
        store64(slot + U(8), load64(slot + U(8)) & ~U(CX8))


@njit(cache=True)
def settle(a, eip):  # type: ignore[no-untyped-def]
    """The current block was left at `eip` before its end: take back what has not retired."""
    size = a[c.BLOCK_SIZE]
    if size == 0:
        return
    base = U(load32(a[c.ENV] + U(layout.CS_BASE)))
    offset = ((eip + base) & MASK32) - a[c.BLOCK]
    if offset < size:
        done = retired_before(block_bytes(a, a[c.BLOCK], size), size, wide(a), offset)
        a[c.CLOCK] -= (a[c.BLOCK_INFO] & U(INFO_COUNT)) - U(done)
        if a[c.BLOCK_INFO] & U(BRANCH):
            a[c.BRANCHES] -= U(1)
    a[c.BLOCK_SIZE] = U(0)


@njit(cache=True)
def exact_clock(a):  # type: ignore[no-untyped-def]
    """Instructions retired before the one that is executing now (inside a port, RDTSC or CPUID hook)."""
    size = a[c.BLOCK_SIZE]
    eip = U(load32(a[c.ENV] + U(layout.EIP)))
    offset = ((eip + U(load32(a[c.ENV] + U(layout.CS_BASE)))) & MASK32) - a[c.BLOCK]
    if size == 0 or offset >= size:
        return a[c.CLOCK]
    done = retired_before(block_bytes(a, a[c.BLOCK], size), size, wide(a), offset)
    return a[c.CLOCK] - (a[c.BLOCK_INFO] & U(INFO_COUNT)) + U(done)


@njit(cache=True)
def _stop(a, why):  # type: ignore[no-untyped-def]
    a[c.STOP] = U(why)
    mend_flags(a[c.ENV])
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])


@njit(cache=True)
def _needs_check(a, linear, info):  # type: ignore[no-untyped-def]
    """Does this block hold an instruction that Unicorn would run although it must first be checked?"""
    if a[c.ALLOW] == linear or a[c.ALLOW] == ALLOW_ALL:
        return False
    env = a[c.ENV]
    eflags = load32(env + U(layout.EFLAGS))
    cpl = load32(env + U(layout.HFLAGS)) & np.uint32(3)
    if info & U(IO) and (eflags & np.uint32(0x20000) or cpl > ((eflags >> np.uint32(12)) & np.uint32(3))):
        return load32(env + U(layout.CR0)) & np.uint32(1) != 0
    if info & U(TSC) and cpl != 0 and load32(env + U(layout.CR4)) & np.uint32(4):
        return True
    if info & U(SYSENTER) and not (load32(env + U(layout.SYSENTER_CS)) & np.uint32(0xFFFC)):
        return True
    return (info & U(CX8)) != 0


@njit(cache=True)
def _restarted(a, linear, size, info):  # type: ignore[no-untyped-def]
    """A store changed its own block: Unicorn runs it again alone, and the clock has counted it already."""
    offset = linear - a[c.BLOCK]
    if offset == 0 or offset >= a[c.BLOCK_SIZE] or (info & U(INFO_COUNT)) != 1 or info & U(BRANCH | REP):
        return
    done = retired_before(block_bytes(a, a[c.BLOCK], a[c.BLOCK_SIZE]), a[c.BLOCK_SIZE], wide(a), offset)
    a[c.CLOCK] -= (a[c.BLOCK_INFO] & U(INFO_COUNT)) - U(done)
    if a[c.BLOCK_INFO] & U(BRANCH):
        a[c.BRANCHES] -= U(1)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, types.voidptr), cache=True)
def block_hook(_engine, linear, size32, user_data):  # type: ignore[no-untyped-def]
    """UC_HOOK_BLOCK: count the block that is about to run, or stop before it."""
    a = carray(user_data, (c.CELLS,), dtype=np.uint64)
    size = U(size32)
    info = block_info(a, linear, size)
    if a[c.MIXED]:
        _restarted(a, linear, size, info)
    clock = a[c.CLOCK]
    after = clock + (info & U(INFO_COUNT))
    if after > a[c.LIMIT] or clock >= a[c.LIMIT]:
        if clock >= a[c.DEADLINE]:
            _stop(a, c.Stop.DEADLINE)
            return
        if clock >= a[c.PAUSE]:
            _stop(a, c.Stop.PAUSE)
            return
    if a[c.INTR]:
        env = a[c.ENV]
        if load32(env + U(layout.EFLAGS)) & np.uint32(0x200) and not (load32(env + U(layout.HFLAGS)) & np.uint32(8)):
            _stop(a, c.Stop.WINDOW)
            return
    if info & U(SENSITIVE) and _needs_check(a, linear, info):
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.SENSITIVE)
        return
    if after > a[c.DEADLINE]:
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.PARTIAL)
        return
    if info & U(REP_FIRST):
        if a[c.BLOCK] != linear:
            continued = a[c.BLOCK_INFO] & U(REP) and a[c.BLOCK] + a[c.BLOCK_SIZE] == linear + size
            a[c.REP_START] = clock - U(1) if continued else clock
    a[c.CLOCK] = after
    if info & U(BRANCH):
        a[c.BRANCHES] += U(1)
    a[c.BLOCK], a[c.BLOCK_SIZE], a[c.BLOCK_INFO] = linear, size, info
