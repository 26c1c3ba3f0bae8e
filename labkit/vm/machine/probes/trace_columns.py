"""From passes of blocks to columns of instructions and memory references, compiled.

What a block's instructions are is looked up once (`learn`) and copied from then on (`expand`). A reference
belongs to the instruction whose turn it is by the number of accesses that each form makes (references.py).
Both take one array of words: host addresses and counts, numbered below.
"""

import numpy as np

from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import BRANCH, IO, LENGTH, REP, instruction
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store8, store32, store64
from labkit.vm.machine.probes.references import SEGMENT, USUAL, VARIES, references
from labkit.vm.machine.probes.trace import INFO_OF, KNOWN_SIZE, PAGES_OF, PLACE, WHERE

__all__ = ["KIND_BRANCH", "KIND_IO", "KIND_REP", "expand", "learn"]

U = np.uint64
KIND_BRANCH, KIND_REP, KIND_IO = 1, 2, 4

# words of `learn` and `expand`
KNOWN, POOL = 0, 1
FIRST, SUM = 2, 3  # u32 by number: its first instruction below; its usual accesses | VARIES << 24 | count << 32
T_LINEAR, T_PHYSICAL, T_SIZE, T_KIND, T_REFS = 4, 5, 6, 7, 8  # by instruction: u32, u32, u8, u8, u8
LEARNED = 9  # instructions there
PASSES, PASS_COUNT, LAST_RETIRED, LAST_REFS = 10, 11, 12, 13
MEMORY, VALUES = 14, 15
O_LINEAR, O_PHYSICAL, O_SIZE, O_KIND, O_REFS, O_CPL = 16, 17, 18, 19, 20, 21  # results, by instruction
O_ADDRESS, O_META, O_VALUE = 22, 23, 24  # results, by reference: u32, u8 size | write << 7, u64
INSTRUCTIONS, REFERENCES = 25, 26  # how many came out
DROPPED, GUESSED, MISSING = 27, 28, 29
STARTS = 33  # u32 by pass: index of its first instruction
WORDS = 40


@entry("void(cells, u64, u64)", alone=False)
def learn(w, first, end):  # type: ignore[no-untyped-def]
    """Decode the blocks with numbers `first` up to `end`."""
    at = w[LEARNED]
    for number in range(U(first), U(end)):
        known = w[KNOWN] + number * U(KNOWN_SIZE)
        place, pages = load64(known + U(PLACE)), load64(known + U(PAGES_OF))
        linear, wide = place & U(0xFFFFFFFF), np.int64(place >> U(45))
        p = w[POOL] + load64(known + U(WHERE))
        store32(w[FIRST] + (number << U(2)), np.uint32(at))
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
            store32(w[T_LINEAR] + (at << U(2)), np.uint32(address))
            store32(w[T_PHYSICAL] + (at << U(2)), np.uint32(page | (address & U(0xFFF))))
            store8(w[T_SIZE] + at, np.uint8(found & LENGTH))
            store8(w[T_KIND] + at, kind)
            store8(w[T_REFS] + at, refs)
            total += U(refs & USUAL)
            varies += U(refs >> 7)
            offset += U(found & LENGTH)
            at += U(1)
            count += U(1)
        store64(w[SUM] + (number << U(3)), total | (min(varies, U(255)) << U(24)) | (count << U(32)))
    w[LEARNED] = at


@njit()
def _of_segment(w, ref, left, usual):  # type: ignore[no-untyped-def]
    """References of a segment load: its operand, then the descriptor's two words, and maybe its accessed bit."""
    mine = U(usual) - U(2)
    if left < mine + U(2):
        return mine
    at = w[MEMORY] + ((ref + mine) << U(3))
    low, high = load64(at), load64(at + U(8))
    four = U(4 << 40)
    if low >> U(40) != U(4) or high != low + U(4):
        return mine
    mine += U(2)
    if left > mine and load64(at + U(16)) == (high & U(0xFFFFFFFFFF)) | four | U(1 << 47):
        mine += U(1)
    return mine


@njit(inlining="never")
def _tie(w, first, out, retired, refs, count, ref):  # type: ignore[no-untyped-def]
    """References of a pass that was left early or holds instructions that vary; how many belong to it."""
    total, varying, last_varying = U(0), U(0), U(0)
    for i in range(retired):
        usual = load8(w[T_REFS] + first + i)
        total += U(usual & USUAL)
        if usual & VARIES:
            varying += U(1)
            last_varying = U(i)
    difference = np.int64(refs) - np.int64(total)
    left = refs
    for i in range(retired):
        usual = load8(w[T_REFS] + first + i)
        mine = U(usual & USUAL)
        if varying > U(1) and usual & SEGMENT:
            mine = _of_segment(w, ref + refs - left, left, usual & USUAL)
        elif varying == U(1) and usual & VARIES and (retired == count or difference < 0):
            mine = U(max(np.int64(0), np.int64(mine) + difference))
        elif varying > U(1) and usual & VARIES and U(i) == last_varying and retired == count:
            following = U(0)
            for k in range(U(i + 1), retired):
                following += U(load8(w[T_REFS] + first + k) & USUAL)
            mine = left - min(left, following)
        mine = min(mine, left, U(255))
        store8(w[O_REFS] + out + i, np.uint8(mine))
        left -= mine
    if left and retired == count:
        w[GUESSED] += U(1)
    return refs - left


@njit(inlining="always")
def _copy(w, first, out, retired, cpl):  # type: ignore[no-untyped-def]
    linear, physical = w[O_LINEAR] + (out << U(2)), w[O_PHYSICAL] + (out << U(2))
    from_linear, from_physical = w[T_LINEAR] + (first << U(2)), w[T_PHYSICAL] + (first << U(2))
    size, kind, level = w[O_SIZE] + out, w[O_KIND] + out, w[O_CPL] + out
    from_size, from_kind = w[T_SIZE] + first, w[T_KIND] + first
    for i in range(retired):
        store32(linear + (i << U(2)), load32(from_linear + (i << U(2))))
        store32(physical + (i << U(2)), load32(from_physical + (i << U(2))))
        store8(size + i, load8(from_size + i))
        store8(kind + i, load8(from_kind + i))
        store8(level + i, cpl)


@entry("void(cells)", alone=False)
def expand(w):  # type: ignore[no-untyped-def]
    """Passes to columns."""
    passes, out, ref, ref_out = w[PASS_COUNT], U(0), U(0), U(0)
    for k in range(passes):
        word = load64(w[PASSES] + (k << U(3)))
        number = word & U(0xFFFFFF)
        retired, refs = w[LAST_RETIRED], w[LAST_REFS]
        if k + U(1) < passes:
            following = load64(w[PASSES] + ((k + U(1)) << U(3)))
            retired, refs = (following >> U(40)) & U(0xFFFF), (following >> U(24)) & U(0xFFFF)
        first = U(load32(w[FIRST] + (number << U(2))))
        summary = load64(w[SUM] + (number << U(3)))
        count = (summary >> U(32)) & U(0xFFFF)
        if w[STARTS]:
            store32(w[STARTS] + (k << U(2)), np.uint32(out))
        if retired > count:
            w[MISSING] += retired - count
            retired = count
        _copy(w, first, out, retired, np.uint8((word >> U(56)) & U(3)))
        if w[MEMORY]:
            mine = refs
            if retired == count and refs == (summary & U(0xFFFFFFFF)):
                for i in range(retired):
                    store8(w[O_REFS] + out + i, load8(w[T_REFS] + first + i))
            else:
                mine = _tie(w, first, out, retired, refs, count, ref)
                w[DROPPED] += refs - mine
            for i in range(mine):
                access = load64(w[MEMORY] + ((ref + i) << U(3)))
                address = access & U(0xFFFFFFFFFF)
                if address > U(0xFFFFFFFF):  # where no memory is
                    address = U(0xFFFFF000) | (address & U(0xFFF))
                store32(w[O_ADDRESS] + ((ref_out + i) << U(2)), np.uint32(address))
                store8(w[O_META] + ref_out + i, np.uint8(access >> U(40)))
            if w[VALUES]:
                for i in range(mine):
                    value = load64(w[VALUES] + ((ref + i) << U(3)))
                    bits = ((load64(w[MEMORY] + ((ref + i) << U(3))) >> U(40)) & U(15)) << U(3)
                    if U(0) < bits < U(64):
                        value &= (U(1) << bits) - U(1)
                    store64(w[O_VALUE] + ((ref_out + i) << U(3)), value)
            ref_out += mine
        ref += refs
        out += retired
    w[INSTRUCTIONS], w[REFERENCES] = out, ref_out
