"""Why the processor stopped: an exit, as data."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Exit", "ExitKind"]


class ExitKind(StrEnum):
    """What ended a run of the processor."""

    DEADLINE = "deadline"  # the clock has reached the given value, exactly
    PAUSE = "pause"  # the clock has reached the given value, at some block start
    WINDOW = "window"  # the interrupt pin is raised and the guest can take an interrupt now
    HALT = "halt"  # HLT has retired
    EXCEPTION = "exception"  # a fault, trap or INT n, not yet delivered
    MMIO = "mmio"  # the next instruction touches a device's registers
    ROM_WRITE = "rom write"  # the next instruction writes to read-only memory
    NOWHERE = "nowhere"  # the next instruction would be fetched where there is no memory
    KERNEL = "kernel"  # the guest's kernel goes on, which this engine translates
    MONITOR = "monitor"  # the next instruction touches the monitor's part of the linear space
    FALLBACK = "fallback"  # from here on the engine runs the guest as the other engine does; `note` says why
    UNSUPPORTED = "unsupported"  # the engine cannot run this guest correctly; `note` says why
    STUCK = "stuck"  # the engine has met fault after fault, and no instruction retires; `note` says which
    FAILURE = "failure"  # the engine gave up; never seen so far


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit. `vector`, `error`, `software` are of exceptions; `address` is linear, `physical` physical."""

    kind: ExitKind
    vector: int = 0
    error: int | None = None
    software: bool = False
    address: int = 0
    physical: int = 0
    write: bool = False
    note: str = ""

    def __str__(self) -> str:
        if self.kind is ExitKind.EXCEPTION:
            error = "" if self.error is None else f" error {self.error:x}h"
            where = f" at {self.address:08x}" if self.vector == 14 else ""
            return f"{'INT' if self.software else 'exception'} {self.vector}{error}{where}"
        if self.kind in (ExitKind.MMIO, ExitKind.ROM_WRITE, ExitKind.NOWHERE):
            return f"{self.kind} {self.physical:08x}"
        return str(self.kind)
