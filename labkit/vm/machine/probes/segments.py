"""The segmentation unit, compiled: may this instruction make its accesses? Unicorn does not ask.

    expand-up    0 ......... limit | fault        expand-down   fault | limit + 1 ......... FFFF or FFFFFFFF

Flat code must not pay. A segment is plain when no access through it can fault: present, writable (code: readable),
expand-up, limit FFFFFFFF. Only these blocks are looked at:

    loads a segment register        what is plain is decided anew before the next block (ATTENTION_UNIT)
    goes on behind the load         has checks of its own: the load falls in the middle of it
    uses FS or GS, one not plain    has checks of its own
    any, ES, CS, SS or DS not plain all code has checks, until that has not been so for a while (core.py)

Checks are `check_hook` before each instruction of a block, when the registers are exact. Blocks of the first three
kinds never count themselves (call_site.py), so that the block hook sees them.

Source: Intel SDM volume 3A, 5.3 and 5.4.
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import SEGMENT_CHECK, SEGMENT_LOAD, USES_FS, USES_GS
from labkit.vm.machine.probes.intrinsics import load32, load64, store64

__all__ = ["CHECKED_BITS", "faults", "is_plain", "is_unchecked", "mark_checked"]

U = np.uint64
ES, CS, SS, DS, FS, GS = range(6)
PROTECTED, VIRTUAL_8086 = np.uint32(1), np.uint32(0x20000)
PRESENT, CODE, DOWN, WRITABLE, BIG = (np.uint32(1 << bit) for bit in (15, 11, 10, 9, 22))
CHECKED_BITS = 12
LONG = U(0xFFF)  # blocks of this size or more are all taken for longest
GOLDEN = U(0x9E3779B97F4A7C15)


@njit()
def _at(env, segment):  # type: ignore[no-untyped-def]
    return env + U(layout.SEGMENTS) + U(24) * U(segment)


@njit()
def is_plain(env, segment):  # type: ignore[no-untyped-def]
    """Can no access through this segment fault (stores through a code segment aside)?"""
    at = _at(env, segment)
    flags = load32(at + U(20))
    if not (flags & PRESENT) or load32(at + U(16)) != np.uint32(0xFFFFFFFF):
        return False
    if not (flags & WRITABLE):  # the same bit is "readable" of code
        return False
    if flags & CODE:
        return segment == CS
    return not (flags & DOWN)


@njit()
def faults(env: Any, segment: Any, offset: Any, size: Any, write: Any) -> Any:
    """Does an access of `size` bytes fault?"""
    at = _at(env, segment)
    flags, limit = load32(at + U(20)), U(load32(at + U(16)))
    if not (flags & PRESENT):
        return True
    last = offset + U(size) - U(1)
    if flags & CODE:
        if write or not (flags & WRITABLE):
            return True
    else:
        if write and not (flags & WRITABLE):
            return True
        if flags & DOWN:
            top = U(0xFFFFFFFF) if flags & BIG else U(0xFFFF)
            return offset <= limit or last > top
    return last > limit and limit != U(0xFFFFFFFF)


@njit(inlining="never")
def _reassess(a):  # type: ignore[no-untyped-def]
    """Segments may have changed: which of them are to be watched?"""
    env = a[c.ENV]
    mask, state = U(SEGMENT_CHECK | SEGMENT_LOAD), U(0)
    protected = load32(env + U(layout.CR0)) & PROTECTED
    if protected and not (load32(env + U(layout.EFLAGS)) & VIRTUAL_8086):
        for segment in (ES, CS, SS, DS):
            if not is_plain(env, segment):
                state = U(c.SEGMENTS_WATCHED)
        if not is_plain(env, FS):
            mask |= U(USES_FS)
        if not is_plain(env, GS):
            mask |= U(USES_GS)
    a[c.SEGMENT_MASK], a[c.SEGMENT_STATE] = mask, state


@njit()
def _place(a, linear):  # type: ignore[no-untyped-def]
    """Where it is noted that a block at this address has checks, and as what: address and frame."""
    frame = U(load32(a[c.PAGES] + (((linear & U(0xFFFFFFFF)) >> U(12)) << U(2))) >> np.uint32(12))
    key = (linear << U(20)) | frame
    return a[c.SEGMENT_CHECKED] + (((key * GOLDEN) >> U(64 - CHECKED_BITS)) << U(3)), key << U(12)


@entry("void(cells, u64, u64)")
def mark_checked(a, linear, size):  # type: ignore[no-untyped-def]
    """All translations that begin here and are not longer have the segmentation unit's checks."""
    slot, key = _place(a, linear)
    known = load64(slot)
    if known < key or known - key < min(size, LONG) or known - key > LONG:
        store64(slot, key | min(size, LONG))


@njit(inlining="never")
def is_unchecked(a, linear, size, info):  # type: ignore[no-untyped-def]
    """Does the block that is about to run use a segment that is not plain, and is translated without checks?"""
    if a[c.SEGMENT_STATE] & U(c.SEGMENTS_LOADED):
        _reassess(a)
        a[c.ATTENTION] &= ~U(c.ATTENTION_UNIT)
    watched = info & a[c.SEGMENT_MASK] & ~U(SEGMENT_LOAD) | (a[c.SEGMENT_STATE] & U(c.SEGMENTS_WATCHED))
    if info & U(SEGMENT_LOAD):
        a[c.SEGMENT_STATE] |= U(c.SEGMENTS_LOADED)
        a[c.ATTENTION] |= U(c.ATTENTION_UNIT)
    if watched == U(0) or a[c.SEGMENT_HOOK]:
        return False
    slot, key = _place(a, linear)
    known = load64(slot)
    return known < key or known - key < min(size, LONG) or known - key > LONG
