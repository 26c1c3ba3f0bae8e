"""The PC's odd ports: 61h (timer gate, speaker, refresh), 80h (power-on code), 92h (fast A20 and reset), E9h.

Source: IBM PS/2 technical reference, system control ports A and B. The A20 line is always open on this board;
its bit is only remembered. Port E9h is no PC's: emulators (Bochs, QEMU) print what is written there, and show
by reading E9h that they do.
"""

from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.pit import Pit

__all__ = ["SystemPorts", "SystemPortsState"]

DEBUG = 0xE9
REFRESH_NS = 15_085  # half a period of the memory refresh request, 18 clocks of the timer


class SystemPortsState(NamedTuple):
    """The latches."""

    control_b: int
    control_a: int
    post_code: int


class SystemPorts:
    """Ports 61h, 80h, 92h, E9h; `reset(reason)` pulses the processor's reset line, `show(byte)` prints."""

    name = "sysport"
    ports = (range(0x61, 0x62), range(0x80, 0x81), range(0x92, 0x93), range(0xE9, 0xEA))
    wide: tuple[range, ...] = ()

    def __init__(
        self, clock: Clock, pit: Pit, reset: Callable[[str], None], show: Callable[[int], None]
    ) -> None:
        self._clock = clock
        self._pit = pit
        self._reset = reset
        self._show = show
        self.control_b = 0
        self.control_a = 2
        self.post_code = 0

    def read(self, port: int, size: int) -> int:
        """IN."""
        if port == 0x61:
            #   7       6         5      4        3 2            1        0
            #   parity  IO check  OUT 2  refresh  check enables  speaker  GATE 2
            now = self._clock.now()
            toggle = (now // REFRESH_NS & 1) << 4
            return self.control_b | toggle | (0x20 if self._pit.output2(now) else 0)
        if port == DEBUG:
            return DEBUG
        return self.control_a if port == 0x92 else self.post_code

    def holds_until(self, now: int) -> int:
        """Guest nanoseconds at which port 61h may read otherwise, if nothing is written to a port before."""
        toggle = (now // REFRESH_NS + 1) * REFRESH_NS
        change = self._pit.next_change2(now)
        return toggle if change is None else min(toggle, change)

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        if port == 0x61:
            self.control_b = value & 0x0F
            self._pit.set_gate2(bool(value & 1))
        elif port == 0x80:
            self.post_code = value
        elif port == DEBUG:
            self._show(value)
        else:
            before, self.control_a = self.control_a, value & 0x03
            if value & 1 and not before & 1:
                self._reset("the guest asked for a fast reset (port 92h bit 0)")

    def deadline(self) -> int | None:
        """None."""
        return None

    def on_time(self, now: int) -> None:
        """Nothing."""

    def save(self) -> SystemPortsState:
        """The latches."""
        return SystemPortsState(self.control_b, self.control_a, self.post_code)

    def load(self, state: SystemPortsState) -> None:
        """Inverse of `save`."""
        self.control_b, self.control_a, self.post_code = state
