"""The binary translator's block hook and TLB fill, compiled: what may run where, and what it counts.

    CPL 3   the guest's programs, straight on the processor: counted as under the other engine
    CPL 1   the guest's kernel, translated: fetched from the translation cache and from nowhere else
    CPL 0   an instruction that the monitor lets the processor do (TC_FREE)

The top 4 MB of the linear space are the monitor's, whatever the guest's page tables say. Its pages can be fetched at
CPL 1. Data there is read and written at CPL 1 by what the segment register allows: the segmentation unit is asked
whenever the TLB has no such page, which is always, since one that was granted leaves it with the access. At CPL 3
they are the supervisor's.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.answers import CELLS_POINTER, FETCH, WRITE, R, W, X, grant, refuse
from labkit.vm.machine.probes.block import block_info, count_block, known_info
from labkit.vm.machine.probes.call_site import (
    REPLACED,
    describe,
    replace_call,
    replace_page_check,
    unfold,
)
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import BRANCH, ENABLES
from labkit.vm.machine.probes.fill import paged_answer
from labkit.vm.machine.probes.flags import mend_flags
from labkit.vm.machine.probes.intrinsics import call_stop, load8, load32, load64, store32, store64
from labkit.vm.machine.probes.segment_check import check_instruction
from labkit.vm.machine.probes.shadow import ALL_PAGES, CHECKED, GRANTED, LEFT_OUT, OPENED, RUNNING, USER_PAGES
from labkit.vm.machine.probes.translated import is_seen

__all__ = [
    "translated_block_hook", "translated_block_hook_again", "translated_block_hook_replacing", "translated_fill",
]  # fmt: skip

U = np.uint64
BASE, MASK32 = U(c.TC_BASE), U(0xFFFFFFFF)
PHYSICAL = U(c.TC_PHYSICAL - c.TC_BASE)
CPL, INHIBIT, IF = np.uint32(3), np.uint32(8), np.uint32(0x200)


@njit()
def _stop(a, why):  # type: ignore[no-untyped-def]
    a[c.STOP] = U(why)
    mend_flags(a[c.ENV])
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])
    return True


@njit(inlining="never")
def _attend(a, linear, size, after):  # type: ignore[no-untyped-def]
    """What the fast path found worth a look: True when the processor was stopped before the block."""
    unfold(a)
    place, env = linear - BASE, a[c.ENV]
    flags = load8(a[c.TC_FLAGS] + place)
    if flags & c.TC_INSIDE:
        return False
    clock = a[c.CLOCK]
    if clock >= a[c.DEADLINE]:
        return _stop(a, c.Stop.DEADLINE)
    if clock >= a[c.PAUSE]:
        return _stop(a, c.Stop.PAUSE)
    if a[c.INTR]:
        if not load32(env + U(layout.EFLAGS)) & IF:
            a[c.ATTENTION] &= ~U(c.ATTENTION_INTR)  # until the dispatcher sets IF
        elif not load32(env + U(layout.HFLAGS)) & INHIBIT:
            return _stop(a, c.Stop.WINDOW)
    page = U(load32(a[c.TC_GUEST] + (place << U(2)))) >> U(12)
    if not is_seen(a, page) or (flags & c.TC_CROSSES and not is_seen(a, (page + U(1)) & U(0xFFFFF))):
        return _stop(a, c.Stop.STALE)
    inside = load8(a[c.TC_FLAGS] + place + size) & c.TC_INSIDE
    if after > a[c.DEADLINE] or (inside and after == a[c.DEADLINE]):
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        return _stop(a, c.Stop.PARTIAL)
    if flags & c.TC_REPEATS and a[c.TC_BLOCK] != linear:
        continued = a[c.TC_SIZE] != 0 and a[c.TC_BLOCK] + a[c.TC_SIZE] == linear + size
        a[c.REP_START] = clock - U(1) if continued else clock
    heeded = a[c.ATTENTION] & ~U(c.ATTENTION_MIXED | c.ATTENTION_UNIT)  # which are of programs
    a[c.LIMIT] = U(0) if heeded else min(a[c.DEADLINE], a[c.PAUSE])
    return False


@njit()
def _count(a, linear, size):  # type: ignore[no-untyped-def]
    """Count the block that is about to run, or stop before it."""
    if linear >= BASE and not a[c.TC_FREE]:
        place = linear - BASE
        sums = a[c.TC_SUMS] + (place << U(3))
        done = load64(sums + (size << U(3))) - load64(sums)
        page = U(load32(a[c.TC_GUEST] + (place << U(2)))) >> U(12)
        after = a[c.CLOCK] + (done & MASK32)
        if (
            after >= a[c.LIMIT]
            or load8(a[c.TC_FLAGS] + place)
            or not load8(a[c.TC_SEEN] + page)
        ) and _attend(a, linear, size, after):
            return
        a[c.CLOCK] = after
        a[c.BRANCHES] += done >> U(32)
        a[c.TC_BLOCK], a[c.TC_SIZE], a[c.SITE] = linear, size, U(0)
        return
    unfold(a)
    a[c.TC_SIZE] = U(0)
    if not a[c.TC_FREE] and (load32(a[c.ENV] + U(layout.HFLAGS)) & CPL) != CPL:
        _stop(a, c.Stop.KERNEL)
        return
    info = block_info(a, linear, size)
    if not a[c.TC_FREE] and info & U(BRANCH) and info & U(ENABLES):  # may lead inward, and to the cache's addresses
        _stop(a, c.Stop.CALLOUT)
        return
    count_block(a, linear, size, info)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def translated_block_hook(_engine, linear, size32, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_BLOCK: count the block that is about to run, or stop before it."""
    _count(a, linear & MASK32, U(size32))


@njit()
def _simple(a, linear, size):  # type: ignore[no-untyped-def]
    """Block info of a block that may count itself; 0 of another.

    In the cache that is one with nothing to be looked at before it, which ends between two instructions of the
    guest. Its page is looked at where it is come to: TC_CHECK, and in the dispatcher.
    """
    if linear < BASE:
        return known_info(a, linear, size) if (load32(a[c.ENV] + U(layout.HFLAGS)) & CPL) == CPL else U(0)
    place = linear - BASE
    if load8(a[c.TC_FLAGS] + place) or load8(a[c.TC_FLAGS] + place + size) & c.TC_INSIDE:
        return U(0)
    if not load8(a[c.TC_SEEN] + (U(load32(a[c.TC_GUEST] + (place << U(2)))) >> U(12))):
        return U(0)
    sums = a[c.TC_SUMS] + (place << U(3))
    done = load64(sums + (size << U(3))) - load64(sums)
    if done >> U(32) > U(1):
        return U(0)
    return (done & MASK32) | (U(BRANCH) if done >> U(32) else U(0)) if done & MASK32 < U(128) else U(0)


@njit()
def _page(a, linear):  # type: ignore[no-untyped-def]
    """The guest's linear page (a number) that a place in the cache is a translation from."""
    return U(load32(a[c.TC_GUEST] + ((linear - BASE) << U(2)))) >> U(12)


@njit()
def _is_page_check(a, linear, size):  # type: ignore[no-untyped-def]
    """Is the block the jump before a translation, whose page only has to be looked at?"""
    if linear < BASE or load8(a[c.TC_FLAGS] + linear - BASE) != c.TC_CHECK or size != U(5):
        return False
    sums = a[c.TC_SUMS] + ((linear - BASE) << U(3))
    return load64(sums + U(40)) == load64(sums) and load8(a[c.TC_SEEN] + _page(a, linear)) != 0


@cfunc(types.int64(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def translated_block_hook_replacing(_engine, linear, size32, a, back):  # type: ignore[no-untyped-def]
    """The same, called by way of call_site.py: simple blocks count themselves from now on."""
    linear, size = linear & MASK32, U(size32)
    if not a[c.TC_FREE]:
        info = _simple(a, linear, size)
        if info and replace_call(a, back, linear, size, info):
            return REPLACED
        if _is_page_check(a, linear, size) and replace_page_check(a, back, linear, size, _page(a, linear)):
            return REPLACED
    _count(a, linear, size)
    return 0


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def translated_block_hook_again(_engine, _linear, _size, a, back):  # type: ignore[no-untyped-def]
    """A block that counts itself has found that there is more to do."""
    at = describe(a, back)
    _count(a, U(load32(at)), U(load32(at + U(4))))


@njit(inlining="never")
def _is_allowed(a, va, level):  # type: ignore[no-untyped-def]
    """May the instruction at EIP reach the monitor's memory, by its segment's limit? Paging alone stops level 3."""
    words = a[c.SHADOW]
    if level == CPL:
        return load64(words + U(LEFT_OUT)) & U(USER_PAGES) != U(0)
    eip = U(load32(a[c.ENV] + U(layout.EIP)))
    if level != np.uint32(1) or not load64(words + U(RUNNING)) or eip < BASE:
        return False
    if load64(words + U(LEFT_OUT)) & U(CHECKED):
        store64(words + U(OPENED), ALL_PAGES)
        return True
    if check_instruction(a, a[c.TC_MEMORY] + (eip - BASE), eip):
        return False
    store64(words + U(OPENED), va + U(1))
    store64(words + U(GRANTED), load64(words + U(GRANTED)) + U(1))
    return True


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, CELLS_POINTER))
def translated_fill(_engine, va, access, result, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_TLB_FILL: as `fill.tlb_fill`, with the monitor's part of the linear space set apart."""
    if BASE <= va <= MASK32 and not a[c.TC_OPEN]:
        level = load32(a[c.ENV] + U(layout.HFLAGS)) & CPL
        if a[c.MAINTENANCE] or (access == FETCH and level == np.uint32(1)):
            return grant(result, va + PHYSICAL, X)
        if a[c.SHADOW] and access != FETCH and _is_allowed(a, va, level):
            return grant(result, va + PHYSICAL, R | W if access == WRITE else R)
        return refuse(a, c.Stop.MONITOR, va & U(0xFFFFF000), va & U(0xFFFFF000), U(0), access)
    if a[c.MAINTENANCE] or a[c.TC_FREE]:
        return paged_answer(a, va, access, result)
    if access == FETCH and (load32(a[c.ENV] + U(layout.HFLAGS)) & CPL) != CPL:
        return refuse(a, c.Stop.KERNEL, va & U(0xFFFFF000), U(0), U(0), access)
    granted = paged_answer(a, va, access, result)
    if granted and access != FETCH and (load32(a[c.ENV] + U(layout.HFLAGS)) & CPL) != CPL:
        store32(result + U(8), load32(result + U(8)) & np.uint32(3))
    return granted
