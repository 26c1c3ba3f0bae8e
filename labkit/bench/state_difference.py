"""What differs between two machines that should be in the same state, in lines for people.

As "eax: 00000012 / 00000013" or "ram 01fe3020..01fe3020: 67 / 47".
"""

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from labkit.bench.floating_point import floating_point
from labkit.vm.machine import Machine
from labkit.vm.machine.state import Segment
from labkit.vm.replay.disassembly import disassemble
from labkit.vm.replay.linear_memory import read
from labkit.vm.replay.symbols import Symbols

__all__ = ["code_around", "differences"]

MOST = 12
"""Stretches of RAM that are told."""
GAP = 16
"""Bytes between two that are still one stretch."""
WIDEST = 16
"""Bytes of one that are shown."""
ACCESSED = 0x20
SHORT = 60
"""Characters of a device's value that are shown."""
BEFORE, AFTER = 4, 6
"""Instructions around a place."""


def differences(one: Machine, other: Machine) -> list[str]:
    """A line for each register, stretch of RAM and value in a device that differs; none where all is equal."""
    return [
        *_clocks(one, other), *_registers(one, other), *_floating_point(one, other), *_ram(one, other),
        *_console(one, other), *_devices(one, other),
    ]  # fmt: skip


def _clocks(one: Machine, other: Machine) -> Iterator[str]:
    here, there = one.point, other.point
    for name in ("instructions", "branches", "repetitions"):
        if getattr(here, name) != getattr(there, name):
            yield f"{name}: {getattr(here, name)} / {getattr(there, name)}"
    if one.processor.idle != other.processor.idle:
        yield f"idle time: {one.processor.idle} / {other.processor.idle}"


def _registers(one: Machine, other: Machine) -> Iterator[str]:
    here, there = one.registers, other.registers
    for field in fields(here):
        left, right = getattr(here, field.name), getattr(there, field.name)
        if left != right:
            yield f"{field.name}: {_text(left)} / {_text(right)}"


def _floating_point(one: Machine, other: Machine) -> Iterator[str]:
    here, there = (floating_point(machine) for machine in (one, other))
    for name, left in here.items():
        if left != there[name]:
            yield f"{name}: {left:x} / {there[name]:x}"


def _text(value: object) -> str:
    if isinstance(value, int):
        return f"{value:08x}"
    if isinstance(value, Segment):
        return f"{value} attributes {value.attributes:08x}"
    return str(value)


def _ram(one: Machine, other: Machine) -> Iterator[str]:
    left, right = one.memory.bytes, other.memory.bytes
    words = np.flatnonzero(left.view(np.uint64) != right.view(np.uint64))
    if not len(words):
        return
    begins = np.flatnonzero(np.diff(words, prepend=-GAP) > GAP // 8)
    for told, (begin, end) in enumerate(zip(begins, [*begins[1:], len(words)], strict=True)):
        if told == MOST:
            yield f"... and {len(begins) - MOST} more stretches of RAM"
            return
        first, last = int(words[begin]) * 8, int(words[end - 1]) * 8 + 8
        places = np.flatnonzero(left[first:last] != right[first:last])
        last, first = first + int(places[-1]) + 1, first + int(places[0])
        here, there = left[first:last], right[first:last]
        only = bool(np.all((here ^ there) & np.uint8(0xFF & ~ACCESSED) == 0))
        note = " (bits 5 only, where the accessed bit of a page-table entry is)" if only else ""
        shown = f"{here[:WIDEST].tobytes().hex(' ')} / {there[:WIDEST].tobytes().hex(' ')}"
        yield f"ram {first:08x}..{last - 1:08x}: {shown}{note}"


def _console(one: Machine, other: Machine) -> Iterator[str]:
    here, there = bytes(one.board.serial.output), bytes(other.board.serial.output)
    if here != there:
        yield f"console: ...{here[-24:]!r} / ...{there[-24:]!r}"


def _devices(one: Machine, other: Machine) -> Iterator[str]:
    """All that a checkpoint keeps of each chip."""
    here, there = one.board.save(), other.board.save()
    for chip, left, right in zip(here._fields, here, there, strict=True):
        if left == right:
            continue
        names = getattr(left, "_fields", None)
        if names is None:
            yield f"{chip}: {_short(left)} / {_short(right)}"
            continue
        for name, mine, yours in zip(names, left, right, strict=True):
            if mine != yours:
                yield f"{chip}.{name}: {_short(mine)} / {_short(yours)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHORT else f"{text[:SHORT]}..."


def code_around(machine: Machine) -> list[str]:
    """The instructions around the processor's place, marked."""
    registers, symbols = machine.processor.registers, Symbols(machine.symbols)
    linear = registers.linear_eip
    lines = disassemble(lambda at, size: read(machine, at, size), linear, BEFORE, AFTER)
    name = symbols.name(linear) or "no symbol"
    return [f"at {linear:08x} ({name}):", *(f"{'>' if x.address == linear else ' '} {x}" for x in lines)]
