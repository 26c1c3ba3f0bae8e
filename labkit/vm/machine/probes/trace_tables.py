"""Tables of a trace file from the columns of a trace, compiled: runs of instructions by number, and references.

    runs         instructions that follow each other in memory and in time, on one page and privilege level, as one
                 row; each distinct one gets a number (`code`), by its first appearance
    references   each with its instruction's point

Both take one array of words: host addresses and counts, numbered below.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store32, store64

__all__ = ["references", "runs", "widen"]

U = np.uint64
GOLDEN = U(0x9E3779B97F4A7C15)

LINEAR, PHYSICAL, SIZE, CPL, KEPT, COUNT = 0, 1, 2, 3, 4, 5  # columns by instruction; KEPT i64, 0 = all
AT, CODE, ROWS = 6, 7, 8  # by run: u32 index of its first instruction, u32 number; how many
TABLE, TABLE_SHIFT, KEYS, KNOWN, MOST = 9, 10, 11, 12, 13  # u32 number + 1 by hash; two u64 by number
REFS, START, POINT = 14, 15, 16  # u8 by instruction; the stretch's first point; i64 by reference
STARTS, START_COUNT, NEXT = 17, 18, 19  # u32: where blocks begin, 0 = not known; which is next
WORDS = 20
KEY_SIZE = 16


@njit(inlining="always")
def _code(w, first, second):  # type: ignore[no-untyped-def]
    """The number of a run."""
    shift = w[TABLE_SHIFT]
    last = (U(1) << (U(64) - shift)) - U(1)
    at = ((first ^ (second << U(21))) * GOLDEN) >> shift
    while True:
        slot = w[TABLE] + (at << U(2))
        found = U(load32(slot))
        if found == U(0):
            key = w[KEYS] + w[KNOWN] * U(KEY_SIZE)
            store64(key, first)
            store64(key + U(8), second)
            w[KNOWN] += U(1)
            store32(slot, np.uint32(w[KNOWN]))
            return w[KNOWN] - U(1)
        key = w[KEYS] + (found - U(1)) * U(KEY_SIZE)
        if load64(key) == first and load64(key + U(8)) == second:
            return found - U(1)
        at = (at + U(1)) & last


@entry("void(cells)", alone=False)
def widen(w):  # type: ignore[no-untyped-def]
    """Enter all keys into a new table, which is empty."""
    shift = w[TABLE_SHIFT]
    last = (U(1) << (U(64) - shift)) - U(1)
    for number in range(w[KNOWN]):
        key = w[KEYS] + U(number) * U(KEY_SIZE)
        at = ((load64(key) ^ (load64(key + U(8)) << U(21))) * GOLDEN) >> shift
        while load32(w[TABLE] + (at << U(2))):
            at = (at + U(1)) & last
        store32(w[TABLE] + (at << U(2)), np.uint32(U(number) + U(1)))


@njit(inlining="always")
def _row(w, first, end):  # type: ignore[no-untyped-def]
    place = U(load32(w[LINEAR] + (first << U(2)))) | (U(load32(w[PHYSICAL] + (first << U(2)))) << U(32))
    code = _code(w, place, (end - first) | (U(load8(w[CPL] + first)) << U(32)))
    store32(w[AT] + (w[ROWS] << U(2)), np.uint32(first))
    store32(w[CODE] + (w[ROWS] << U(2)), np.uint32(code))
    w[ROWS] += U(1)


@njit(inlining="always")
def _breaks(w, i):  # type: ignore[no-untyped-def]
    """Does instruction `i` not go on from the one before?"""
    linear, before = load32(w[LINEAR] + (i << U(2))), (i - U(1)) << U(2)
    size = np.uint32(load8(w[SIZE] + i - U(1)))
    breaks = linear != np.uint32(load32(w[LINEAR] + before) + size)
    breaks |= load32(w[PHYSICAL] + (i << U(2))) != np.uint32(load32(w[PHYSICAL] + before) + size)
    breaks |= linear & np.uint32(0xFFF) == np.uint32(0)
    breaks |= load8(w[CPL] + i) != load8(w[CPL] + i - U(1))
    if w[KEPT]:
        breaks |= load64(w[KEPT] + (i << U(3))) != load64(w[KEPT] + ((i - U(1)) << U(3))) + U(1)
    return breaks


@njit(inlining="always")
def _block_end(w, i):  # type: ignore[no-untyped-def]
    """The first instruction from `i` on that may not go on from the one before: of a block, or on two pages."""
    count = w[COUNT]
    if w[STARTS] == U(0):
        return i
    while w[NEXT] < w[START_COUNT]:
        start = U(load32(w[STARTS] + (w[NEXT] << U(2))))
        if start >= i:
            break
        w[NEXT] += U(1)
    end = U(load32(w[STARTS] + (w[NEXT] << U(2)))) if w[NEXT] < w[START_COUNT] else count
    first, last = load32(w[LINEAR] + ((i - U(1)) << U(2))), load32(w[LINEAR] + ((end - U(1)) << U(2)))
    return i if (first ^ last) >> np.uint32(12) else end


@entry("u64(cells, u64)", alone=False)
def runs(w, start):  # type: ignore[no-untyped-def]
    """From instruction `start` on, until all is done or the table is full; where it has stopped, to go on."""
    count, first = w[COUNT], U(start)
    if first >= count:
        return count
    i = _block_end(w, first + U(1))
    while i < count:
        if _breaks(w, i):
            _row(w, first, i)
            first = i
            if w[KNOWN] >= w[MOST]:
                return first
        i = _block_end(w, i + U(1))
    _row(w, first, count)
    return count


@entry("void(cells)", alone=False)
def references(w):  # type: ignore[no-untyped-def]
    """The points of all references; two more may be written behind them."""
    at = w[POINT]
    for j in range(w[COUNT]):
        i = U(j)
        mine = U(load8(w[REFS] + i))
        point = w[START] + (load64(w[KEPT] + (i << U(3))) if w[KEPT] else i)
        store64(at, point)  # most have none, one or two, and which of these cannot be foretold
        store64(at + U(8), point)
        for k in range(U(2), mine):
            store64(at + (U(k) << U(3)), point)
        at += mine << U(3)
