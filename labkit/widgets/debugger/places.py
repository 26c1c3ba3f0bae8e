"""Addresses as people write them: hexadecimal, a register, a symbol."""

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import Timeline
from labkit.widgets.debugger.command import CommandError
from labkit.widgets.debugger.words import parse_number

__all__ = ["MASK", "address"]

MASK = 0xFFFFFFFF
REGISTERS = (*GENERAL, "eip", "eflags", "cr0", "cr2", "cr3", "cr4")


def address(timeline: Timeline, text: str) -> int:
    """The linear address that was written. Raises CommandError for what is none."""
    text = text.strip()
    if text.lower() in REGISTERS:
        return int(getattr(timeline.registers, text.lower()))
    try:
        return parse_number(text, 16) & MASK
    except ValueError:
        symbol = timeline.address_of(text)
        if symbol is not None:
            return symbol
        raise CommandError(
            f"address {text!r}: write it in hexadecimal, or name a register or a symbol"
        ) from None
