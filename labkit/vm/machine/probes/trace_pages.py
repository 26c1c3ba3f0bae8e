"""Columns of numbers as the pages of a Parquet file hold them before compression, compiled.

    split          the first bytes of all values | the second bytes of all | ...           BYTE_STREAM_SPLIT
    differences    block size | 4 | values | the first value | blocks                      DELTA_BINARY_PACKED
        block      least difference | 4 widths in bits, a byte each | 4 x 256 differences less the least

Widths are whole bytes, so that the compressor, which looks for bytes that come again, sees what comes again.
Source: the Parquet format's Encodings.md.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import load32, load64, store8, store16, store32, store64

__all__ = ["BLOCK", "differences", "split_4", "split_8"]

U = np.uint64
MINIBLOCKS, MINIBLOCK = 4, 256
BLOCK = MINIBLOCKS * MINIBLOCK
ALL = U(0xFFFFFFFFFFFFFFFF)
HALVES, PAIRS, BYTES = U(0x00000000FFFFFFFF), U(0x0000FFFF0000FFFF), U(0x00FF00FF00FF00FF)


@njit(inlining="always")
def _swap(x, y, shift, mask):  # type: ignore[no-untyped-def]
    """The upper parts of `x` for the lower parts of `y`."""
    t = ((x >> shift) ^ y) & mask
    return x ^ (t << shift), y ^ t


@njit(inlining="always")
def _transposed(a, b, c, d):  # type: ignore[no-untyped-def]
    """Four words whose byte k is byte k % 4 of value i, or of value i + 4 from k = 4 on: by byte."""
    a, c = _swap(a, c, U(16), PAIRS)
    b, d = _swap(b, d, U(16), PAIRS)
    a, b = _swap(a, b, U(8), BYTES)
    c, d = _swap(c, d, U(8), BYTES)
    return a, b, c, d


@entry("void(u64, u64, u64)", alone=False)
def split_4(to, values, count):  # type: ignore[no-untyped-def]
    """Values of four bytes."""
    whole = count & ~U(7)
    for i in range(U(0), whole, U(8)):
        at = values + (U(i) << U(2))
        p, q, r, s = load64(at), load64(at + U(8)), load64(at + U(16)), load64(at + U(24))
        p, r = _swap(p, r, U(32), HALVES)
        q, s = _swap(q, s, U(32), HALVES)
        p, r, q, s = _transposed(p, r, q, s)
        o = to + U(i)
        store64(o, p)
        store64(o + count, r)
        store64(o + U(2) * count, q)
        store64(o + U(3) * count, s)
    for i in range(whole, count):
        value = load32(values + (U(i) << U(2)))
        for k in range(4):
            store8(to + U(k) * count + U(i), np.uint8((value >> np.uint32(8 * k)) & np.uint32(0xFF)))


@entry("void(u64, u64, u64)", alone=False)
def split_8(to, values, count):  # type: ignore[no-untyped-def]
    """Values of eight bytes."""
    whole = count & ~U(7)
    for i in range(U(0), whole, U(8)):
        at = values + (U(i) << U(3))
        p, q, r, s = load64(at), load64(at + U(8)), load64(at + U(16)), load64(at + U(24))
        t, u, v, x = load64(at + U(32)), load64(at + U(40)), load64(at + U(48)), load64(at + U(56))
        p, t = _swap(p, t, U(32), HALVES)
        q, u = _swap(q, u, U(32), HALVES)
        r, v = _swap(r, v, U(32), HALVES)
        s, x = _swap(s, x, U(32), HALVES)
        p, q, r, s = _transposed(p, q, r, s)
        t, u, v, x = _transposed(t, u, v, x)
        o = to + U(i)
        store64(o, p)
        store64(o + count, q)
        store64(o + U(2) * count, r)
        store64(o + U(3) * count, s)
        store64(o + U(4) * count, t)
        store64(o + U(5) * count, u)
        store64(o + U(6) * count, v)
        store64(o + U(7) * count, x)
    for i in range(whole, count):
        value = load64(values + (U(i) << U(3)))
        for k in range(8):
            store8(to + U(k) * count + U(i), np.uint8((value >> U(8 * k)) & U(0xFF)))


@njit()
def _varint(at, value):  # type: ignore[no-untyped-def]
    """Seven bits a byte, the lowest first; where it ends."""
    while value > U(127):
        store8(at, np.uint8((value & U(127)) | U(128)))
        value >>= U(7)
        at += U(1)
    store8(at, np.uint8(value))
    return at + U(1)


@njit()
def _zigzag(value):  # type: ignore[no-untyped-def]
    return (value << U(1)) ^ (U(0) - (value >> U(63)))


@njit()
def _difference(values, i):  # type: ignore[no-untyped-def]
    at = values + (i << U(3))
    return np.int64(load64(at) - load64(at - U(8)))


@njit()
def _miniblock(at, values, first, end, least):  # type: ignore[no-untyped-def]
    """The differences of values `first` up to `end`, in as many bytes each as the largest needs; how many that is."""
    largest = U(0)
    for i in range(first, end):
        largest |= U(_difference(values, U(i)) - least)
    if largest == U(0):
        return U(0)
    if largest < U(1 << 8):
        for i in range(first, end):
            store8(at + U(i) - first, np.uint8(_difference(values, U(i)) - least))
        return U(1)
    if largest < U(1 << 16):
        for i in range(first, end):
            store16(at + ((U(i) - first) << U(1)), np.uint16(_difference(values, U(i)) - least))
        return U(2)
    if largest < U(1 << 32):
        for i in range(first, end):
            store32(at + ((U(i) - first) << U(2)), np.uint32(_difference(values, U(i)) - least))
        return U(4)
    for i in range(first, end):
        store64(at + ((U(i) - first) << U(3)), U(_difference(values, U(i)) - least))
    return U(8)


@njit()
def _bytes(at, values, first, end):  # type: ignore[no-untyped-def]
    """The lowest bytes of the differences; all bits that are set in some difference."""
    bits, before = U(0), load64(values + ((first - U(1)) << U(3)))
    for i in range(first, end):
        value = load64(values + (U(i) << U(3)))
        step = value - before
        before = value
        bits |= step
        store8(at + U(i) - first, np.uint8(step & U(0xFF)))
    return bits


@njit()
def _block(at, values, first, end, least):  # type: ignore[no-untyped-def]
    """Differences of values `first` up to `end`, at most a block, of which none is below `least`; where it ends."""
    at = _varint(at, _zigzag(U(least)))
    widths = at
    at += U(MINIBLOCKS)
    for k in range(MINIBLOCKS):
        begin = first + U(k * MINIBLOCK)
        until = min(begin + U(MINIBLOCK), end)
        wide = U(0)
        if begin < until:
            bits = _bytes(at, values, begin, until) if least == 0 else ALL
            if bits >> U(63) and least == 0:
                return U(0)  # one is below
            wide = U(1) if U(0) < bits < U(256) else U(0)
            if bits > U(255):
                wide = _miniblock(at, values, begin, until, least)
            for i in range(at + (until - begin) * wide, at + U(MINIBLOCK) * wide):
                store8(U(i), np.uint8(0))
        store8(widths + U(k), np.uint8(wide << U(3)))
        at += U(MINIBLOCK) * wide
    return at


@entry("u64(u64, u64, u64)", alone=False)
def differences(to, values, count):  # type: ignore[no-untyped-def]
    """64-bit values, at least one; the length of what was made, at most 9 bytes a value and `BLOCK` * 9 more."""
    at = _varint(to, U(BLOCK))
    at = _varint(at, U(MINIBLOCKS))
    at = _varint(at, count)
    at = _varint(at, _zigzag(load64(values)))
    for first in range(U(1), count, U(BLOCK)):
        end = min(U(first) + U(BLOCK), count)
        after = _block(at, values, U(first), end, np.int64(0))
        if after == U(0):
            least = np.int64(0)
            for i in range(U(first), end):
                least = min(least, _difference(values, U(i)))
            after = _block(at, values, U(first), end, least)
        at = after
    return at - to
