"""Guest time: nanoseconds as the guest's own clocks see them.

On the virtual clock guest time is a function of retired instructions alone, so a run is deterministic by
itself: one instruction takes 5 ns (a 200 MHz processor that retires one instruction a cycle), and time that
the guest spends halted is skipped. These numbers are a choice of ours, not a measurement of any processor.
"""

from typing import Protocol

__all__ = ["NS_PER_INSTRUCTION", "TSC_HZ", "Clock"]

NS_PER_INSTRUCTION = 5
TSC_HZ = 1_000_000_000 // NS_PER_INSTRUCTION


class Clock(Protocol):
    """Where a device reads the time."""

    def now(self) -> int:
        """Guest time in nanoseconds, exact also in the middle of a port access."""
        ...
