"""Events: everything notable that happens to a guest, stamped with its execution point.

Recorder, timeline, trace, statistics and log pane all read this one stream. The one-line text of an event is
what all of them show.
"""

from dataclasses import dataclass
from enum import StrEnum

from labkit.vm.machine.state import ExecutionPoint

__all__ = ["EXCEPTION_NAMES", "Event", "EventKind", "Row", "from_row"]

EXCEPTION_NAMES = {
    0: "#DE divide error", 1: "#DB debug", 2: "NMI", 3: "#BP breakpoint", 4: "#OF overflow",
    5: "#BR bound range", 6: "#UD invalid opcode", 7: "#NM no coprocessor", 8: "#DF double fault",
    10: "#TS invalid TSS",
    11: "#NP segment not present", 12: "#SS stack fault", 13: "#GP general protection", 14: "#PF page fault",
    16: "#MF floating point", 17: "#AC alignment check", 19: "#XM SIMD floating point",
}  # fmt: skip

DATA_PORTS = (0x2E8, 0x2F8, 0x3E8, 0x3F8)
"""Where serial ports take and give characters; what goes through other ports is no text."""


class EventKind(StrEnum):
    """What happened."""

    INTERRUPT = "interrupt"
    EXCEPTION = "exception"
    PAGE_FAULT = "page fault"
    SYSTEM_CALL = "software interrupt"
    PORT_IN = "port in"
    PORT_OUT = "port out"
    DEVICE_READ = "device read"
    DEVICE_WRITE = "device write"
    ROM_WRITE = "rom write"
    HALT = "halt"
    FALLBACK = "fallback"  # a binary translator runs the guest as the other engine does, for a while
    INPUT = "input"
    EDIT = "edit"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `number` is a vector, port or address, `value` what was transferred or the error code.

    `linear` is the address of a page fault.
    """

    point: ExecutionPoint
    kind: EventKind
    number: int = 0
    value: int = 0
    linear: int = 0
    note: str = ""

    def __str__(self) -> str:
        return f"{self.point.instructions:>12,}".replace(",", " ") + f"  {self.kind:<18} {self.what}"

    @property
    def what(self) -> str:
        """The event in words, without point and kind."""
        kind, number, value = self.kind, self.number, self.value
        if kind is EventKind.PAGE_FAULT:
            access = "fetch" if value & 16 else "write" if value & 2 else "read"
            who = "user" if value & 4 else "kernel"
            why = "protection" if value & 1 else "not present"
            return f"{access} {self.linear:08x} by {who}, {why}"
        if kind is EventKind.EXCEPTION:
            name = EXCEPTION_NAMES.get(number, f"vector {number}")
            return f"{name}" + (f" error {_h(value)}" if value else "")
        if kind in (EventKind.PORT_IN, EventKind.PORT_OUT):
            character = _character(value) if number in DATA_PORTS else ""
            return f"{_h(number)} {'→' if kind is EventKind.PORT_IN else '←'} {_h(value)}{character}"
        if kind in (EventKind.DEVICE_READ, EventKind.DEVICE_WRITE):
            return f"{number:08x}"  # what is transferred is known only when the instruction has run
        if kind is EventKind.INTERRUPT:
            return f"vector {_h(number)}{f', {self.note}' if self.note else ''}"
        if kind is EventKind.SYSTEM_CALL:
            return f"INT {_h(number)}, eax {_h(value)}"
        if kind is EventKind.HALT:
            return f"{value:,} instruction times skipped".replace(",", " ")
        return self.note or f"{number:08x}"


Row = tuple[int, int, int, EventKind, int, int, int, str]
"""An event while it waits to be looked at: instructions, branches, EIP, kind, number, value, linear, note."""


def from_row(row: Row) -> Event:
    """The event that a row stands for."""
    instructions, branches, eip, kind, number, value, linear, note = row
    return Event(ExecutionPoint(instructions, branches, eip), kind, number, value, linear, note)


def _h(value: int) -> str:
    """Hexadecimal that is no word: 0ah, where AH is a register."""
    digits = f"{value:x}"
    return f"{digits}h" if digits[0].isdecimal() else f"0{digits}h"


def _character(value: int) -> str:
    """A byte as the character that it is on a terminal; empty where it is none that can be seen."""
    return f" '{chr(value)}'" if 32 < value < 127 else ""
