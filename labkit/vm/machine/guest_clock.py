"""Guest time as a function of retired instructions: a straight line, which the pace of the machine may bend.

    ticks = TIME_TICKS + (clock - TIME_CLOCK) * TIME_RATE / 2^16 + idle        one tick: 5 ns

On the virtual clock the line is never bent (a tick for each instruction) and idle time is added. On the live
clock it is drawn anew every few milliseconds so that it follows the host's clock. Either way the guest's time
between two such points (anchors) follows from the instruction count alone: RDTSC and timer reads need no log,
and a device's deadline is an exact instruction.
"""

from labkit.vm.machine.clock import NS_PER_INSTRUCTION
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.processor import NEVER, Processor

__all__ = ["ONE", "GuestClock"]

ONE = 1 << 16
"""The rate of one tick for each instruction."""


class GuestClock:
    """Guest time, as devices read it. `live` says whether the host's clock bends it."""

    def __init__(self, processor: Processor, live: bool) -> None:
        self._processor = processor
        self.live = live

    @property
    def ticks(self) -> int:
        """Guest time in ticks of 5 ns: what RDTSC reads."""
        processor, cells = self._processor, self._processor.cells
        passed = (processor.clock - cells[c.TIME_CLOCK]) * cells[c.TIME_RATE] >> 16
        return int(cells[c.TIME_TICKS] + passed + cells[c.IDLE])

    def now(self) -> int:
        """Nanoseconds since the machine was made."""
        return self.ticks * NS_PER_INSTRUCTION

    @property
    def rate(self) -> int:
        """Ticks for 65536 instructions."""
        return int(self._processor.cells[c.TIME_RATE])

    def anchor(self, ticks: int, rate: int) -> None:
        """From here on: it is `ticks` now, and `rate` ticks pass with 65536 instructions."""
        cells = self._processor.cells
        cells[c.TIME_CLOCK], cells[c.TIME_RATE] = cells[c.CLOCK], rate
        cells[c.TIME_TICKS] = ticks - cells[c.IDLE]

    def clock_at(self, nanoseconds: int | None) -> int:
        """The instruction clock at which guest time reaches that; NEVER for None."""
        if nanoseconds is None:
            return NEVER
        cells = self._processor.cells
        ticks = -(-nanoseconds // NS_PER_INSTRUCTION) - cells[c.IDLE] - cells[c.TIME_TICKS]
        return int(cells[c.TIME_CLOCK] - (-(ticks << 16) // cells[c.TIME_RATE]))
