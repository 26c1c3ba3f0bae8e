"""PCI configuration mechanism 1 of an empty bus, and the reset control register at CF9h.

A guest that scans finds the mechanism (the address register reads back) and no device (data reads all ones).
Source: PCI Local Bus specification 3.0, 3.2.2.3; 82371SB data sheet for CF9h.
"""

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Pci", "PciState"]

ADDRESS, RESET_CONTROL, DATA = 0xCF8, 0xCF9, 0xCFC


class PciState(NamedTuple):
    """CONFIG_ADDRESS and the reset control register."""

    address: int
    reset_control: int


class Pci:
    """Ports CF8h-CFFh; `reset(reason)` pulses the processor's reset line."""

    name = "pci"
    ports = (range(0xCF8, 0xD00),)
    wide = (range(0xCF8, 0xD00),)

    def __init__(self, reset: Callable[[str], None]) -> None:
        self._reset = reset
        self._address = 0
        self._reset_control = 0

    def read(self, port: int, size: int) -> int:
        """IN; only a dword access reaches CONFIG_ADDRESS."""
        if port == ADDRESS and size == 4:
            return self._address
        if port == RESET_CONTROL and size == 1:
            return self._reset_control
        return (1 << 8 * size) - 1

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        if port == ADDRESS and size == 4:
            #   31      30-24  23-16  15-11   10-8      7-2       1 0
            #   enable  0      bus    device  function  register  0
            self._address = value & 0x80FFFFFC
        elif port == RESET_CONTROL and size == 1:
            before, self._reset_control = self._reset_control, value & 0x06
            if value & 4 and not before & 4:
                self._reset("the guest asked for a reset (port CF9h)")

    def deadline(self) -> int | None:
        """None."""
        return None

    def on_time(self, now: int) -> None:
        """Nothing."""

    def save(self) -> PciState:
        """The registers."""
        return PciState(self._address, self._reset_control)

    def load(self, state: PciState) -> None:
        """Inverse of `save`."""
        self._address, self._reset_control = state
