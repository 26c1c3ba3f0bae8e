"""The block hook, compiled: the instruction clock, exact deadlines and the interrupt window.

Unicorn calls it before each translated block. Where a block ends depends on Unicorn (page ends, hooks,
cache), so nothing the guest can see may depend on it: the clock counts instructions, not blocks, and a
deadline inside a block stops before the block, to be finished exactly (see processor.py).

What a block holds is decoded once and kept in a direct-mapped table of 2^20 words. The slot is made of the
block's place, so that neighbours in code are neighbours in the table; what the slot does not say, the tag
does:

    slot   19          10 9                    0      entry  61     52 51    40 39  27 26 25 24 23      0
          | frame 9:0    | offset 11:2 ^ mix    |           |frame 19:10|generation|size|off 1:0|w| info  |

A frame's generation changes whenever its bytes may have changed. Blocks that cross a page have a small table
of their own, with both pages in the key.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.call_site import REPLACED, describe, replace_call, unfold
from labkit.vm.machine.probes.compiled import cfunc, entry, njit, types
from labkit.vm.machine.probes.decode import (
    BRANCH,
    CX8,
    ENABLES,
    FLUSHING,
    INFO_COUNT,
    REP,
    REP_FIRST,
    SEGMENT_KINDS,
    SENSITIVE,
    boundary,
    retired_before,
    survey,
)
from labkit.vm.machine.probes.flags import mend_flags, take_resume_flag
from labkit.vm.machine.probes.intrinsics import call_stop, load8, load32, load64, store8, store64
from labkit.vm.machine.probes.needs_check import needs_check
from labkit.vm.machine.probes.segments import is_unchecked
from labkit.vm.machine.probes.store_target import changes_block
from labkit.vm.machine.probes.tlb import flushed
from labkit.vm.machine.probes.translated import ahead, settle_translated

__all__ = [
    "CROSSING_BITS", "TABLE_ENTRIES", "accept", "block_bytes", "block_hook", "block_hook_again",
    "block_hook_replacing", "block_info", "count_block", "end_flush", "exact_clock",
    "finish_flush", "known_info", "settle", "settle_software", "wide",
]  # fmt: skip

U = np.uint64
CELLS_POINTER = types.CPointer(types.uint64)
TABLE_ENTRIES = 1 << 20
CROSSING_BITS = 12
GOLDEN = U(0x9E3779B97F4A7C15)
UNCACHED = np.uint32(0xFFF)
PAGE = U(4096)
MASK32 = U(0xFFFFFFFF)
INFO = U(0xFFFFFF)
ALLOW_ALL = U(c.ALLOW_ALL)
BRANCH_SHIFT = U(16)


@entry("i64(cells)")
def wide(a):  # type: ignore[no-untyped-def]
    """The D bit of CS: 1 in 32-bit code, 0 in 16-bit code."""
    return np.int64((load32(a[c.ENV] + U(layout.HFLAGS)) >> 4) & 1)


@njit(inlining="always")
def _page(a, linear):  # type: ignore[no-untyped-def]
    """Physical frame | generation of a page that code was fetched from."""
    return load32(a[c.PAGES] + (((linear & MASK32) >> U(12)) << U(2)))


@njit()
def _host(a, page):  # type: ignore[no-untyped-def]
    """Host address of a code page; a page of ours where there is no RAM."""
    physical = U(page & np.uint32(0xFFFFF000))
    return a[c.RAM] + physical if physical < a[c.RAM_SIZE] else a[c.SCRATCH] + U(8192)


@entry("u64(cells, u64, u64)")
def block_bytes(a, linear, size):  # type: ignore[no-untyped-def]
    """Host address of a block's bytes, gathered in the scratch cells when it crosses a page.

    15 bytes more than the block may be read from there.
    """
    offset = linear & U(0xFFF)
    start = _host(a, _page(a, linear)) + offset
    if offset + size + U(16) <= PAGE:
        return start
    first = PAGE - offset
    rest = size + U(16) - first if size + U(16) > first else U(0)
    second = _host(a, _page(a, linear + first)) if offset + size > PAGE else a[c.SCRATCH] + U(8192)
    for i in range(first):
        store8(a[c.SCRATCH] + U(i), load8(start + U(i)))
    for i in range(min(rest, U(4096))):
        store8(a[c.SCRATCH] + first + U(i), load8(second + U(i)))
    return a[c.SCRATCH]


@njit(inlining="always")
def _slot(a, page, offset):  # type: ignore[no-untyped-def]
    frame = page >> U(12)
    index = ((frame & U(0x3FF)) << U(10)) | ((offset >> U(2)) ^ ((frame >> U(10)) & U(0x3FF)))
    return a[c.BLOCKS] + (index << U(3))


@njit(inlining="always")
def _tag(a, page, offset, size):  # type: ignore[no-untyped-def]
    generation = page & U(0xFFF)
    tag = ((page >> U(22)) << U(28)) | (generation << U(16)) | (size << U(3)) | ((offset & U(3)) << U(1))
    return tag | U(wide(a))


@njit()
def _decode(a, linear, size):  # type: ignore[no-untyped-def]
    a[c.DECODES] += U(1)
    info = U(survey(block_bytes(a, linear, size), size, wide(a)))
    return info if a[c.SEGMENT_MASK] else info & ~U(SEGMENT_KINDS)


@njit()
def _crossing_slot(a, linear, size):  # type: ignore[no-untyped-def]
    """Slot and key of a block on two pages; key 0 when it must not be kept."""
    first, second = _page(a, linear), _page(a, linear + PAGE)
    key = U(first) | (U(second) << U(32))
    mixed = (key ^ (((linear & U(0xFFF)) << U(14)) | (size << U(1)) | U(wide(a)))) * GOLDEN
    slot = a[c.CROSSING] + ((mixed >> U(64 - CROSSING_BITS)) * U(24))
    if (first & UNCACHED) == UNCACHED or (second & UNCACHED) == UNCACHED:
        key = U(0)
    return slot, key


@njit(inlining="never")
def _slow_info(a, linear, size):  # type: ignore[no-untyped-def]
    """Block info where the fast table has none: frames that change, blocks on two pages, first sight."""
    page, offset = U(_page(a, linear)), linear & U(0xFFF)
    if offset + size <= PAGE:
        info = _decode(a, linear, size)
        if page & U(0xFFF) == U(0xFFF):  # where stores and code meet every block is looked at
            return info | U(SENSITIVE) if a[c.MIXED] else info
        store64(_slot(a, page, offset), (_tag(a, page, offset, size) << U(24)) | info)
        return info
    slot, key = _crossing_slot(a, linear, size)
    place = (linear << U(32)) | (size << U(1)) | U(wide(a))
    if key != 0 and load64(slot) == key and load64(slot + U(8)) == place:
        return load64(slot + U(16))
    info = _decode(a, linear, size)
    store64(slot, key)
    store64(slot + U(8), place)
    store64(slot + U(16), info)
    return info | U(SENSITIVE) if key == 0 and a[c.MIXED] else info


@njit(inlining="always")
def block_info(a, linear, size):  # type: ignore[no-untyped-def]
    """Instruction count and kinds of the block at `linear`, from the table or decoded now."""
    page, offset = U(_page(a, linear)), linear & U(0xFFF)
    entry = load64(_slot(a, page, offset))
    if entry >> U(24) == _tag(a, page, offset, size) and offset + size <= PAGE:
        return entry & INFO
    return _slow_info(a, linear, size)


@entry("void(cells, u64, u64)")
def accept(a, linear, size):  # type: ignore[no-untyped-def]
    """The block's CMPXCHG8B has been seen to: it is not stopped before again while the table has it."""
    block_info(a, linear, size)
    page, offset = U(_page(a, linear)), linear & U(0xFFF)
    slot = _slot(a, page, offset)
    if offset + size > PAGE:
        slot, key = _crossing_slot(a, linear, size)
        if key != 0 and load64(slot) == key:
            store64(slot + U(16), load64(slot + U(16)) & ~U(CX8))
    elif load64(slot) >> U(24) == _tag(a, page, offset, size):
        store64(slot, load64(slot) & ~U(CX8))


@njit()
def finish_flush(a, linear):  # type: ignore[no-untyped-def]
    """Carry out what the INVLPG or MOV to CR3 at the end of the block has flushed, if `linear` is behind it."""
    size = a[c.BLOCK_SIZE]
    if size == 0 or ((a[c.BLOCK] + size) & MASK32) != linear:
        return
    a[c.ATTENTION] &= ~U(c.ATTENTION_FLUSHING)
    start = block_bytes(a, a[c.BLOCK], size)
    last = boundary(start, size, wide(a), np.int64(a[c.BLOCK_INFO] & U(INFO_COUNT)) - 1)
    if flushed(a, start + U(last)):
        a[c.ATTENTION] |= U(c.ATTENTION_FLUSH)


@entry("void(cells)")
def end_flush(a):  # type: ignore[no-untyped-def]
    """The processor has stopped: has the flush at the end of the block taken place, or will it not?"""
    env = a[c.ENV]
    finish_flush(a, (U(load32(env + U(layout.EIP))) + U(load32(env + U(layout.CS_BASE)))) & MASK32)
    a[c.ATTENTION] &= ~U(c.ATTENTION_FLUSHING)


@entry("void(cells, u64)")
def settle(a, eip):  # type: ignore[no-untyped-def]
    """The current block was left at `eip` before its end: take back what has not retired."""
    unfold(a)
    if a[c.TC_SIZE]:
        settle_translated(a, eip)
        return
    size = a[c.BLOCK_SIZE]
    if size == 0:
        return
    base = U(load32(a[c.ENV] + U(layout.CS_BASE)))
    if a[c.ATTENTION] & U(c.ATTENTION_FLUSHING):
        finish_flush(a, (eip + base) & MASK32)
    offset = (eip + base - a[c.BLOCK]) & MASK32
    if offset < size:
        done = retired_before(block_bytes(a, a[c.BLOCK], size), size, wide(a), offset)
        a[c.CLOCK] -= (a[c.BLOCK_INFO] & U(INFO_COUNT)) - U(done)
        if a[c.BLOCK_INFO] & U(BRANCH):
            a[c.BRANCHES] -= U(1)
    a[c.BLOCK_SIZE] = U(0)


@njit()
def settle_software(a, eip):  # type: ignore[no-untyped-def]
    """INT n, INT3 or INTO has retired and ended its block at `eip`; INTO does so in the middle."""
    unfold(a)
    base = U(load32(a[c.ENV] + U(layout.CS_BASE)))
    offset, size = (eip + base - a[c.BLOCK]) & MASK32, a[c.BLOCK_SIZE]
    if offset < size:
        done = retired_before(block_bytes(a, a[c.BLOCK], size), size, wide(a), offset)
        a[c.CLOCK] -= (a[c.BLOCK_INFO] & U(INFO_COUNT)) - U(done)
        if a[c.BLOCK_INFO] & U(BRANCH):
            a[c.BRANCHES] -= U(1)
        a[c.BLOCK_SIZE], a[c.BLOCK_INFO] = offset, U(done)


@entry("u64(cells)")
def exact_clock(a):  # type: ignore[no-untyped-def]
    """Instructions retired before the one that is executing now (inside a port, RDTSC or CPUID hook)."""
    unfold(a)
    size = a[c.BLOCK_SIZE]
    eip = U(load32(a[c.ENV] + U(layout.EIP)))
    if a[c.TC_SIZE]:
        return a[c.CLOCK] - (ahead(a, eip) & MASK32)
    offset = (eip + U(load32(a[c.ENV] + U(layout.CS_BASE))) - a[c.BLOCK]) & MASK32
    if size == 0 or offset >= size:
        return a[c.CLOCK]
    done = retired_before(block_bytes(a, a[c.BLOCK], size), size, wide(a), offset)
    return a[c.CLOCK] - (a[c.BLOCK_INFO] & U(INFO_COUNT)) + U(done)


@njit()
def _stop(a, why):  # type: ignore[no-untyped-def]
    a[c.STOP], a[c.FLAGS_AT] = U(why), U(0)
    mend_flags(a[c.ENV])
    call_stop(a[c.STOP_FUNCTION], a[c.ENGINE])


@njit()
def _is_mixed(a, linear, size):  # type: ignore[no-untyped-def]
    """Does the block lie where code and stores meet? Only there can a store change its own block."""
    last = linear + size - U(1)
    return (_page(a, linear) & UNCACHED) == UNCACHED or (_page(a, last) & UNCACHED) == UNCACHED


@njit()
def _restarted(a, linear, size, info):  # type: ignore[no-untyped-def]
    """A store changed its own block: Unicorn runs it again alone, and the clock has counted it already.

    The same place is seen when a branch leads back into the block, or a repeated instruction goes on: then it
    stores elsewhere, or ECX has changed.
    """
    offset = linear - a[c.BLOCK]
    if offset >= a[c.BLOCK_SIZE] or (info & U(INFO_COUNT)) != 1:
        return
    if a[c.BLOCK_INFO] & U(REP) and (offset or load32(a[c.ENV] + U(8)) != a[c.LAST_ECX]):
        return
    if not changes_block(a, block_bytes(a, linear, size)):
        return
    done = retired_before(block_bytes(a, a[c.BLOCK], a[c.BLOCK_SIZE]), a[c.BLOCK_SIZE], wide(a), offset)
    a[c.CLOCK] -= (a[c.BLOCK_INFO] & U(INFO_COUNT)) - U(done)
    if a[c.BLOCK_INFO] & U(BRANCH):
        a[c.BRANCHES] -= U(1)
    a[c.BLOCK_SIZE] = U(0)


@njit(inlining="never")
def _attend(a, linear, size, info):  # type: ignore[no-untyped-def]
    """What the fast path found worth a look: 1 when the processor was stopped."""
    unfold(a)
    if a[c.ATTENTION] & U(c.ATTENTION_MIXED):
        a[c.ATTENTION] &= ~U(c.ATTENTION_MIXED)
        _restarted(a, linear, size, info)
    if a[c.ATTENTION] & U(c.ATTENTION_RESUME):
        a[c.ATTENTION] &= ~U(c.ATTENTION_RESUME)
        take_resume_flag(a)
    if a[c.ATTENTION] & U(c.ATTENTION_FLUSHING):
        finish_flush(a, linear)
        a[c.ATTENTION] &= ~U(c.ATTENTION_FLUSHING)
    if a[c.ATTENTION] & U(c.ATTENTION_FLUSH):
        a[c.ATTENTION] &= ~U(c.ATTENTION_FLUSH)
        _stop(a, c.Stop.FLUSH)
        return 1
    clock = a[c.CLOCK]
    after = clock + (info & U(INFO_COUNT))
    if clock >= a[c.DEADLINE]:
        _stop(a, c.Stop.DEADLINE)
        return 1
    if clock >= a[c.PAUSE]:
        _stop(a, c.Stop.PAUSE)
        return 1
    env = a[c.ENV]
    if a[c.INTR]:
        if not (load32(env + U(layout.EFLAGS)) & np.uint32(0x200)):
            a[c.ATTENTION] &= ~U(c.ATTENTION_INTR)
        elif not (load32(env + U(layout.HFLAGS)) & np.uint32(8)):
            _stop(a, c.Stop.WINDOW)
            return 1
    if a[c.SEGMENT_MASK] and is_unchecked(a, linear, size, info):
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.UNCHECKED)
        return 1
    if info & U(SENSITIVE) and needs_check(a, linear, info):
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.SENSITIVE)
        return 1
    mixed = a[c.MIXED] and _is_mixed(a, linear, size)
    if mixed and info & U(REP) and (info & U(INFO_COUNT)) > U(1) and a[c.ALLOW] != ALLOW_ALL:
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.BEFORE_REP)
        return 1
    if after > a[c.DEADLINE]:
        a[c.NEXT_BLOCK], a[c.NEXT_SIZE] = linear, size
        _stop(a, c.Stop.PARTIAL)
        return 1
    if info & U(REP_FIRST) and a[c.BLOCK] != linear:
        continued = a[c.BLOCK_INFO] & U(REP) and a[c.BLOCK] + a[c.BLOCK_SIZE] == linear + size
        a[c.REP_START] = clock - U(1) if continued else clock
    if mixed:
        a[c.ATTENTION] |= U(c.ATTENTION_MIXED)
    if info & U(BRANCH) and info & U(ENABLES):
        a[c.ATTENTION] |= U(c.ATTENTION_RESUME)
    if info & U(FLUSHING):
        a[c.ATTENTION] |= U(c.ATTENTION_FLUSHING)
    if info & U(ENABLES) and a[c.INTR]:
        a[c.ATTENTION] |= U(c.ATTENTION_INTR)
    a[c.LIMIT] = U(0) if a[c.ATTENTION] else min(a[c.DEADLINE], a[c.PAUSE])
    a[c.LAST_ECX] = U(load32(env + U(8)))
    return 0


@njit(inlining="always")
def count_block(a, linear, size, info):  # type: ignore[no-untyped-def]
    """Count a block that is about to run, or stop before it."""
    after = a[c.CLOCK] + (info & U(INFO_COUNT))
    if after > a[c.LIMIT] or info & (U(SENSITIVE | REP_FIRST | ENABLES) | a[c.SEGMENT_MASK]):
        if _attend(a, linear, size, info):
            return
        after = a[c.CLOCK] + (info & U(INFO_COUNT))
    a[c.CLOCK] = after
    a[c.BRANCHES] += (info >> BRANCH_SHIFT) & U(1)
    a[c.BLOCK], a[c.BLOCK_SIZE], a[c.BLOCK_INFO], a[c.SITE] = linear, size, info, U(0)


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER))
def block_hook(_engine, linear, size32, a):  # type: ignore[no-untyped-def]
    """UC_HOOK_BLOCK: count the block that is about to run, or stop before it."""
    linear, size = linear & MASK32, U(size32)  # Unicorn does not wrap the sum of base and EIP
    count_block(a, linear, size, block_info(a, linear, size))


@njit(inlining="always")
def known_info(a, linear, size):  # type: ignore[no-untyped-def]
    """As `block_info` of a block that the table has; else 0."""
    page, offset = U(_page(a, linear)), linear & U(0xFFF)
    entry = load64(_slot(a, page, offset))
    return entry & INFO if entry >> U(24) == _tag(a, page, offset, size) and offset + size <= PAGE else U(0)


@cfunc(types.int64(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def block_hook_replacing(_engine, linear, size32, a, back):  # type: ignore[no-untyped-def]
    """The same, called by way of call_site.py: a block that is known already counts itself from now on."""
    linear, size = linear & MASK32, U(size32)
    info = known_info(a, linear, size)
    if info:
        if replace_call(a, back, linear, size, info):
            return REPLACED
        count_block(a, linear, size, info)
        return 0
    count_block(a, linear, size, _slow_info(a, linear, size))
    return 0


@cfunc(types.void(types.voidptr, types.uint64, types.uint32, CELLS_POINTER, types.uint64))
def block_hook_again(_engine, _linear, _size, a, back):  # type: ignore[no-untyped-def]
    """A block that counts itself has found that there is more to do."""
    at = describe(a, back)
    count_block(a, U(load32(at)), U(load32(at + U(4))), load64(at + U(8)))
