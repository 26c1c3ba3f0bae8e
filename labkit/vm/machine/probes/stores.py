"""Stores, noted: in the watched bytes as hits, and in a map with a bit for each byte of RAM.

    map of a frame    | byte 63 ... 1 0 | byte 127 ... 64 | ...             64 words of 64 bits

The paging unit's accessed and dirty bits are not stores.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.call_site import unfold
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import INFO_COUNT
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64

__all__ = ["hit", "note_store", "store_hook"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
MASK32 = U(0xFFFFFFFF)
PAGE = U(4096)


@njit()
def _watched(a, offset, size):  # type: ignore[no-untyped-def]
    return offset < a[c.WATCH_PLACE] + a[c.WATCH_SIZE] and offset + size > a[c.WATCH_PLACE]


@njit()
def hit(a, offset, size, delivered):  # type: ignore[no-untyped-def]
    """A store to the watched frame: by the block that runs now, or by the monitor, delivering an event.

    Which instruction of the block it was is not known here: its clock is that of the block's start.
    """
    if not _watched(a, offset, size):
        return
    unfold(a)
    count = U(0) if delivered else a[c.BLOCK_INFO] & U(INFO_COUNT)
    clock = a[c.CLOCK] - count
    base = U(load32(a[c.ENV] + U(layout.CS_BASE)))
    eip = U(load32(a[c.ENV] + U(layout.EIP))) if delivered else (a[c.BLOCK] - base) & MASK32
    if a[c.WATCH_COUNT] == U(0):
        a[c.WATCH_FIRST], a[c.WATCH_FIRST_SPAN] = clock, count
    same = a[c.WATCH_COUNT] != U(0) and a[c.WATCH_LAST] == clock and a[c.WATCH_LAST_SPAN] == count
    a[c.WATCH_LOW] = min(a[c.WATCH_LOW], offset) if same else offset
    a[c.WATCH_HIGH] = max(a[c.WATCH_HIGH], offset + size) if same else offset + size
    a[c.WATCH_LAST], a[c.WATCH_LAST_SPAN] = clock, count
    a[c.WATCH_COUNT] += U(1)
    a[c.WATCH_EIP], a[c.WATCH_BRANCHES] = eip, a[c.BRANCHES]


@njit()
def _map(a, physical, size):  # type: ignore[no-untyped-def]
    frame, offset = physical >> U(12), physical & U(0xFFF)
    seen = a[c.STORE_SEEN] + frame
    if load8(seen) == 0:
        store8(seen, np.uint8(1))
        store32(a[c.STORE_FRAMES] + (a[c.STORE_COUNT] << U(2)), np.uint32(frame))
        a[c.STORE_COUNT] += U(1)
    word = a[c.STORE_MAP] + (frame << U(9)) + ((offset >> U(6)) << U(3))
    bits, shift = (U(1) << size) - U(1), offset & U(63)
    store64(word, load64(word) | (bits << shift))
    if offset + size > PAGE:
        a[c.STORE_CROSSED] = U(1)
    elif shift + size > U(64):
        store64(word + U(8), load64(word + U(8)) | (bits >> (U(64) - shift)))


@njit()
def note_store(a, physical, size, delivered):  # type: ignore[no-untyped-def]
    """Something was stored to RAM past the processor's callbacks: tell whoever watches."""
    if a[c.WATCH_FRAME] == (physical >> U(12)) + U(1):
        hit(a, physical & U(0xFFF), size, delivered)
    if a[c.STORE_MAP]:
        _map(a, physical, size)


STORE = types.void(types.voidptr, types.int32, types.uint64, types.int32, types.int64, CELLS_POINTER)


@cfunc(STORE)
def store_hook(_engine, _kind, physical, size, _value, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_MEM_WRITE: a store is about to be made. The address is physical."""
    if physical < a[c.RAM_SIZE]:
        note_store(a, physical, U(size), False)
