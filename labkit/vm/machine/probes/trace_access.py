"""Loads and stores of traced code, made and noted in one go, compiled: in place of Unicorn's own functions.

While there are memory hooks Unicorn's translated code calls a function of Unicorn for each access, which looks
up the mapping, walks through the lists of hooks and asks whether code was overwritten: 40 ns. Here the access
that needs none of this (its page is in Unicorn's TLB, all of it on one page of RAM that holds no code) is made
and noted at once; any other goes to Unicorn's function, whose hooks note it (trace.py).

    TLB of an MMU index, before the registers (env - 64 + 16 * index):  mask (of entries, << 6) | table
    entry, 64 bytes:  0 linear page + bits, for loads   8 the same for stores   24 physical page   32 host - linear

Source: QEMU 5.0, exec/cpu-defs.h and accel/tcg/cputlb.c, as Unicorn 2.1.4 has changed them; trace_helpers.py
checks all of it before it is used.

    table of traced engines, one for the process (`table`):  env | state, eight times, then Unicorn's functions
"""

import numpy as np

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.compiled import cfunc, njit, types
from labkit.vm.machine.probes.intrinsics import (
    call_load,
    call_store,
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
    "let_hooks_be_called", "linear_of", "load_1", "load_2", "load_4", "load_8", "note", "store_1", "store_2",
    "store_4", "store_8",
]  # fmt: skip

U = np.uint64
ENGINES = 8
LOADS, STORES = 16, 20  # words of `table`: Unicorn's functions for 1, 2, 4 and 8 bytes
TABLE_WORDS = 24
FAST = U(64)
FOR_LOADS, FOR_STORES, PHYSICAL, ADDEND = U(0), U(8), U(24), U(32)
NOT_DIRTY = U(0x400)
PAGE_MASK, OFFSET = U(0xFFFFFFFFFFFFF000), U(0xFFF)
MMU_INDEXES = 3


@njit(inlining="always")
def note(t, physical, linear, meta, value):  # type: ignore[no-untyped-def]
    """One reference more."""
    at = get(t, w.REFS)
    address = physical
    if address > U(0xFFFFFFFF):  # where no memory is
        address = U(0xFFFFF000) | (address & OFFSET)
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


@njit(inlining="never")
def _other(table, env):  # type: ignore[no-untyped-def]
    for i in range(1, ENGINES):
        if load64(table + U(16 * i)) == env:
            return load64(table + U(16 * i + 8))
    return U(0)


@njit(inlining="always")
def _traced(table, env):  # type: ignore[no-untyped-def]
    """The trace's state of an engine; 0 where it is not traced."""
    return load64(table + U(8)) if load64(table) == env else _other(table, env)


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


@njit(inlining="never")
def _load_slowly(t, table, env, address, oi, back, kind):  # type: ignore[no-untyped-def]
    if t != U(0):
        put(t, w.UNDER_WAY, (address & U(0xFFFFFFFF)) + U(1))
        let_hooks_be_called(t)
    value = call_load(load64(table + U(8 * LOADS) + (U(kind) << U(3))), env, address, oi, back)
    if t != U(0):
        put(t, w.UNDER_WAY, U(0))
    return value


@njit(inlining="never")
def _store_slowly(t, table, env, address, value, oi, back, kind):  # type: ignore[no-untyped-def]
    if t != U(0):
        put(t, w.UNDER_WAY, (address & U(0xFFFFFFFF)) + U(1))
        let_hooks_be_called(t)
    call_store(load64(table + U(8 * STORES) + (U(kind) << U(3))), env, address, value, oi, back)
    if t != U(0):
        put(t, w.UNDER_WAY, U(0))


@njit(inlining="always")
def _may_load(entry, address, size):  # type: ignore[no-untyped-def]
    return load64(entry + FOR_LOADS) == address & PAGE_MASK and address & OFFSET <= U(4096 - size)


@njit(inlining="always")
def _may_store(t, entry, address, size):  # type: ignore[no-untyped-def]
    """On one page, and plain, or marked for a look at code although its frame holds none."""
    tag, page = load64(entry + FOR_STORES), address & PAGE_MASK
    if address & OFFSET > U(4096 - size):
        return False
    if tag == page:
        return True
    if tag != page | NOT_DIRTY:
        return False
    cells, physical = get(t, w.CELLS), load64(entry + PHYSICAL)
    if physical >= load64(cells + U(8 * c.RAM_SIZE)):
        return False
    state = load8(load64(cells + U(8 * c.FRAMES)) + (physical >> U(12)))
    return state & np.uint8(c.FRAME_CODE | c.FRAME_MIXED) == np.uint8(0)


@njit(inlining="always")
def _physical(entry, address):  # type: ignore[no-untyped-def]
    return (load64(entry + PHYSICAL) & PAGE_MASK) | (address & OFFSET)


LOAD = types.uint64(types.uint64, types.uint64, types.uint32, types.uint64, types.uint64)
STORE = types.void(types.uint64, types.uint64, types.uint64, types.uint32, types.uint64, types.uint64)


@cfunc(LOAD)
def load_1(env, address, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_ret_ldub_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_load(entry, address, 1):
        value = U(load8(address + load64(entry + ADDEND)))
        note(t, _physical(entry, address), address, U(1), value)
        return value
    return _load_slowly(t, table, env, address, oi, back, 0) & U(0xFF)


@cfunc(LOAD)
def load_2(env, address, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_lduw_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_load(entry, address, 2):
        value = U(load16(address + load64(entry + ADDEND)))
        note(t, _physical(entry, address), address, U(2), value)
        return value
    return _load_slowly(t, table, env, address, oi, back, 1) & U(0xFFFF)


@cfunc(LOAD)
def load_4(env, address, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_ldul_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_load(entry, address, 4):
        value = U(load32(address + load64(entry + ADDEND)))
        note(t, _physical(entry, address), address, U(4), value)
        return value
    return _load_slowly(t, table, env, address, oi, back, 2) & U(0xFFFFFFFF)


@cfunc(LOAD)
def load_8(env, address, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_ldq_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_load(entry, address, 8):
        value = load64(address + load64(entry + ADDEND))
        note(t, _physical(entry, address), address, U(8), value)
        return value
    return _load_slowly(t, table, env, address, oi, back, 3)


@cfunc(STORE)
def store_1(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_ret_stb_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_store(t, entry, address, 1):
        store8(address + load64(entry + ADDEND), np.uint8(value))
        note(t, _physical(entry, address), address, U(1 | w.WRITE), value)
        return
    _store_slowly(t, table, env, address, value, oi, back, 0)


@cfunc(STORE)
def store_2(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_stw_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_store(t, entry, address, 2):
        store16(address + load64(entry + ADDEND), np.uint16(value))
        note(t, _physical(entry, address), address, U(2 | w.WRITE), value)
        return
    _store_slowly(t, table, env, address, value, oi, back, 1)


@cfunc(STORE)
def store_4(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_stl_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_store(t, entry, address, 4):
        store32(address + load64(entry + ADDEND), np.uint32(value))
        note(t, _physical(entry, address), address, U(4 | w.WRITE), value)
        return
    _store_slowly(t, table, env, address, value, oi, back, 2)


@cfunc(STORE)
def store_8(env, address, value, oi, back, table):  # type: ignore[no-untyped-def]
    """helper_le_stq_mmu."""
    t, entry = _traced(table, env), _entry(env, address, U(oi))
    if t != U(0) and _may_store(t, entry, address, 8):
        store64(address + load64(entry + ADDEND), value)
        note(t, _physical(entry, address), address, U(8 | w.WRITE), value)
        return
    _store_slowly(t, table, env, address, value, oi, back, 3)
