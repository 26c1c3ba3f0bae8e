"""How a run ended."""

from dataclasses import dataclass
from enum import StrEnum

from labkit.vm.machine.state import ExecutionPoint

__all__ = ["Stop", "StopReason"]


class StopReason(StrEnum):
    """Why the monitor gave control back."""

    INSTRUCTIONS = "instructions"  # as many as were asked for
    REQUESTED = "requested"  # request_stop was called
    HALTED = "halted"  # HLT with interrupts off: the guest has switched itself off
    IDLE = "idle"  # HLT, and no device will ever interrupt
    SHUTDOWN = "shutdown"  # triple fault
    RESET = "reset"  # the guest has reset the machine
    NOWHERE = "nowhere"  # it went to where there is no memory
    STUCK = "stuck"  # fault after fault, and no instruction ever retires
    DIVERGED = "diverged"  # a replay is not what was recorded
    UNSUPPORTED = "unsupported"  # the engine cannot run this guest correctly
    FAILURE = "failure"  # the processor engine gave up


@dataclass(frozen=True, slots=True)
class Stop:
    """A run's end: why, in a line for people, and where."""

    reason: StopReason
    message: str
    point: ExecutionPoint

    def __str__(self) -> str:
        return f"{self.reason}: {self.message} ({self.point})"
