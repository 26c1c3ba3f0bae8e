"""82093AA I/O APIC: 24 inputs, each with a redirection entry.

Source: Intel 82093AA data sheet (290566). Inputs are levels of assertion: the polarity bit is kept and not
applied, as all lines of this board are active high whatever a table says.
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["IOAPIC_BASE", "IOAPIC_ID", "IOAPIC_VERSION", "Deliver", "IoApic", "IoApicState"]

IOAPIC_BASE = 0xFEC00000
IOAPIC_ID = 1
IOAPIC_VERSION = 0x11
PINS = 24
MASKED, LEVEL, REMOTE_IRR, LOGICAL = 1 << 16, 1 << 15, 1 << 14, 1 << 11
WRITABLE_LOW = 0x1AFFF  # not the delivery status and the remote IRR
DATA = 0x10

Deliver = Callable[[int, bool, int, int, bool], bool]
"""Message to the local APICs: destination, logical?, delivery mode, vector, level? -> accepted?"""


class IoApicState(NamedTuple):
    """The register index, the identifier, the redirection table, and the levels of the inputs."""

    selected: int
    identifier: int
    table: tuple[int, ...]
    lines: int


class IoApic:
    """The chip at FEC00000h; `deliver` carries its messages."""

    mmio = range(IOAPIC_BASE, IOAPIC_BASE + 0x1000)

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._selected = 0
        self._id = IOAPIC_ID
        self._table = [MASKED] * PINS
        self._lines = 1 << 2  # the timer's output is high when the board starts

    def set_line(self, pin: int, level: bool) -> None:
        """Drive input `pin` (0-23). An edge at a masked input is lost (data sheet)."""
        bit = 1 << pin
        if level == bool(self._lines & bit):
            return
        self._lines ^= bit
        if level:
            self._service(pin)

    def _service(self, pin: int) -> None:
        """Send the message of an asserted input."""
        #   63-56        16    15       14          13        12      11           10 9 8  7-0
        #   destination  mask  trigger  remote IRR  polarity  status  destination  mode    vector
        #                      (level)                                (logical)
        entry = self._table[pin]
        if entry & MASKED:
            return
        level = bool(entry & LEVEL)
        if level and entry & REMOTE_IRR:
            return
        accepted = self._deliver(entry >> 56, bool(entry & LOGICAL), entry >> 8 & 7, entry & 0xFF, level)
        if level and accepted:
            self._table[pin] |= REMOTE_IRR

    def end(self, vector: int) -> None:
        """A local APIC reports the end of level-triggered interrupt `vector`; inputs still high ask again."""
        for pin, entry in enumerate(self._table):
            if entry & REMOTE_IRR and entry & 0xFF == vector:
                self._table[pin] = entry & ~REMOTE_IRR
                if self._lines >> pin & 1:
                    self._service(pin)

    def read_mmio(self, offset: int, size: int) -> int:
        """A load from the index (00h) or data (10h) register."""
        place = offset & 15
        if place > 3 or offset & ~0x1F:
            return 0
        value = self._register() if offset & DATA else self._selected
        return value >> 8 * place & (1 << 8 * size) - 1

    def _register(self) -> int:
        selected = self._selected
        if selected in (0, 2):
            return self._id << 24  # 2: arbitration identifier
        if selected == 1:
            return (PINS - 1) << 16 | IOAPIC_VERSION
        pin, high = divmod(selected - 0x10, 2)
        if 0 <= pin < PINS:
            return self._table[pin] >> 32 * high & 0xFFFFFFFF
        return 0

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        """A store."""
        if offset == 0:
            self._selected = value & 0xFF
        elif offset == DATA and size == 4:
            self._write_register(value & 0xFFFFFFFF)

    def _write_register(self, value: int) -> None:
        selected = self._selected
        if selected == 0:
            self._id = value >> 24 & 0x0F
        pin, high = divmod(selected - 0x10, 2)
        if not 0 <= pin < PINS:
            return
        entry = self._table[pin]
        if high:
            self._table[pin] = entry & 0xFFFFFFFF | (value >> 24) << 56
            return
        kept = entry & REMOTE_IRR if value & LEVEL else 0  # an edge-triggered entry has no remote IRR
        self._table[pin] = entry >> 32 << 32 | value & WRITABLE_LOW | kept
        if value & LEVEL and self._lines >> pin & 1:
            self._service(pin)

    def save(self) -> IoApicState:
        """All registers."""
        return IoApicState(self._selected, self._id, tuple(self._table), self._lines)

    def load(self, state: IoApicState) -> None:
        """Inverse of `save`."""
        self._selected, self._id, table, self._lines = state
        self._table = list(table)
