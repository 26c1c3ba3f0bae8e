"""Loads and stores of traced code, made and noted in one go, compiled: in place of Unicorn's own functions.

While there are memory hooks Unicorn's translated code calls a function of Unicorn for each access, which looks
up the mapping, walks through the lists of hooks and asks whether code was overwritten: 40 ns. Here the access
that needs none of this (its page is in Unicorn's TLB, all of it on one page of RAM that holds no code) is made
and noted at once; any other goes to Unicorn's function, whose hooks note it (trace.py).

    TLB of an MMU index, before the registers (env - 64 + 16 * index):  mask (of entries, << 6) | table
    entry, 64 bytes:  0 linear page + bits, for loads   8 the same for stores   24 physical page   32 host - linear

Source: QEMU 5.0, exec/cpu-defs.h and accel/tcg/cputlb.c, as Unicorn 2.1.4 has changed them; trace_helpers.py
checks all of it before it is used.

    table of traced engines, one for the process (`table`):  env | state, eight times, then Unicorn's functions, then
    ours for what the first ones here do not settle: those end with a jump there, and so need no stack
"""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.intrinsics import (
    call_load,
    call_load_slowly,
    call_store,
    call_store_slowly,
    load8,
    load16,
    load32,
    load64,
    store8,
    store16,
    store32,
    store64,
)
from labkit.vm.machine.probes.trace_words import get, put

__all__ = [
    "ENGINES", "LOADS", "LOADS_SLOWLY", "STORES", "STORES_SLOWLY", "TABLE_WORDS", "let_hooks_be_called", "linear_of",
    "loads", "loads_slowly", "note", "stores", "stores_slowly",
]  # fmt: skip

U = np.uint64
ENGINES = 8
LOADS, STORES = 16, 20  # words of `table`: Unicorn's functions for 1, 2, 4 and 8 bytes
LOADS_SLOWLY, STORES_SLOWLY = 24, 28  # and of ours
TABLE_WORDS = 32
SIZES = (1, 2, 4, 8)
FAST = U(64)
FOR_LOADS, FOR_STORES, PHYSICAL, ADDEND = U(0), U(8), U(24), U(32)
NOT_DIRTY = U(0x400)
PAGE_MASK, OFFSET, MASK32 = U(0xFFFFFFFFFFFFF000), U(0xFFF), U(0xFFFFFFFF)
MMU_INDEXES = 3


@njit(inlining="always")
def _note(t, address, linear, meta, value):  # type: ignore[no-untyped-def]
    at = get(t, w.REFS)
    store32(get(t, w.ADDRESS) + (at << U(2)), np.uint32(address))
    store8(get(t, w.META) + at, np.uint8(meta))
    if get(t, w.VALUE):
        bits = (meta & U(15)) << U(3)
        if bits < U(64):
            value &= (U(1) << bits) - U(1)
        store64(get(t, w.VALUE) + (at << U(3)), value)
    if get(t, w.LINEAR):
        store32(get(t, w.LINEAR) + (at << U(2)), np.uint32(linear))
    put(t, w.REFS, at + U(1))


@njit(inlining="always")
def note(t, physical, linear, meta, value):  # type: ignore[no-untyped-def]
    """One reference more."""
    if physical > MASK32:  # where no memory is
        physical = U(0xFFFFF000) | (physical & OFFSET)
    _note(t, physical, linear, meta, value)


@njit()
def _traced(table, env):  # type: ignore[no-untyped-def]
    """The trace's state of an engine; 0 where it is not traced."""
    for i in range(ENGINES):
        if load64(table + U(16 * i)) == env:
            return load64(table + U(16 * i + 8))
    return U(0)


@njit(inlining="always")
def _entry(env, address, index):  # type: ignore[no-untyped-def]
    fast = env + ((index & U(15)) << U(4)) - FAST
    return load64(fast + U(8)) + (((load64(fast) >> U(6)) & (address >> U(12))) << U(6))


@njit()
def linear_of(t, env, physical):  # type: ignore[no-untyped-def]
    """The linear address of an access that Unicorn has made itself: it must be in its TLB."""
    known = get(t, w.UNDER_WAY)
    page = physical & PAGE_MASK
    if known != U(0) and (known - U(1)) & OFFSET == physical & OFFSET:
        return known - U(1)
    for index in range(MMU_INDEXES):
        fast = env + U(16 * index) - FAST
        count = (load64(fast) >> U(6)) + U(1)
        for i in range(count):
            at = load64(fast + U(8)) + (U(i) << U(6))
            if load64(at + PHYSICAL) & PAGE_MASK == page:
                for tag in (load64(at + FOR_LOADS), load64(at + FOR_STORES)):
                    if tag & U(0x800) == U(0):
                        return (tag & U(0xFFFFF000)) | (physical & OFFSET)
    return physical & U(0xFFFFFFFF)


@njit(inlining="always")
def let_hooks_be_called(t):  # type: ignore[no-untyped-def]
    """Unicorn calls no memory hook inside a recursion; a store to its own block leaves one without its end."""
    if get(t, w.RECURSION) != U(0):
        store32(get(t, w.RECURSION), np.uint32(0))


@njit(inlining="always")
def _is_at_hand(entry, tags, address, size):  # type: ignore[no-untyped-def]
    """Does the access lie in RAM below 4 GB, all of it on the page of this entry?"""
    return load64(entry + tags) == (address + U(size - 1)) & PAGE_MASK and load64(entry + PHYSICAL) <= MASK32


@njit()
def _becomes_dirty(t, entry, address, size):  # type: ignore[no-untyped-def]
    """On one page, marked for a look at code although its frame holds none: the mark goes.

    Unicorn does so too, and sets it again in all entries of a page from which it translates.
    """
    page = (address + U(size - 1)) & PAGE_MASK
    if load64(entry + FOR_STORES) != page | NOT_DIRTY:
        return False
    cells, physical = get(t, w.CELLS), load64(entry + PHYSICAL)
    if physical >= load64(cells + U(8 * c.RAM_SIZE)):
        return False
    state = load8(load64(cells + U(8 * c.FRAMES)) + (physical >> U(12)))
    if state & np.uint8(c.FRAME_CODE | c.FRAME_MIXED):
        return False
    store64(entry + FOR_STORES, page)
    return True


@njit(inlining="always")
def _physical(entry, address):  # type: ignore[no-untyped-def]
    return (load64(entry + PHYSICAL) & PAGE_MASK) | (address & OFFSET)


LOAD = types.uint64(types.uint64, types.uint64, types.uint32, types.uint64, types.uint64)
STORE = types.uint64(types.uint64, types.uint64, types.uint64, types.uint32, types.uint64, types.uint64)
"""Answers nothing that is looked at; but only what answers the same can end with a jump."""


def _loads(size: int, read: Any) -> tuple[Any, Any]:
    """helper_ret_ldub_mmu, helper_le_lduw_mmu and so on: at once, and the long way."""
    kind, mask = SIZES.index(size), (1 << 8 * size) - 1

    def load(env, address, oi, back, table):  # type: ignore[no-untyped-def]
        entry = _entry(env, address, U(oi))
        if load64(table) == env and _is_at_hand(entry, FOR_LOADS, address, size):
            physical, value = _physical(entry, address), U(read(address + load64(entry + ADDEND)))
            _note(load64(table + U(8)), physical, address, U(size), value)
            return value
        return call_load_slowly(load64(table + U(8 * (LOADS_SLOWLY + kind))), env, address, oi, back, table)

    def load_slowly(env, address, oi, back, table):  # type: ignore[no-untyped-def]
        t, entry = _traced(table, env), _entry(env, address, U(oi))
        if t != U(0) and _is_at_hand(entry, FOR_LOADS, address, size):
            physical, value = _physical(entry, address), U(read(address + load64(entry + ADDEND)))
            _note(t, physical, address, U(size), value)
            return value
        if t != U(0):
            put(t, w.UNDER_WAY, (address & U(0xFFFFFFFF)) + U(1))
            let_hooks_be_called(t)
        value = call_load(load64(table + U(8 * (LOADS + kind))), env, address, oi, back)
        if t != U(0):
            put(t, w.UNDER_WAY, U(0))
        return value & U(mask)

    return _named(LOAD, load, size), _named(LOAD, load_slowly, size)


def _stores(size: int, write: Any, narrow: Any) -> tuple[Any, Any]:
    """helper_ret_stb_mmu, helper_le_stw_mmu and so on."""
    kind = SIZES.index(size)

    def store(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
        entry = _entry(env, address, U(oi))
        if load64(table) == env and _is_at_hand(entry, FOR_STORES, address, size):
            physical = _physical(entry, address)
            write(address + load64(entry + ADDEND), narrow(value))
            _note(load64(table + U(8)), physical, address, U(size | w.WRITE), value)
            return U(0)
        return call_store_slowly(load64(table + U(8 * (STORES_SLOWLY + kind))), env, address, value, oi, back, table)

    def store_slowly(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
        t, entry = _traced(table, env), _entry(env, address, U(oi))
        if t != U(0) and (_is_at_hand(entry, FOR_STORES, address, size) or _becomes_dirty(t, entry, address, size)):
            physical = _physical(entry, address)
            write(address + load64(entry + ADDEND), narrow(value))
            _note(t, physical, address, U(size | w.WRITE), value)
            return U(0)
        if t != U(0):
            put(t, w.UNDER_WAY, (address & U(0xFFFFFFFF)) + U(1))
            let_hooks_be_called(t)
        call_store(load64(table + U(8 * (STORES + kind))), env, address, value, oi, back)
        if t != U(0):
            put(t, w.UNDER_WAY, U(0))
        return U(0)

    return _named(STORE, store, size), _named(STORE, store_slowly, size)


def _named(face: Any, function: Any, size: int) -> Any:
    """Compiled under a name of its own."""
    function.__name__ = function.__qualname__ = f"{function.__name__}_{size}"
    return cfunc(face)(function)


_LOADS = [_loads(size, read) for size, read in zip(SIZES, (load8, load16, load32, load64), strict=True)]
_STORES = [
    _stores(size, write, narrow)
    for size, write, narrow in zip(
        SIZES, (store8, store16, store32, store64), (np.uint8, np.uint16, np.uint32, np.uint64), strict=True
    )
]
loads, loads_slowly = zip(*_LOADS, strict=True)
stores, stores_slowly = zip(*_STORES, strict=True)
