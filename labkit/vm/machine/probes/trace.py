"""Trace capture, compiled: which blocks ran, and what they read and wrote that trace_access.py did not see.

Blocks go by number. A number stands for a place (linear and physical), a size, a privilege level and the bytes
that stood there when the block was first seen, so what is noted for a pass is four 32-bit words:

    number | references before it | clock before it, modulo 2^32 | register states before it

How many instructions of a pass have retired is the clock's difference to the next pass: a block that was left
early, run again, or finished by the monitor is right without being known here.

A number is found again by its place and its pages' generations. Those begin anew whenever the processor forgets
all blocks (`FORGOTTEN`), so a number of before is first compared with the bytes in memory.

A block whose bytes cannot change under its translation notes itself from its second pass on (trace_site.py).
References are noted by trace_access.py where that is possible; the hooks here take the rest, or all.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.block import block_bytes, block_info, count_block, wide
from labkit.vm.machine.probes.call_site import describe
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import INFO_COUNT, SENSITIVE
from labkit.vm.machine.probes.flags import store_hooked_flags
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64
from labkit.vm.machine.probes.trace_access import let_hooks_be_called, linear_of, note
from labkit.vm.machine.probes.trace_site import note_in_place
from labkit.vm.machine.probes.trace_words import get, put

__all__ = [
    "memory_hook", "place_hook", "register_hook", "traced_block_hook", "traced_block_hook_again",
    "traced_block_hook_replacing",
]  # fmt: skip

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
PAGE, MASK32 = U(4096), U(0xFFFFFFFF)
GOLDEN = U(0x9E3779B97F4A7C15)
UNCACHED = U(0xFFF)

# place: linear | size << 32 | wide << 45 | privilege level << 46;  pages: frame | generation of both
PLACE, PAGES_OF, WHERE, INFO_OF = 0, 8, 16, 24  # bytes into the four words of a number
SEEN_OF = 28  # the upper half of INFO_OF: FORGOTTEN when its bytes were last known to be those in memory
KNOWN_SIZE = 32
PASS_SIZE = 16


@njit()
def _page_of(a, linear):  # type: ignore[no-untyped-def]
    return U(load32(a[c.PAGES] + (((linear & MASK32) >> U(12)) << U(2))))


@njit()
def _empty_soon(a):  # type: ignore[no-untyped-def]
    """Stop at the start of the next block."""
    a[c.PAUSE] = U(0)
    a[c.LIMIT] = U(0)


@njit(inlining="never")
def _same_bytes(a, t, number, linear, size):  # type: ignore[no-untyped-def]
    here = block_bytes(a, linear, size)
    there = get(t, w.POOL) + load64(get(t, w.KNOWN) + number * U(KNOWN_SIZE) + U(WHERE))
    different = U(0)
    for i in range(size):
        different |= U(load8(here + U(i)) ^ load8(there + U(i)))
    return different == U(0)


@njit(inlining="never")
def _new(a, t, slot, place, pages, linear, size, info):  # type: ignore[no-untyped-def]
    """A block that was not seen yet, or not with these bytes: place | pages | where its bytes are | info."""
    number, used = get(t, w.NUMBERS), get(t, w.POOL_COUNT)
    store32(slot, np.uint32(number + U(1)))
    known = get(t, w.KNOWN) + number * U(KNOWN_SIZE)
    store64(known + U(PLACE), place)
    store64(known + U(PAGES_OF), pages)
    store64(known + U(WHERE), used)
    store64(known + U(INFO_OF), (info & MASK32) | (a[c.FORGOTTEN] << U(32)))
    here, there = block_bytes(a, linear, size), get(t, w.POOL) + used
    for i in range(size):
        store8(there + U(i), load8(here + U(i)))
    put(t, w.NUMBERS, number + U(1))
    put(t, w.POOL_COUNT, used + size)
    if number + U(2) >= get(t, w.MOST_NUMBERS) or used + size >= get(t, w.POOL_HIGH):
        _empty_soon(a)
    return number


@njit()
def _find(a, t, place, pages, linear, size, info):  # type: ignore[no-untyped-def]
    changing = (pages & UNCACHED) == UNCACHED or ((pages >> U(32)) & UNCACHED) == UNCACHED
    shift = get(t, w.TABLE_SHIFT)
    last = (U(1) << (U(64) - shift)) - U(1)
    at = ((place ^ (pages << U(7))) * GOLDEN) >> shift
    while True:
        slot = get(t, w.TABLE) + (at << U(2))
        found = U(load32(slot))
        if found == U(0):
            return _new(a, t, slot, place, pages, linear, size, info)
        known = get(t, w.KNOWN) + (found - U(1)) * U(KNOWN_SIZE)
        if load64(known + U(PLACE)) == place and load64(known + U(PAGES_OF)) == pages:
            seen = U(load32(known + U(SEEN_OF))) == a[c.FORGOTTEN] & MASK32
            if (seen and not changing) or _same_bytes(a, t, found - U(1), linear, size):
                if not seen:
                    store32(known + U(SEEN_OF), np.uint32(a[c.FORGOTTEN]))
                return found - U(1)
        at = (at + U(1)) & last


@njit(inlining="always")
def _number(a, t, linear, size, info):  # type: ignore[no-untyped-def]
    """The number of the block, and whether it stays so while it has this translation."""
    pages = _page_of(a, linear)
    inside = (linear & U(0xFFF)) + size <= PAGE
    if not inside:
        pages |= _page_of(a, linear + PAGE) << U(32)
    level = U(load32(a[c.ENV] + U(layout.HFLAGS)) & np.uint32(3))
    place = linear | (size << U(32)) | (U(wide(a)) << U(45)) | (level << U(46))
    stays = inside and (pages & UNCACHED) != UNCACHED
    version = pages | (a[c.FORGOTTEN] << U(32))
    if stays and place == get(t, w.LAST_PLACE) and version == get(t, w.LAST_VERSION):
        return get(t, w.LAST_NUMBER), stays
    number = _find(a, t, place, pages, linear, size, info)
    if stays:
        put(t, w.LAST_PLACE, place)
        put(t, w.LAST_VERSION, version)
        put(t, w.LAST_NUMBER, number)
    return number, stays


@njit(inlining="never")
def _space(t, index, space):  # type: ignore[no-untyped-def]
    at = get(t, w.SPACES) + (get(t, w.SPACE_COUNT) << U(4))
    store64(at, index)
    store64(at + U(8), space)
    put(t, w.SPACE_COUNT, get(t, w.SPACE_COUNT) + U(1))
    put(t, w.LAST_SPACE, space)


@njit()
def _note_pass(a, t, number, info):  # type: ignore[no-untyped-def]
    """The block has been counted and is about to run."""
    at, refs = get(t, w.PLACE), get(t, w.REFS)
    store32(at, np.uint32(number))
    store32(at + U(4), np.uint32(refs))
    store32(at + U(8), np.uint32(a[c.CLOCK] - (info & U(INFO_COUNT))))
    store32(at + U(12), np.uint32(get(t, w.STATES)))
    space = U(load32(a[c.ENV] + U(layout.CR3)))
    if space != get(t, w.LAST_SPACE):
        _space(t, (at - get(t, w.PASSES)) >> U(4), space)
    put(t, w.PLACE, at + U(PASS_SIZE))
    if (
        at >= get(t, w.PLACE_HIGH) or refs >= get(t, w.REFS_HIGH)
        or get(t, w.SPACE_COUNT) >= get(t, w.SPACES_HIGH) or get(t, w.STATES) >= get(t, w.STATES_HIGH)
        or get(t, w.WALK_COUNT) >= get(t, w.WALKS_HIGH)
    ):  # fmt: skip
        _empty_soon(a)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def traced_block_hook(_engine, linear, size32, a):  # type: ignore[no-untyped-def]
    """In place of the block hook: count the block, and note it unless it is stopped before.

    Unicorn brings EIP up to date before each store hook, which costs much; a byte of its engine says not to
    (`SKIP`). It is set only for blocks in which nothing looks at EIP.
    """
    t = a[c.TRACE]
    skip = get(t, w.SKIP)
    let_hooks_be_called(t)
    if skip:
        store8(skip, np.uint8(0))
    linear, size = linear & MASK32, U(size32)
    info = block_info(a, linear, size)
    count_block(a, linear, size, info)
    if a[c.STOP] != U(0):
        return
    number, _stays = _number(a, t, linear, size, info)
    _note_pass(a, t, number, info)
    if skip and not info & U(SENSITIVE):
        store8(skip, np.uint8(1))


@cfunc(types.int64(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def traced_block_hook_replacing(_engine, linear, size32, a, back):  # type: ignore[no-untyped-def]
    """The same, called by way of call_site.py: where the block can, it notes itself from now on."""
    t = a[c.TRACE]
    linear, size = linear & MASK32, U(size32)
    info = block_info(a, linear, size)
    count_block(a, linear, size, info)
    if a[c.STOP] != U(0):
        return 0
    number, stays = _number(a, t, linear, size, info)
    _note_pass(a, t, number, info)
    if stays:
        note_in_place(a, t, back, number, linear, size, info)
    return 0


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def traced_block_hook_again(_engine, _linear, _size, a, back):  # type: ignore[no-untyped-def]
    """A block that notes itself has found that there is more to do."""
    t, at = a[c.TRACE], describe(a, back)
    linear, size, info = U(load32(at)), U(load32(at + U(4))), load64(at + U(8))
    count_block(a, linear, size, info)
    if a[c.STOP] != U(0):
        return
    number, _stays = _number(a, t, linear, size, info)
    _note_pass(a, t, number, info)


ACCESS = types.void(types.voidptr, types.int32, types.uint64, types.int32, types.int64, CELLS_POINTER)
WRITE = 17


@cfunc(ACCESS)
def memory_hook(_engine, kind, physical, size, value, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_MEM_READ_AFTER and UC_HOOK_MEM_WRITE: note the access."""
    t = a[c.TRACE]
    meta = U(size & 0x7F) | (U(w.WRITE) if kind == WRITE else U(0))
    linear = linear_of(t, a[c.ENV], physical) if get(t, w.LINEAR) else U(0)
    note(t, physical, linear, meta, U(value))


@cfunc(ACCESS)
def place_hook(_engine, kind, physical, size, _value, a):  # type: ignore[no-untyped-def]
    """For checks, UC_HOOK_MEM_READ and _WRITE: note EIP in the place of the value. `SKIP` must be 0."""
    meta = U(size & 0x7F) | (U(w.WRITE) if kind == WRITE else U(0))
    linear = U(load32(a[c.ENV] + U(layout.EIP))) + U(load32(a[c.ENV] + U(layout.CS_BASE)))
    note(a[c.TRACE], physical, U(0), meta, linear & MASK32)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def register_hook(_engine, _linear, _size, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_CODE: note the general registers and the flags before an instruction."""
    t = a[c.TRACE]
    at = get(t, w.REGISTERS) + get(t, w.STATES) * U(4 * w.STATE_WORDS)
    for i in range(8):
        store32(at + U(4 * i), load32(a[c.ENV] + U(8 * i)))
    store_hooked_flags(a, at + U(32))
    put(t, w.STATES, get(t, w.STATES) + U(1))
