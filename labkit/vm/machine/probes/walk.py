"""The page walk, compiled: linear page to physical page, as the paging unit does it on a TLB miss.

    32-bit paging   31      22 21      12 11     0       entry  31         12 11  9 8 7 6 5 4 3 2 1 0
                   | directory |  table  | offset |            |   frame      | avl |G|S|D|A|C|T|U|W|P|
    4 MB page       31      22 21                0
                   | directory |     offset       |
    PAE paging      31 30 29      21 20   12 11  0       entry  63 62   36 35  12 ...
                   |ptr | directory | table | offset |         |NX| reserved| frame |...

The order of checks, accessed and dirty bits follows Unicorn's (QEMU's) own unit, which the tests compare it
with. Source: Intel SDM volume 3A, chapter 4.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import njit
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32

__all__ = ["mark_dirty", "translate"]

U = np.uint64
PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE = U(1), U(2), U(4), U(0x20), U(0x40), U(0x80)
NX = U(1 << 63)
PAE_RESERVED = U(0x7FFFFFF000000000)  # physical addresses have 36 bits
FRAME_MASK = U(0x0000000FFFFFF000)
ONES = U(0xFFFFFFFF)

WALK_FAULT, WALK_READ, WALK_WRITE, WALK_EXECUTE, WALK_LARGE = 1 << 62, 1, 2, 4, 8
WALK_USER, WALK_WRITABLE, WALK_DIRTY = 16, 32, 64  # what the entries say, whoever asks


@njit()
def mark_dirty(a, frame):  # type: ignore[no-untyped-def]
    """Note the first write to a physical frame since the last checkpoint, and since descriptors were read there."""
    state = a[c.FRAMES] + frame
    if load8(state) & c.FRAME_TRACED:
        store8(state, np.uint8(load8(state) & np.uint8(0xFF ^ c.FRAME_TRACED)))
    at = a[c.DIRTY] + frame
    if load8(at) == 0:
        store8(at, np.uint8(1))
        store32(a[c.DIRTY_LIST] + (a[c.DIRTY_COUNT] << U(2)), np.uint32(frame))
        a[c.DIRTY_COUNT] += U(1)


@njit()
def _entry32(a, physical):  # type: ignore[no-untyped-def]
    if physical + U(4) > a[c.RAM_SIZE]:
        return ONES  # no memory there: the bus reads ones
    return U(load32(a[c.RAM] + physical))


@njit()
def _entry64(a, physical):  # type: ignore[no-untyped-def]
    if physical + U(8) > a[c.RAM_SIZE]:
        return ~U(0)
    return load64(a[c.RAM] + physical)


@njit()
def _set(a, physical, entry):  # type: ignore[no-untyped-def]
    """Store the low half of a changed entry (accessed and dirty bits live there)."""
    if physical + U(4) <= a[c.RAM_SIZE]:
        store32(a[c.RAM] + physical, np.uint32(entry & ONES))
        mark_dirty(a, physical >> U(12))
        if load8(a[c.FRAMES] + (physical >> U(12))) & (c.FRAME_CODE | c.FRAME_MIXED):
            a[c.WALKED_CODE] = (physical >> U(12)) + U(1)


@njit()
def _fault(code, write, user, fetch, nx_on):  # type: ignore[no-untyped-def]
    if write:
        code |= U(2)
    if user:
        code |= U(4)
    if fetch and nx_on:
        code |= U(16)
    return U(WALK_FAULT) | code


@njit()
def translate(a, va, write, fetch, user, touch):  # type: ignore[no-untyped-def]
    """Physical page | rights, or WALK_FAULT | page-fault error code.

    `touch` 0 makes it a look without side effects: no accessed or dirty bit is set.
    """
    env = a[c.ENV]
    cr0 = load32(env + U(layout.CR0))
    if not (cr0 & np.uint32(0x80000000)):
        return (va & U(0xFFFFF000)) | U(WALK_READ | WALK_WRITE | WALK_EXECUTE)
    cr3 = U(load32(env + U(layout.CR3)))
    cr4 = load32(env + U(layout.CR4))
    pae = (cr4 & np.uint32(0x20)) != 0
    nx_on = pae and (load32(env + U(layout.EFER)) & np.uint32(0x800)) != 0
    reserved, rights, large = U(0), U(0), U(0)
    if pae:
        reserved = PAE_RESERVED if nx_on else PAE_RESERVED | NX
        pointer = _entry64(a, (cr3 & U(0xFFFFFFE0)) + ((va >> U(27)) & U(0x18)))
        if not (pointer & PRESENT):
            return _fault(U(0), write, user, fetch, nx_on)
        if pointer & (PAE_RESERVED | NX):
            return _fault(U(9), write, user, fetch, nx_on)
        pde_at = (pointer & FRAME_MASK) + ((va >> U(18)) & U(0xFF8))
        pde = _entry64(a, pde_at)
        rights = (pde ^ NX) & (WRITE | USER | NX)
    else:
        pde_at = (cr3 & U(0xFFFFF000)) + ((va >> U(20)) & U(0xFFC))
        pde = _entry32(a, pde_at)
        rights = (pde & (WRITE | USER)) | NX
    if not (pde & PRESENT):
        return _fault(U(0), write, user, fetch, nx_on)
    if pde & reserved:
        return _fault(U(9), write, user, fetch, nx_on)
    at, entry = pde_at, pde
    if pde & LARGE and (pae or cr4 & np.uint32(0x10)):
        large = U(WALK_LARGE)
        if pae:
            reserved |= U(0x1FE000)
            page = (pde & U(0xFFFE00000)) | (va & U(0x1FF000))
        else:
            reserved = U(0x200000)
            page = (pde & U(0xFFC00000)) | ((pde & U(0x1E000)) << U(19)) | (va & U(0x3FF000))
    else:
        if touch and not (pde & ACCESSED):
            _set(a, pde_at, pde | ACCESSED)
        if pae:
            at = (pde & FRAME_MASK) + ((va >> U(9)) & U(0xFF8))
            entry = _entry64(a, at)
            rights &= entry ^ NX
        else:
            at = (pde & U(0xFFFFF000)) + ((va >> U(10)) & U(0xFFC))
            entry = _entry32(a, at)
            rights &= entry | NX
        if not (entry & PRESENT):
            return _fault(U(0), write, user, fetch, nx_on)
        page = entry & FRAME_MASK
    if entry & reserved:
        return _fault(U(9), write, user, fetch, nx_on)
    # here NX set in `rights` means: execution allowed (it was inverted on the way)
    may_write = (rights & WRITE) != 0 or (not user and not (cr0 & np.uint32(0x10000)))
    if user and not (rights & USER):
        return _fault(U(1), write, user, fetch, nx_on)
    if (write and not may_write) or (fetch and not (rights & NX)):
        return _fault(U(1), write, user, fetch, nx_on)
    changed = entry | ACCESSED
    if write:
        changed |= DIRTY
    if changed != entry and touch:
        _set(a, at, changed)
    granted = U(WALK_READ)
    if may_write and changed & DIRTY:
        granted |= U(WALK_WRITE)
    if rights & NX:
        granted |= U(WALK_EXECUTE)
    if changed & DIRTY:
        granted |= U(WALK_DIRTY)
    return page | granted | large | ((rights & USER) << U(2)) | ((rights & WRITE) << U(4))
