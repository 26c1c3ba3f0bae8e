"""Addresses as people write them: a symbol, hexadecimal, a register's value."""

import re

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import Timeline
from labkit.widgets.debugger.command import CommandError
from labkit.widgets.debugger.words import parse_number

__all__ = ["MASK", "address", "code_address", "looks_like_an_address"]

MASK = 0xFFFFFFFF
REGISTERS = (*GENERAL, "eip", "eflags", "cr0", "cr2", "cr3", "cr4")
_HEXADECIMAL = re.compile(r"0x[\da-f\s]+|[\da-f\s]+h|[\d\s]*[a-f][\da-f\s]*|\d{4} \d{4}", re.IGNORECASE)


def looks_like_an_address(text: str) -> bool:
    """Hexadecimal, and no decimal count: has one of a to f, 0x or a final h, or is as shown, in four and four."""
    return _HEXADECIMAL.fullmatch(text.strip()) is not None


def code_address(timeline: Timeline, text: str) -> int:
    """The linear address that was written as a symbol or in hexadecimal. Raises CommandError for what is none."""
    text = text.strip()
    symbol = timeline.address_of(text)
    if symbol is not None:
        return symbol
    try:
        value = parse_number(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value <= MASK:
        raise CommandError(f"address {text!r}: write up to eight hexadecimal digits, or name a register or a symbol")
    return value


def address(timeline: Timeline, text: str) -> int:
    """The linear address that was written; a register stands for its value. Raises CommandError for what is none."""
    if text.strip().lower() in REGISTERS:
        return int(getattr(timeline.registers, text.strip().lower()))
    return code_address(timeline, text)
