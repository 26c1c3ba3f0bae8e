"""The guest's TLB, compiled: what its accesses have translated stays so until the guest itself flushes it.

Unicorn has a TLB too, but that one is emptied by checkpoints, by watches and when it grows, at the host's
times. A guest that changes a page-table entry and forgets INVLPG lives on the old translation for as long as
the TLB holds it; that must be a matter of the guest alone. So this TLB is asked before each walk. It has room
for every page, and what Unicorn holds it holds too.

    entry of a linear page   63    36 35       12       6 5 4 3 2   0
                            | epoch  |   frame   | ... |D|W|U|L|X| |V|

    V: live; X, U, W: what all levels allow; L: piece of a large page; D: the dirty bit is set already. An
    entry of another epoch is none, so that a flush is one increment. The pages that have an entry of this
    epoch are listed, for checkpoints.

An entry that does not allow an access is no fault: the tables are walked, as Unicorn and the processor do it.
A page fault drops the page's entry. All pages die with MOV to CR3, global ones too, and when CR0.PG, PE, WP or
CR4's paging bits change; one page with INVLPG, or all the pieces of a large one. Source: Intel SDM volume 3A,
4.10.
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import layout
from labkit.vm.machine.probes.address import UNKNOWN, effective_address
from labkit.vm.machine.probes.compiled import entry, njit
from labkit.vm.machine.probes.decode import ONE, PREFIX
from labkit.vm.machine.probes.intrinsics import load8, load32, load64, store32, store64
from labkit.vm.machine.probes.trace_walk import ALL, PAGE, note_flush, note_walk
from labkit.vm.machine.probes.walk import (
    WALK_DIRTY,
    WALK_EXECUTE,
    WALK_FAULT,
    WALK_LARGE,
    WALK_READ,
    WALK_USER,
    WALK_WRITABLE,
    WALK_WRITE,
    translate,
)

__all__ = ["drop_faulted", "drop_page", "flushed", "forget", "load", "look", "lookup", "notice", "peek", "save"]

U = np.uint64
PG, WP, PAE = np.uint32(0x80000000), np.uint32(0x10000), np.uint32(0x20)
CR0_BITS, CR4_BITS = np.uint32(0x80010001), np.uint32(0x3000B0)  # PG WP PE; SMAP SMEP PGE PAE PSE
LIVE, LAST_EPOCH = U(WALK_READ), U((1 << 28) - 1)
EPOCH_SHIFT = U(36)
KEPT = U(0xFFFFFF000 | WALK_READ | WALK_EXECUTE | WALK_LARGE | WALK_USER | WALK_WRITABLE | WALK_DIRTY)
PAGES = 1 << 20


@entry("void(cells)")
def forget(a):  # type: ignore[no-untyped-def]
    """A flush of everything."""
    a[c.TLB_COUNT] = U(0)
    if a[c.TLB_EPOCH] >= LAST_EPOCH and a[c.TLB]:
        a[c.TLB_EPOCH] = U(0)
        for i in range(PAGES):
            store64(a[c.TLB] + U(8 * i), U(0))
    a[c.TLB_EPOCH] += U(1)


@njit()
def _notice(a):  # type: ignore[no-untyped-def]
    """Have the control registers changed since the last access? Then all entries are void."""
    env = a[c.ENV]
    cr0, cr4 = U(load32(env + U(layout.CR0)) & CR0_BITS), U(load32(env + U(layout.CR4)) & CR4_BITS)
    cr3 = U(load32(env + U(layout.CR3)))
    if cr3 != a[c.TLB_CR3] or cr0 != a[c.TLB_CR0] or cr4 != a[c.TLB_CR4]:
        a[c.TLB_CR0], a[c.TLB_CR3], a[c.TLB_CR4] = cr0, cr3, cr4
        forget(a)
        note_flush(a, U(0), ALL)


@entry("void(cells)")
def notice(a):  # type: ignore[no-untyped-def]
    """Have it told at once, and not at the next access, when the control registers have changed."""
    _notice(a)


@njit()
def _place(a, page):  # type: ignore[no-untyped-def]
    return a[c.TLB] + (page << U(3))


@njit()
def _entry_of(a, page):  # type: ignore[no-untyped-def]
    """The live entry of a linear page; 0 for none."""
    found = load64(_place(a, page))
    return found if found >> EPOCH_SHIFT == a[c.TLB_EPOCH] and found & LIVE else U(0)


@njit()
def _insert(a, page, kept):  # type: ignore[no-untyped-def]
    place = _place(a, page)
    if load64(place) >> EPOCH_SHIFT != a[c.TLB_EPOCH]:
        store32(a[c.TLB_LIST] + (a[c.TLB_COUNT] << U(2)), np.uint32(page))
        a[c.TLB_COUNT] += U(1)
    store64(place, kept | (a[c.TLB_EPOCH] << EPOCH_SHIFT))


@njit()
def _drop(a, page):  # type: ignore[no-untyped-def]
    store64(_place(a, page), load64(_place(a, page)) & ~LIVE)


@njit()
def _granted(a, found, user):  # type: ignore[no-untyped-def]
    """An entry as the walk would put it."""
    granted = found & KEPT
    anyone = (load32(a[c.ENV] + U(layout.CR0)) & WP) == 0 and not user
    if found & U(WALK_DIRTY) and (found & U(WALK_WRITABLE) or anyone):
        granted |= U(WALK_WRITE)
    return granted


@njit()
def lookup(a, va, write, fetch, user):  # type: ignore[no-untyped-def]
    """Physical page | rights, or WALK_FAULT | error code, as `translate`: from the TLB, else by a walk."""
    if a[c.TLB] == 0:
        return translate(a, va, write, fetch, user, True)
    _notice(a)  # before all else: paging may be off for a while, and on again with the same CR0
    if not (load32(a[c.ENV] + U(layout.CR0)) & PG):
        return translate(a, va, write, fetch, user, True)
    page = va >> U(12)
    found = _entry_of(a, page)
    if found and (found & U(WALK_USER) or not user) and (found & U(WALK_EXECUTE) or not fetch):
        granted = _granted(a, found, user)
        if granted & U(WALK_WRITE) or not write:
            return granted
    granted = translate(a, va, write, fetch, user, True)
    if a[c.TRACE]:
        note_walk(a, va, granted, write, fetch)
    if not (granted & U(WALK_FAULT)):
        _insert(a, page, granted & KEPT)
    return granted


@njit()
def look(a, va):  # type: ignore[no-untyped-def]
    """Where a supervisor's read would go, as `translate`, without side effects."""
    if a[c.TLB] and load32(a[c.ENV] + U(layout.CR0)) & PG and U(load32(a[c.ENV] + U(layout.CR3))) == a[c.TLB_CR3]:
        found = _entry_of(a, va >> U(12))
        if found:
            return _granted(a, found, False)
    return translate(a, va, False, False, False, False)


@njit()
def peek(a, va, write, fetch):  # type: ignore[no-untyped-def]
    """`lookup` for a supervisor, without side effects."""
    if a[c.TLB] == 0:
        return translate(a, va, write, fetch, False, False)
    _notice(a)
    if load32(a[c.ENV] + U(layout.CR0)) & PG:
        found = _entry_of(a, va >> U(12))
        if found and (found & U(WALK_EXECUTE) or not fetch):
            granted = _granted(a, found, False)
            if granted & U(WALK_WRITE) or not write:
                return granted
    return translate(a, va, write, fetch, False, False)


@njit()
def drop_faulted(a, va):  # type: ignore[no-untyped-def]
    """An access to this page has faulted: the entry, if any, has gone, and Unicorn's must go too."""
    if a[c.TLB] and _entry_of(a, va >> U(12)):
        _drop(a, va >> U(12))
        a[c.TLB_DROPPED] = U(1)


@njit()
def _drop_piece_or_page(a, page):  # type: ignore[no-untyped-def]
    _drop(a, page)
    pieces = U(512) if load32(a[c.ENV] + U(layout.CR4)) & PAE else U(1024)
    first = page & ~(pieces - U(1))
    for i in range(pieces):
        if load64(_place(a, first + U(i))) & U(WALK_LARGE):
            _drop(a, first + U(i))


@njit()
def flushed(a, p):  # type: ignore[no-untyped-def]
    """The INVLPG or MOV to CR3 at host address `p` has run; True when Unicorn must forget a large page for it.

    Neither changes a register that an address is made of.
    """
    if a[c.TLB] == 0:
        return False
    at = p
    while ONE[load8(at)] & PREFIX and at < p + U(14):
        at += U(1)
    if load8(at + U(1)) == 0x22:
        forget(a)
        note_flush(a, U(0), ALL)
        return False
    address = effective_address(a, p)
    if address == UNKNOWN:
        forget(a)
        note_flush(a, U(0), ALL)
        return True
    note_flush(a, address, PAGE)
    return drop_page(a, address)


@njit()
def drop_page(a, address):  # type: ignore[no-untyped-def]
    """INVLPG of an address; True when Unicorn must forget a large page for it."""
    if a[c.TLB]:  # a machine with another protection unit has none of ours
        _drop_piece_or_page(a, address >> U(12))
    return load8(a[c.LARGE] + (address >> U(21))) != 0


# --- for checkpoints: a word for each live entry, with the linear page where the epoch stood


@entry("i64(cells, u64)")
def save(a, where):  # type: ignore[no-untyped-def]
    """Store the live entries at host address `where`, which has room for TLB_COUNT words; how many they are."""
    count = U(0)
    _notice(a)
    for i in range(a[c.TLB_COUNT]):
        page = U(load32(a[c.TLB_LIST] + U(4 * i)))
        found = _entry_of(a, page)
        if found:
            store64(where + (count << U(3)), (found & KEPT) | (page << EPOCH_SHIFT))
            count += U(1)
    return np.int64(count)


@entry("void(cells, u64, i64)")
def load(a, where, count):  # type: ignore[no-untyped-def]
    """Hold these entries and no others; the control registers are as they were when they were saved."""
    _notice(a)
    forget(a)
    for i in range(U(count)):
        word = load64(where + U(8 * i))
        _insert(a, word >> EPOCH_SHIFT, word & KEPT)
