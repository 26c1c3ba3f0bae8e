"""From passes of blocks to columns of instructions, compiled.

What a block's instructions are is looked up once (`learn`) and copied from then on (`expand`), eight at a time:

    group of 8 instructions, 96 bytes:   0 linear u32 x 8   32 physical u32 x 8   64 size u8 x 8   72 kind   80 accesses

A reference belongs to the instruction whose turn it is by the number of accesses that each form makes
(references.py). All take one array of words: host addresses and counts, numbered below.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import BRANCH, IO, LENGTH, REP, instruction
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64
from labkit.vm.machine.probes.references import SEGMENT, USUAL, VARIES, references
from labkit.vm.machine.probes.trace import INFO_OF, KNOWN_SIZE, PAGES_OF, PASS_SIZE, PLACE, WHERE

__all__ = ["KIND_BRANCH", "KIND_IO", "KIND_REP", "branches", "expand", "learn"]

U = np.uint64
KIND_BRANCH, KIND_REP, KIND_IO = 1, 2, 4

# words of `learn`, `expand` and `branches`
KNOWN, POOL = 0, 1
FIRST, SUM = 2, 3  # by number: u32 index of its first group; u64 its usual accesses | VARIES << 24 | count << 32
GROUPS, LEARNED = 4, 5  # where the groups lie; how many there are
PASSES, PASS_COUNT = 6, 7  # one more pass follows, which says where the last one ends
ADDRESS, META = 8, 9  # columns of the references, 0 = none
O_LINEAR, O_PHYSICAL, O_SIZE, O_KIND, O_REFS, O_CPL = 10, 11, 12, 13, 14, 15  # results, room for SLACK more
STARTS = 16  # u32 by pass: index of its first instruction
DROPS, DROP_COUNT, MOST_DROPS = 17, 18, 19  # references that belong to no instruction: u32 index, u32 how many
KEPT = 20  # of `branches`: u32 index of each in the whole stretch
INSTRUCTIONS, REFERENCES, ROWS = 21, 22, 23  # how many came out
MISSING = 24
WORDS = 32

GROUP, GROUP_SIZE = 8, 96
AT_PHYSICAL, AT_SIZE, AT_KIND, AT_REFS = 32, 64, 72, 80
SLACK = 1024
"""Instructions for which there must be room behind the results; their columns are written in eights."""


@njit(inlining="always")
def _of(base, i):  # type: ignore[no-untyped-def]
    """Host address of the group of instruction `i` of a block."""
    return base + (i >> U(3)) * U(GROUP_SIZE)


@njit(inlining="always")
def _usual(base, i):  # type: ignore[no-untyped-def]
    return load8(_of(base, i) + U(AT_REFS) + (i & U(7)))


@entry("void(cells, u64, u64)", alone=False)
def learn(w, first, end):  # type: ignore[no-untyped-def]
    """Decode the blocks with numbers `first` up to `end`."""
    for number in range(U(first), U(end)):
        known = w[KNOWN] + number * U(KNOWN_SIZE)
        place, pages = load64(known + U(PLACE)), load64(known + U(PAGES_OF))
        linear, wide = place & U(0xFFFFFFFF), np.int64((place >> U(45)) & U(1))
        p = w[POOL] + load64(known + U(WHERE))
        store32(w[FIRST] + (number << U(2)), np.uint32(w[LEARNED]))
        base = w[GROUPS] + w[LEARNED] * U(GROUP_SIZE)
        offset, count, total, varies = U(0), U(0), U(0), U(0)
        wanted = load64(known + U(INFO_OF)) & U(0x3FF)
        while count < wanted:
            found = instruction(p + offset, wide)
            refs = references(p + offset)
            address = (linear + offset) & U(0xFFFFFFFF)
            page = pages & U(0xFFFFF000)
            if (linear & U(0xFFF)) + offset >= U(4096):
                page = (pages >> U(32)) & U(0xFFFFF000)
            kind = np.uint8(0)
            if found & BRANCH:
                kind |= np.uint8(KIND_BRANCH)
            if found & REP:
                kind |= np.uint8(KIND_REP)
            if found & IO:
                kind |= np.uint8(KIND_IO)
            at, k = _of(base, count), count & U(7)
            store32(at + (k << U(2)), np.uint32(address))
            store32(at + U(AT_PHYSICAL) + (k << U(2)), np.uint32(page | (address & U(0xFFF))))
            store8(at + U(AT_SIZE) + k, np.uint8(found & LENGTH))
            store8(at + U(AT_KIND) + k, kind)
            store8(at + U(AT_REFS) + k, refs)
            total += U(refs & USUAL)
            varies += U(refs >> 7)
            offset += U(found & LENGTH)
            count += U(1)
        w[LEARNED] += (count + U(7)) >> U(3)
        store64(w[SUM] + (number << U(3)), total | (min(varies, U(255)) << U(24)) | (count << U(32)))


@njit()
def _of_segment(w, ref, left, usual):  # type: ignore[no-untyped-def]
    """References of a segment load: its operand, then the descriptor's two words, and maybe its accessed bit."""
    mine = U(usual) - U(2)
    if left < mine + U(2):
        return mine
    at = ref + mine
    low, high = U(load32(w[ADDRESS] + (at << U(2)))), U(load32(w[ADDRESS] + ((at + U(1)) << U(2))))
    if load8(w[META] + at) != 4 or load8(w[META] + at + U(1)) != 4 or high != low + U(4):
        return mine
    mine += U(2)
    if left > mine and load8(w[META] + at + U(2)) == 0x84 and U(load32(w[ADDRESS] + ((at + U(2)) << U(2)))) == high:
        mine += U(1)
    return mine


@njit(inlining="never")
def _tie(w, base, out, retired, refs, count, ref):  # type: ignore[no-untyped-def]
    """References of a pass that was left early or holds instructions that vary; how many belong to it."""
    total, varying, last_varying = U(0), U(0), U(0)
    for i in range(retired):
        usual = _usual(base, U(i))
        total += U(usual & USUAL)
        if usual & VARIES:
            varying += U(1)
            last_varying = U(i)
    difference = np.int64(refs) - np.int64(total)
    left = refs
    for i in range(retired):
        usual = _usual(base, U(i))
        mine = U(usual & USUAL)
        if varying > U(1) and usual & SEGMENT:
            mine = _of_segment(w, ref + refs - left, left, usual & USUAL)
        elif varying == U(1) and usual & VARIES and (retired == count or difference < 0):
            mine = U(max(np.int64(0), np.int64(mine) + difference))
        elif varying > U(1) and usual & VARIES and U(i) == last_varying and retired == count:
            following = U(0)
            for k in range(U(i + 1), retired):
                following += U(_usual(base, U(k)) & USUAL)
            mine = left - min(left, following)
        mine = min(mine, left, U(255))
        store8(w[O_REFS] + out + U(i), np.uint8(mine))
        left -= mine
    return refs - left


@njit(inlining="always")
def _copy32(to, at):  # type: ignore[no-untyped-def]
    a, b, c, d = load64(at), load64(at + U(8)), load64(at + U(16)), load64(at + U(24))
    store64(to, a)
    store64(to + U(8), b)
    store64(to + U(16), c)
    store64(to + U(24), d)


@njit(inlining="always")
def _copy(w, base, out, retired, cpl):  # type: ignore[no-untyped-def]
    """The columns of a pass, but for the references; up to seven rows more are overwritten later."""
    levels = cpl * U(0x0101010101010101)
    for i in range(U(0), retired, U(8)):
        at, o = _of(base, U(i)), out + U(i)
        _copy32(w[O_LINEAR] + (o << U(2)), at)
        _copy32(w[O_PHYSICAL] + (o << U(2)), at + U(AT_PHYSICAL))
        store64(w[O_SIZE] + o, load64(at + U(AT_SIZE)))
        store64(w[O_KIND] + o, load64(at + U(AT_KIND)))
        store64(w[O_CPL] + o, levels)
        store64(w[O_REFS] + o, load64(at + U(AT_REFS)))


@njit(inlining="never")
def _drop(w, ref, count):  # type: ignore[no-untyped-def]
    if w[DROP_COUNT] < w[MOST_DROPS]:
        at = w[DROPS] + (w[DROP_COUNT] << U(3))
        store32(at, np.uint32(ref))
        store32(at + U(4), np.uint32(count))
    w[DROP_COUNT] += U(1)


@entry("void(cells)", alone=False)
def expand(w):  # type: ignore[no-untyped-def]
    """Passes to columns."""
    passes, out, kept = w[PASS_COUNT], U(0), U(0)
    at = w[PASSES]
    for k in range(passes):
        number, ref = U(load32(at)), U(load32(at + U(4)))
        retired = U(np.uint32(load32(at + U(PASS_SIZE + 8)) - load32(at + U(8))))
        refs = U(np.uint32(load32(at + U(PASS_SIZE + 4)) - load32(at + U(4))))
        at += U(PASS_SIZE)
        base = w[GROUPS] + U(load32(w[FIRST] + (number << U(2)))) * U(GROUP_SIZE)
        summary = load64(w[SUM] + (number << U(3)))
        count = summary >> U(32)
        store32(w[STARTS] + (k << U(2)), np.uint32(out))
        if retired > count:
            w[MISSING] += retired - count
            retired = count
        level = (load64(w[KNOWN] + number * U(KNOWN_SIZE)) >> U(46)) & U(3)
        _copy(w, base, out, retired, level)
        if w[ADDRESS]:
            mine = refs
            if retired != count or refs != (summary & U(0xFFFFFFFF)):
                mine = _tie(w, base, out, retired, refs, count, ref)
                if mine < refs:
                    _drop(w, ref + mine, refs - mine)
            kept += mine
        out += retired
    w[INSTRUCTIONS], w[REFERENCES] = out, kept


@entry("void(cells)", alone=False)
def branches(w):  # type: ignore[no-untyped-def]
    """The same of control transfers alone, without references: each is the last of its block."""
    passes, out, row = w[PASS_COUNT], U(0), U(0)
    at = w[PASSES]
    for k in range(passes):
        number = U(load32(at))
        retired = U(np.uint32(load32(at + U(PASS_SIZE + 8)) - load32(at + U(8))))
        at += U(PASS_SIZE)
        count = load64(w[SUM] + (number << U(3))) >> U(32)
        store32(w[STARTS] + (k << U(2)), np.uint32(out))
        if retired > count:
            w[MISSING] += retired - count
            retired = count
        if retired == count and count != U(0):
            i = count - U(1)
            first = U(load32(w[FIRST] + (number << U(2))))
            group, place = _of(w[GROUPS] + first * U(GROUP_SIZE), i), i & U(7)
            kind = load8(group + U(AT_KIND) + place)
            if kind & np.uint8(KIND_BRANCH):
                store32(w[O_LINEAR] + (row << U(2)), load32(group + (place << U(2))))
                store32(w[O_PHYSICAL] + (row << U(2)), load32(group + U(AT_PHYSICAL) + (place << U(2))))
                store8(w[O_SIZE] + row, load8(group + U(AT_SIZE) + place))
                store8(w[O_KIND] + row, kind)
                level = (load64(w[KNOWN] + number * U(KNOWN_SIZE)) >> U(46)) & U(3)
                store8(w[O_CPL] + row, np.uint8(level))
                store32(w[KEPT] + (row << U(2)), np.uint32(out + i))
                row += U(1)
        out += retired
    w[INSTRUCTIONS], w[ROWS] = out, row
