"""The replayer: a recording as a machine that runs again, exactly as it ran, on a second virtual machine.

`Replayer.open` makes the machine from the file alone. It is run forward, plainly (`run`), and can be left and
continued as a live machine (`go_live`). To look at a recording in both directions there is `Timeline.open`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, Stop, StopReason
from labkit.vm.replay.entries import LARGEST
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.outside import ENDS, Divergence, Outside
from labkit.vm.replay.recipe import machine_of
from labkit.vm.replay.recording import Recording

__all__ = ["Difference", "Replayer"]

STRETCH = 20_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """What `Replayer.verify` found at the end: a quantity, as recorded and as replayed."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: recorded {self.expected}, replayed {self.found}"


class Replayer:
    """A recording in a machine before its first instruction. Raises RecordingError where none can be made."""

    def __init__(self, recording: Recording, machine: Machine | None = None) -> None:
        self.recording = recording
        self.machine = machine_of(recording) if machine is None else machine
        self.monitor = Monitor(self.machine)
        self._outside = Outside(self.machine, self.monitor, recording)
        self.live = False
        """Was it left for the live clock?"""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The recording in a file. Raises RecordingError for what cannot be replayed, OSError."""
        return cls(Recording.read(path))

    @property
    def start(self) -> int:
        """The first clock."""
        return 0

    @property
    def end(self) -> int:
        """The last clock of the recording."""
        return self._outside.end

    @property
    def clock(self) -> int:
        """Where the machine stands."""
        return self.machine.processor.clock

    @property
    def divergence(self) -> Divergence | None:
        """The first difference between recording and replay, if there was one."""
        return self._outside.divergence

    def run_to(
        self, clock: int, on_progress: Callable[[int], None] | None = None, *, without_input: bool = False
    ) -> Stop:
        """Run forward to a clock, or to where the recording or the guest ends, or to a divergence.

        `without_input` is for who leaves the recording there: what it gives at that very clock is not given.
        Raises `TimelineError` for a clock that lies behind.
        """
        if clock < self.clock:
            raise TimelineError(f"instruction {clock} is behind {self.clock}: open the recording anew")
        self._outside.hold_at = clock if without_input else LARGEST
        while True:
            stop = self.monitor.run(min(clock - self.clock, STRETCH))
            if on_progress is not None:
                on_progress(self.clock)
            if self.divergence is not None:
                return replace(stop, reason=StopReason.DIVERGED, message=str(self.divergence))
            if stop.reason is not StopReason.INSTRUCTIONS or self.clock >= clock:
                return self._named(stop)

    def _named(self, stop: Stop) -> Stop:
        if not self.live and self.clock >= self.end and stop.reason in _QUIET:
            return replace(stop, reason=StopReason.REQUESTED, message=ENDS)
        return stop

    def run(self, on_progress: Callable[[int], None] | None = None) -> Stop:
        """Run to the end of the recording."""
        return self.run_to(self.end, on_progress)

    def verify(self) -> list[Difference]:
        """Compare the machine with the recorded end; empty when all is the same.

        Raises `TimelineError` where the machine does not stand there, or the recording has no end.
        """
        end, point = self.recording.end, self.machine.point
        if end is None:
            raise TimelineError("the recording has no end to compare with (it was cut)")
        pairs = (
            ("instructions", str(end.clock), str(point.instructions)),
            ("branches", str(end.branches), str(point.branches)),
            ("eip", f"{end.eip:08x}", f"{point.eip:08x}"),
            ("registers", end.registers_sha256, self.machine.registers.sha256()),
            ("RAM", end.ram_sha256, self.machine.ram_sha256()),
        )
        return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]

    def go_live(self) -> None:
        """Leave the recording here: from now on the machine follows the host's clock, and takes input.

        What the recording gives later is dropped; what it gives here, too, after `run_to(..., without_input=True)`.
        """
        self._outside.go_live()
        self.live = True


_QUIET = (StopReason.IDLE, StopReason.INSTRUCTIONS, StopReason.REQUESTED)
