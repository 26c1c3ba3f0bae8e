"""Trace capture, compiled: which blocks ran and what they read and wrote, noted in rings of 64-bit words.

Blocks go by number. A number stands for a place (linear and physical), a size and the bytes that stood there
when the block was first seen, so what is noted for a pass is one word:

    block    63 58 57 56 55       40 39     24 23      0
            |     |CPL  | retired   | refs    | number  |     `retired`, `refs`: of the pass before this one

How many instructions of a pass have retired is the clock's difference to the next pass: a block that was left
early, run again, or finished by the monitor is right without being known here.

    memory   47 46   40 39              0
            |w | size | physical address |     and the value, in a ring of its own

A number is found again by its place and its pages' generations. Those begin anew whenever the processor forgets
all blocks (`FORGOTTEN`), so a number of before is first compared with the bytes in memory.

Unicorn brings EIP up to date before each store hook, which is most of the cost of tracing; a byte of its
engine says not to (`SKIP`). It is set only for blocks in which nothing looks at EIP.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.block import block_bytes, block_info, count_block, wide
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.decode import INFO_COUNT, SENSITIVE
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64

__all__ = ["memory_hook", "place_hook", "traced_block_hook", "value_hook"]

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
PAGE, MASK32 = U(4096), U(0xFFFFFFFF)
GOLDEN = U(0x9E3779B97F4A7C15)

# words of the trace's state, which the cell TRACE points to
BLOCKS, COUNT, HIGH = 0, 1, 2  # ring of passes, how many, when it is time to empty it
MEMORY, VALUES, REFS, REFS_HIGH = 3, 4, 5, 6
LAST_REFS, LAST_CLOCK = 7, 8  # as they stood at the start of the last pass
SKIP = 9  # host address of the byte, 0 = leave it alone
TABLE, TABLE_SHIFT = 10, 11  # u32 numbers + 1 by hashed place; 64 - log2 of its length
KNOWN = 12  # four words per number, see `_new`
NUMBERS, MOST_NUMBERS = 13, 14
POOL, POOL_COUNT, POOL_HIGH = 15, 16, 17  # bytes of all blocks
SPACES, SPACE_COUNT, LAST_SPACE, SPACES_HIGH = 18, 19, 20, 21  # changes of CR3: index of the pass, CR3
WORDS = 24
PLACE, PAGES_OF, WHERE, INFO_OF = 0, 8, 16, 24  # bytes into the four words
SEEN_OF = 28  # the upper half of INFO_OF: FORGOTTEN when its bytes were last known to be those in memory
KNOWN_SIZE = 32


@njit(inlining="always")
def _get(t, word):  # type: ignore[no-untyped-def]
    return load64(t + U(8 * word))


@njit(inlining="always")
def _set(t, word, value):  # type: ignore[no-untyped-def]
    store64(t + U(8 * word), value)


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
    there = _get(t, POOL) + load64(_get(t, KNOWN) + number * U(KNOWN_SIZE) + U(WHERE))
    different = U(0)
    for i in range(size):
        different |= U(load8(here + U(i)) ^ load8(there + U(i)))
    return different == U(0)


@njit(inlining="never")
def _new(a, t, slot, place, pages, linear, size, info):  # type: ignore[no-untyped-def]
    """A block that was not seen yet, or not with these bytes: place | pages | where its bytes are | info."""
    number, used = _get(t, NUMBERS), _get(t, POOL_COUNT)
    store32(slot, np.uint32(number + U(1)))
    known = _get(t, KNOWN) + number * U(KNOWN_SIZE)
    store64(known + U(PLACE), place)
    store64(known + U(PAGES_OF), pages)
    store64(known + U(WHERE), used)
    store64(known + U(INFO_OF), (info & MASK32) | (a[c.FORGOTTEN] << U(32)))
    here, there = block_bytes(a, linear, size), _get(t, POOL) + used
    for i in range(size):
        store8(there + U(i), load8(here + U(i)))
    _set(t, NUMBERS, number + U(1))
    _set(t, POOL_COUNT, used + size)
    if number + U(2) >= _get(t, MOST_NUMBERS) or used + size >= _get(t, POOL_HIGH):
        _empty_soon(a)
    return number


@njit(inlining="always")
def _number(a, t, linear, size, info):  # type: ignore[no-untyped-def]
    first = _page_of(a, linear)
    pages = first
    if (linear & U(0xFFF)) + size > PAGE:
        pages |= _page_of(a, linear + PAGE) << U(32)
    place = linear | (size << U(32)) | (U(wide(a)) << U(45))
    changing = (first & U(0xFFF)) == U(0xFFF) or ((pages >> U(32)) & U(0xFFF)) == U(0xFFF)
    shift = _get(t, TABLE_SHIFT)
    last = (U(1) << (U(64) - shift)) - U(1)
    at = ((place ^ (pages << U(7))) * GOLDEN) >> shift
    while True:
        slot = _get(t, TABLE) + (at << U(2))
        found = U(load32(slot))
        if found == U(0):
            return _new(a, t, slot, place, pages, linear, size, info)
        known = _get(t, KNOWN) + (found - U(1)) * U(KNOWN_SIZE)
        if load64(known + U(PLACE)) == place and load64(known + U(PAGES_OF)) == pages:
            seen = U(load32(known + U(SEEN_OF))) == a[c.FORGOTTEN] & MASK32
            if (seen and not changing) or _same_bytes(a, t, found - U(1), linear, size):
                if not seen:
                    store32(known + U(SEEN_OF), np.uint32(a[c.FORGOTTEN]))
                return found - U(1)
        at = (at + U(1)) & last


@njit(inlining="never")
def _space(t, index, space):  # type: ignore[no-untyped-def]
    at = _get(t, SPACES) + (_get(t, SPACE_COUNT) << U(4))
    store64(at, index)
    store64(at + U(8), space)
    _set(t, SPACE_COUNT, _get(t, SPACE_COUNT) + U(1))
    _set(t, LAST_SPACE, space)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def traced_block_hook(_engine, linear, size32, a):  # type: ignore[no-untyped-def]
    """In place of the block hook: count the block, and note it unless it is stopped before."""
    t = a[c.TRACE]
    skip = _get(t, SKIP)
    if skip:
        store8(skip, np.uint8(0))
    linear, size = linear & MASK32, U(size32)
    info = block_info(a, linear, size)
    count_block(a, linear, size, info)
    if a[c.STOP] != U(0):
        return
    start = a[c.CLOCK] - (info & U(INFO_COUNT))
    number = _number(a, t, linear, size, info)
    index, refs, env = _get(t, COUNT), _get(t, REFS), a[c.ENV]
    word = number | ((refs - _get(t, LAST_REFS)) << U(24)) | ((start - _get(t, LAST_CLOCK)) << U(40))
    word |= U(load32(env + U(layout.HFLAGS)) & np.uint32(3)) << U(56)
    store64(_get(t, BLOCKS) + (index << U(3)), word)
    space = U(load32(env + U(layout.CR3))) & U(0xFFFFFFFF)
    if space != _get(t, LAST_SPACE):
        _space(t, index, space)
    _set(t, COUNT, index + U(1))
    _set(t, LAST_REFS, refs)
    _set(t, LAST_CLOCK, start)
    if index >= _get(t, HIGH) or refs >= _get(t, REFS_HIGH) or _get(t, SPACE_COUNT) >= _get(t, SPACES_HIGH):
        _empty_soon(a)
    if skip and not info & U(SENSITIVE):
        store8(skip, np.uint8(1))


ACCESS = types.void(types.voidptr, types.int32, types.uint64, types.int32, types.int64, CELLS_POINTER)
WRITE = 17


@njit(inlining="always")
def _note(t, kind, physical, size):  # type: ignore[no-untyped-def]
    refs = t[REFS]
    write = U(1 << 47) if kind == WRITE else U(0)
    store64(t[MEMORY] + (refs << U(3)), (physical & U(0xFFFFFFFFFF)) | (U(size & 127) << U(40)) | write)
    t[REFS] = refs + U(1)
    return refs


@cfunc(ACCESS)
def memory_hook(_engine, kind, physical, size, _value, t):  # type: ignore[no-untyped-def]
    """UC_HOOK_MEM_READ_AFTER and UC_HOOK_MEM_WRITE: note the access."""
    _note(t, kind, physical, size)


@cfunc(ACCESS)
def value_hook(_engine, kind, physical, size, value, t):  # type: ignore[no-untyped-def]
    """The same with the value that was read or is written."""
    refs = _note(t, kind, physical, size)
    store64(t[VALUES] + (refs << U(3)), U(value))


@cfunc(ACCESS)
def place_hook(_engine, kind, physical, size, _value, a):  # type: ignore[no-untyped-def]
    """For checks, UC_HOOK_MEM_READ and _WRITE: note EIP in the place of the value. `SKIP` must be 0."""
    t = a[c.TRACE]
    refs = _get(t, REFS)
    write = U(1 << 47) if kind == WRITE else U(0)
    word = (physical & U(0xFFFFFFFFFF)) | (U(size & 127) << U(40)) | write
    store64(_get(t, MEMORY) + (refs << U(3)), word)
    linear = U(load32(a[c.ENV] + U(layout.EIP))) + U(load32(a[c.ENV] + U(layout.CS_BASE)))
    store64(_get(t, VALUES) + (refs << U(3)), linear & MASK32)
    _set(t, REFS, refs + U(1))
