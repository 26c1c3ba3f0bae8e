"""Shadow descriptors under translated code, compiled: what segment registers hold in place of the guest's.

    guest's ES CS SS DS FS, cached        the processor's                          GS
    selector, base, limit, DPL            selector | 1 where RPL is 0              the monitor's own: the top 4 MB
    0010  base 0, 4 GB, DPL 0      ->     0011  base 0, limit FFBFFFFF, DPL 1

`enter_translated` saves what the guest has in the monitor's words (at `SHADOW`, the last page of the linear space) and
puts the shadows in; `leave_translated` gives the guest its own back. Everything that the guest or the monitor may ask
is answered from the words. CS alone is not cut: it reaches the translation cache.

A descriptor is loaded from the monitor's copy of the guest's table, which is made anew, with the shadow table that the
processor's GDTR or LDTR names, when the frame's mark FRAME_TRACED has gone: the first write takes it away. A page that
is written again and again is not traced any more; then each load compares its entry.
"""

import numpy as np
from unicorn import unicorn_const

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.intrinsics import (
    call_control,
    call_flush,
    load8,
    load32,
    load64,
    store8,
    store32,
    store64,
)
from labkit.vm.machine.probes.tlb import lookup, peek
from labkit.vm.machine.probes.walk import WALK_FAULT

__all__ = [
    "ALL_PAGES",
    "CHECKED",
    "CLOSED",
    "COMPARED",
    "COPIED",
    "ENTERED",
    "FRAMES",
    "GDT",
    "GRANTED",
    "KEEP_HIDDEN",
    "KEEP_OPEN",
    "LDT",
    "LEFT_OUT",
    "LENT",
    "LOADED",
    "MONITOR_SELECTOR",
    "NONREVERSIBLE",
    "OPENED",
    "RUNNING",
    "UNTRACED",
    "USER_PAGES",
    "all_reversible",
    "close",
    "cut",
    "enter_translated",
    "guest_segment",
    "leave_translated",
    "lend_gs",
    "may_run_directly",
    "shade",
    "table_entry",
]  # fmt: skip

U, U32 = np.uint64, np.uint32
MASK32, PAGE_MASK = U(0xFFFFFFFF), U(0xFFFFF000)
BASE = U(c.TC_BASE)
NOWHERE = U(1 << 63)
FLUSH_TLB = U32(1 << 30 | unicorn_const.UC_CTL_TLB_FLUSH)
ES, CS, SS, DS, FS, GS = range(6)
RECORD = 24  # bytes of a segment, as Unicorn keeps them: selector, base, limit, flags
PRESENT, S, CODE, DOWN, WRITABLE, ACCESSED, BIG, GRANULAR = (U32(1 << bit) for bit in (15, 12, 11, 10, 9, 8, 22, 23))
LEVEL, COMPRESSED = U32(0x6000), U32(0x2000)
DESCRIPTOR = U32(0x00F0FF00)  # what a hidden part keeps of the upper word
MONITOR_SELECTOR, MONITOR_FLAGS = U32(0xFFF9), U32(0x0040B300)  # present, DPL 1, data, writable
MONITOR_LIMIT = U32(c.TC_BYTES - 1)

# the monitor's words, by byte offset: first the six cached descriptors
GDT, LDT = 0x90, 0xA8  # the guest's, as segments
RUNNING = 0xC0  # 1: the processor's segment registers hold shadows
OPENED = 0xC8  # page + 1 of the monitor's that the TLB holds for one access
LEFT_OUT = 0xD0  # safeguards that are left out on purpose
ENTERED, COPIED, LOADED, GRANTED, CLOSED, NONREVERSIBLE, LENT = range(0xD8, 0x110, 8)  # counts
COMPARED = 0x110  # entries that had changed in a page that is not traced
FRAMES = 0x200  # frame | 1 of each page of both tables that was copied; 17 each
COPIES = 0x380  # how often each was
PATIENCE = U(64)  # copies of one page, after which it is not traced any more
ALL_PAGES = U(1 << 40)  # in OPENED

# safeguards
KEEP_HIDDEN = 1  # registers keep their whole segments
USER_PAGES = 2  # the monitor's pages are open to level 3
KEEP_OPEN = 4  # a page stays in the TLB after the monitor's own access
UNTRACED = 8  # writes to the tables are not noticed
CHECKED = 16  # no safeguard: every limit is checked before the access (translated_check.py), pages stay in the TLB


@njit()
def guest_segment(a, segment):  # type: ignore[no-untyped-def]
    """Host address of what the guest has in a segment register, inside the dispatcher."""
    if a[c.SHADOW]:
        return a[c.SHADOW] + U(RECORD) * U(segment)
    return a[c.ENV] + U(layout.SEGMENTS) + U(RECORD) * U(segment)


@entry("u64(cells, u64, u64, u64)")
def cut(_a, base, limit, flags):  # type: ignore[no-untyped-def]
    """Limit | flags << 32 of what is left of a segment below the monitor: `truncate` of machine/truncation.py."""
    kind = U32(flags)
    whole = U(limit) | U(kind) << U(32)
    if kind & (PRESENT | S) != PRESENT | S:
        return whole
    start, size = U(base), U(limit) + U(1)
    down = kind & (CODE | DOWN) == DOWN
    if down:
        top = MASK32 if kind & BIG else U(0xFFFF)
        if limit >= top:
            return whole
        start, size = (U(base) + U(limit) + U(1)) & MASK32, top - U(limit)
    first = min(size, BASE - start) if start < BASE else U(0)
    if first == size:
        return whole
    if down or first == U(0):
        writable = U32(0) if kind & CODE else kind & WRITABLE
        kind = (kind & ~(CODE | WRITABLE | ACCESSED)) | DOWN | BIG | GRANULAR | writable
        return MASK32 | U(kind) << U(32)
    last = first - U(1)
    if last < U(1 << 20):
        return last | U(kind & ~GRANULAR) << U(32)
    return (((last + U(1)) & PAGE_MASK) - U(1)) | U(kind | GRANULAR) << U(32)


@njit()
def _raised(flags):  # type: ignore[no-untyped-def]
    """Level 0 becomes 1."""
    return flags | COMPRESSED if flags & S and not flags & LEVEL else flags


@njit()
def _put(a, segment, selector, base, limit, flags):  # type: ignore[no-untyped-def]
    at = a[c.ENV] + U(layout.SEGMENTS) + U(RECORD) * U(segment)
    store32(at, selector)
    store64(at + U(8), base)
    store32(at + U(16), limit)
    store32(at + U(20), flags)


@njit()
def _shadow(a, segment, record):  # type: ignore[no-untyped-def]
    """Give a segment register the shadow of a cached descriptor."""
    selector, base = load32(record), load64(record + U(8))
    limit, flags = load32(record + U(16)), load32(record + U(20))
    if selector & U32(0xFFFC) and not selector & U32(3):
        selector |= U32(1)
    if segment == CS:
        limit = U32(0xFFFFFFFF)
    elif not (load64(a[c.SHADOW] + U(LEFT_OUT)) & U(KEEP_HIDDEN)):
        left = cut(a, base, U(limit), U(flags))
        limit, flags = U32(left & MASK32), U32(left >> U(32))
    _put(a, segment, selector, base, limit, _raised(flags))


@njit()
def shade(a, segment):  # type: ignore[no-untyped-def]
    """What the guest has in a segment register has changed: so does what the processor has there. GS never."""
    if segment != GS:
        _shadow(a, segment, a[c.SHADOW] + U(RECORD) * U(segment))


@njit()
def lend_gs(a, lent):  # type: ignore[no-untyped-def]
    """For one instruction of the guest, whose gs: has become fs:, FS holds the shadow of what the guest has in GS."""
    _shadow(a, FS, a[c.SHADOW] + U(RECORD) * U(GS if lent else FS))
    if lent:
        _count(a, LENT)


@njit()
def _count(a, word):  # type: ignore[no-untyped-def]
    at = a[c.SHADOW] + U(word)
    store64(at, load64(at) + U(1))


@njit()
def close(a):  # type: ignore[no-untyped-def]
    """The monitor's own access is over: its page leaves the TLB."""
    at = a[c.SHADOW] + U(OPENED)
    page = load64(at)
    if not page or load64(a[c.SHADOW] + U(LEFT_OUT)) & U(KEEP_OPEN | CHECKED):
        return
    store64(at, U(0))
    _count(a, CLOSED)
    if a[c.FLUSH_FUNCTION]:
        call_flush(a[c.FLUSH_FUNCTION], a[c.CPU], page - U(1))
    else:
        call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], FLUSH_TLB, U(0), U(0))


@njit()
def _keep(a):  # type: ignore[no-untyped-def]
    """Copy what the guest has in its segment and table registers."""
    words, env = a[c.SHADOW], a[c.ENV]
    for i in range(3 * 6):
        store64(words + U(8 * i), load64(env + U(layout.SEGMENTS) + U(8 * i)))
    for table, at in ((GDT, layout.GDT_BASE), (LDT, layout.LDT_BASE)):
        store64(words + U(table + 8), load64(env + U(at)))
        store32(words + U(table + 16), load32(env + U(at + 8)))


@entry("void(cells)")
def enter_translated(a):  # type: ignore[no-untyped-def]
    """Save the guest's segments and tables, and put the shadows in; translated code is about to run."""
    words, env = a[c.SHADOW], a[c.ENV]
    _keep(a)
    for segment in range(6):
        shade(a, segment)
    _put(a, GS, MONITOR_SELECTOR, BASE, MONITOR_LIMIT, MONITOR_FLAGS)
    store64(env + U(layout.GDT_BASE), BASE + U(c.TC_SHADOWS))
    store64(env + U(layout.LDT_BASE), BASE + U(c.TC_SHADOWS + 0x10000))
    store64(words + U(RUNNING), U(1))
    _count(a, ENTERED)


@entry("void(cells)")
def leave_translated(a):  # type: ignore[no-untyped-def]
    """Give the guest its own back; nothing where it has it."""
    words, env = a[c.SHADOW], a[c.ENV]
    if not load64(words + U(RUNNING)):
        return
    store64(words + U(RUNNING), U(0))
    for i in range(3 * 6):
        store64(env + U(layout.SEGMENTS) + U(8 * i), load64(words + U(8 * i)))
    store64(env + U(layout.GDT_BASE), load64(words + U(GDT + 8)))
    store64(env + U(layout.LDT_BASE), load64(words + U(LDT + 8)))
    if load64(words + U(OPENED)) == ALL_PAGES:
        store64(words + U(OPENED), U(0))
        call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], FLUSH_TLB, U(0), U(0))
    elif load64(words + U(OPENED)):
        close(a)
    if a[c.SEGMENT_MASK]:  # the segmentation unit looks at the next block
        a[c.SEGMENT_STATE] |= U(c.SEGMENTS_LOADED)
        a[c.ATTENTION] |= U(c.ATTENTION_UNIT)
        a[c.LIMIT] = U(0)


# --- tables


@njit()
def _words_of(low, high):  # type: ignore[no-untyped-def]
    """The shadow of a descriptor, as it lies in a table; 0 for what the processor must never follow."""
    if high & (S | PRESENT) != S | PRESENT:
        return U(0)
    base = U(low >> U32(16)) | U(high & U32(0xFF)) << U(16) | U(high & U32(0xFF000000))
    limit = U(low & U32(0xFFFF)) | U(high & U32(0xF0000))
    if high & GRANULAR:
        limit = limit << U(12) | U(0xFFF)
    left = cut(U(0), base, limit, U(high))
    limit, flags = left & MASK32, _raised(U32(left >> U(32)))
    if flags & GRANULAR:
        limit >>= U(12)
    upper = (flags & ~U32(0xF0000)) | U32(limit & U(0xF0000))
    return U(low & U32(0xFFFF0000)) | (limit & U(0xFFFF)) | U(upper) << U(32)


@njit(inlining="never")
def _copy_page(a, ldt, page, physical):  # type: ignore[no-untyped-def]
    """Copy a page of a guest's table, and make the shadows of what lies wholly in it."""
    words = a[c.SHADOW]
    table = words + U(LDT if ldt else GDT)
    base, limit = load64(table + U(8)), U(load32(table + U(16)))
    first = base & PAGE_MASK
    copy = a[c.TC_MEMORY] + U(c.TC_COPIES) + U(0x20000 if ldt else 0)
    shadows = a[c.TC_MEMORY] + U(c.TC_SHADOWS) + U(0x10000 if ldt else 0)
    source = a[c.RAM] + physical
    for i in range(512):
        store64(copy + (page - first) + U(8 * i), load64(source + U(8 * i)))
    number = U(0) if page < base else (page - base + U(7)) >> U(3)
    while (number << U(3)) + U(7) <= limit and base + (number << U(3)) + U(8) <= page + U(0x1000):
        at = copy + (base - first) + (number << U(3))
        store64(shadows + (number << U(3)), _words_of(load32(at), load32(at + U(4))))
        number += U(1)
    _count(a, COPIED)


@njit(inlining="never")
def _follow(a, ldt, page, physical, number, at):  # type: ignore[no-untyped-def]
    """The page is another one now, or was written: make its copy and its shadows what it is, at `at` at least."""
    words, state = a[c.SHADOW], a[c.FRAMES] + (physical >> U(12))
    known, copies = words + U(FRAMES) + (number << U(3)), words + U(COPIES) + (number << U(3))
    if load64(known) == physical | U(1):
        if load64(words + U(LEFT_OUT)) & U(UNTRACED):
            return
        if load64(copies) >= PATIENCE:
            base = load64(words + U(LDT if ldt else GDT) + U(8))
            copy = a[c.TC_MEMORY] + U(c.TC_COPIES) + U(0x20000 if ldt else 0) + (at - (base & PAGE_MASK))
            now = load64(a[c.RAM] + physical + (at & U(0xFFF)))
            if load64(copy) != now:
                store64(copy, now)
                shown = a[c.TC_MEMORY] + U(c.TC_SHADOWS) + U(0x10000 if ldt else 0) + (at - base)
                store64(shown, _words_of(U32(now & MASK32), U32(now >> U(32))))
                _count(a, COMPARED)
            return
        store64(copies, load64(copies) + U(1))
    else:
        store64(copies, U(0))
    if load8(state) & c.FRAME_WRITABLE:  # the TLB may still let the guest write there unseen
        call_control(a[c.CONTROL_FUNCTION], a[c.ENGINE], FLUSH_TLB, U(0), U(0))
    store8(state, np.uint8((load8(state) | c.FRAME_TRACED) & (0xFF ^ c.FRAME_WRITABLE)))
    store64(known, physical | U(1))
    _copy_page(a, ldt, page, physical)


@njit()
def table_entry(a, selector, looking):  # type: ignore[no-untyped-def]
    """Both words of a guest's descriptor, the second above; NOWHERE where it cannot be read simply.

    `looking`: it is no load of the guest's, whose accessed bits stay as they are.
    """
    words, ldt = a[c.SHADOW], selector & U32(4)
    table = words + U(LDT if ldt else GDT)
    offset = U(selector & U32(0xFFF8))
    if offset + U(7) > U(load32(table + U(16))):
        return NOWHERE
    base = load64(table + U(8))
    at = base + offset
    page = at & PAGE_MASK
    if at > MASK32 or (at & U(0xFFF)) > U(0xFF8):
        return NOWHERE
    found = peek(a, page, False, False) if looking else lookup(a, page, False, False, False)
    physical = found & U(0x0000FFFFFFFFF000)
    if found & U(WALK_FAULT) or physical >= a[c.RAM_SIZE]:
        return NOWHERE
    number = ((page - (base & PAGE_MASK)) >> U(12)) + U(17 if ldt else 0)
    known = load64(words + U(FRAMES) + (number << U(3)))
    if known != physical | U(1) or not load8(a[c.FRAMES] + (physical >> U(12))) & c.FRAME_TRACED:
        _follow(a, ldt, page, physical, number, at)
    if not looking:
        _count(a, LOADED)
    copy = a[c.TC_MEMORY] + U(c.TC_COPIES) + U(0x20000 if ldt else 0)
    return load64(copy + (at - (base & PAGE_MASK)))


@njit()
def _is_reversible(a, record):  # type: ignore[no-untyped-def]
    """Would a load of the selector now give what the segment register holds?"""
    selector = load32(record)
    if not selector & U32(0xFFFC):
        return True
    found = table_entry(a, selector, True)
    if found == NOWHERE:
        return False
    low, high = U32(found & MASK32), U32(found >> U(32))
    base = U(low >> U32(16)) | U(high & U32(0xFF)) << U(16) | U(high & U32(0xFF000000))
    limit = U(low & U32(0xFFFF)) | U(high & U32(0xF0000))
    if high & GRANULAR:
        limit = limit << U(12) | U(0xFFF)
    same = base == load64(record + U(8)) and limit == U(load32(record + U(16)))
    return same and (high ^ load32(record + U(20))) & DESCRIPTOR & ~ACCESSED == U32(0)


@njit()
def all_reversible(a):  # type: ignore[no-untyped-def]
    """... for all that a program has, but for what it is about to load: CS and SS."""
    for segment in (ES, DS, FS, GS):
        if not _is_reversible(a, guest_segment(a, segment)):
            _count(a, NONREVERSIBLE)
            return False
    return True


@entry("i64(cells)")
def may_run_directly(a):  # type: ignore[no-untyped-def]
    """... between two runs, when the words hold what they held in the last; CS and SS too."""
    _keep(a)
    for segment in range(6):
        if not _is_reversible(a, a[c.SHADOW] + U(RECORD) * U(segment)):
            _count(a, NONREVERSIBLE)
            return np.int64(0)
    return np.int64(1)
