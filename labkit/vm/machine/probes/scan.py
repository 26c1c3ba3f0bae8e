"""The translator's fast part, compiled: which instructions are copied as they are, and copying them with their tables.

scan    1   0   1   1   0        instruction after instruction: length, and SPECIAL where it is not simply copied
mov jz  add mov ret
copy    bytes and the entries of the tables (translated.py) for a run of those that are
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.compiled import entry
from labkit.vm.machine.probes.decode import LENGTH, ONE, PREFIX, instruction
from labkit.vm.machine.probes.intrinsics import load8, store8, store32, store64

__all__ = ["SPECIAL", "copy", "mark", "operation", "scan"]

U = np.uint64
SPECIAL = 0x80


def _one_byte() -> npt.NDArray[np.uint8]:
    """1 where the opcode may be another thing than a copy."""
    table = np.zeros(256, np.uint8)
    table[[0x06, 0x07, 0x0E, 0x0F, 0x16, 0x17, 0x1E, 0x1F, 0x8C, 0x8E, 0x9A, 0x9C, 0x9D, 0xC2, 0xC3]] = 1
    table[[0xC4, 0xC5, 0xC8, 0xE8, 0xE9, 0xEA, 0xEB, 0xF1, 0xF4, 0xFA, 0xFB, 0xFF]] = 1
    table[0x6C:0x80] = 1  # INS OUTS, Jcc
    table[0xA4:0xA8] = table[0xAA:0xB0] = 1  # string instructions, which may be repeated
    table[0xCA:0xD0] = table[0xE0:0xE8] = table[0xEC:0xF0] = 1
    return table


def _two_byte() -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    table[:0x10] = table[0x20:0x28] = table[0x30:0x40] = table[0x80:0x90] = 1
    table[[0xA0, 0xA1, 0xA2, 0xA8, 0xA9, 0xAA, 0xAE, 0xB2, 0xB4, 0xB5, 0xC7]] = 1
    return table


ONE_SPECIAL, TWO_SPECIAL = _one_byte(), _two_byte()


@entry("i64(u64, u64, i64, u64)")
def scan(p: Any, size: Any, most: Any, out: Any) -> Any:
    """Lengths of the whole instructions in these bytes of 32-bit code, a byte each at `out`; how many they are."""
    at, count = U(0), 0
    while at < size and count < most:
        length = U(instruction(p + at, 1) & LENGTH)
        if at + length > size:
            break
        i, reserved = at, False
        while ONE[load8(p + i)] & PREFIX and i < at + length - U(1):
            reserved = reserved or load8(p + i) == 0x65 or load8(p + i) == 0x2E  # GS and CS reach the monitor
            i += U(1)
        op = load8(p + i)
        special = ONE_SPECIAL[op]
        if op == 0x0F:
            special = TWO_SPECIAL[load8(p + i + U(1))]
        special = special or reserved
        store8(out + U(count), np.uint8(length | U(SPECIAL if special else 0)))
        at += length
        count += 1
    return np.int64(count)


@entry("u64(cells, u64, u64, u64, u64, u64)")
def mark(a: Any, place: Any, size: Any, eip: Any, retired: Any, flags: Any) -> Any:
    """Tables for `size` bytes at `place` that stand for the instruction at a guest EIP; `flags` are of the first."""
    for i in range(size):
        at = place + U(i)
        store64(a[c.TC_SUMS] + (at << U(3)), retired)
        store32(a[c.TC_GUEST] + (at << U(2)), np.uint32(eip))
        store8(a[c.TC_FLAGS] + at, np.uint8(0))
        store8(a[c.TC_OPERATIONS] + at, np.uint8(0))
    store8(a[c.TC_FLAGS] + place, np.uint8(flags))
    return U(0)


@entry("u64(cells, u64, u64, u64, u64, u64, u64, u64)")
def operation(a: Any, place: Any, eip: Any, retired: Any, flags: Any, number: Any, first: Any, second: Any) -> Any:
    """An INT3 that stands for an operation of the dispatcher, with its arguments."""
    store8(a[c.TC_MEMORY] + place, np.uint8(0xCC))
    mark(a, place, 1, eip, retired, flags)
    store8(a[c.TC_OPERATIONS] + place, np.uint8(number))
    store32(a[c.TC_ARGUMENTS] + (place << U(3)), np.uint32(first))
    store32(a[c.TC_ARGUMENTS] + (place << U(3)) + U(4), np.uint32(second))
    return U(0)


@entry("u64(cells, u64, u64, u64, u64, u64, u64, u64)")
def copy(
    a: Any, place: Any, source: Any, lengths: Any, count: Any, eip: Any, retired: Any, flags: Any
) -> Any:
    """Copy `count` instructions whose lengths are noted at `lengths`; the bytes that they take."""
    at = U(0)
    for i in range(count):
        length = U(load8(lengths + U(i)))
        for k in range(length):
            store8(a[c.TC_MEMORY] + place + at + U(k), load8(source + at + U(k)))
        mark(a, place + at, length, (eip + at) & U(0xFFFFFFFF), retired + U(i), 0)
        at += length
    store8(a[c.TC_FLAGS] + place, np.uint8(flags))
    return at
