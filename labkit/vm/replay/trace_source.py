"""What a trace is made from: a run that goes the same way each time."""

from collections.abc import Callable
from typing import Protocol

from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, Stop, StopReason
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.replayer import Replayer

__all__ = ["Replayed", "Rerun", "Source"]


class Source(Protocol):
    """A deterministic run: `History` is one, `Rerun` and `Replayed` are others."""

    machine: Machine
    monitor: Monitor

    def goto(self, clock: int) -> None:
        """Bring the machine to a clock."""
        ...

    def forward(self, clock: int) -> None:
        """Run on to a later clock; may stop before where the run ends."""
        ...


class Rerun:
    """A guest on the virtual clock, started anew where it must be: the recipe is all there is of the past.

    `make` returns a machine that stands at its first instruction; the run ends for itself or at a text.
    """

    def __init__(self, make: Callable[[], Machine], until_text: bytes = b"") -> None:
        self._make, self._until = make, until_text
        self.stop: Stop | None = None
        """Why the run has ended; None while it has not."""
        self._begin()

    def _begin(self) -> None:
        self.machine = self._make()
        self.monitor = Monitor(self.machine)
        self.stop = None
        if self._until:
            self.machine.board.serial.on_output.append(self._on_output)

    def _on_output(self, data: bytes) -> None:
        output = self.machine.board.serial.output
        if self._until in bytes(output[-len(data) - len(self._until) :]):
            self.monitor.request_stop("text seen")

    def goto(self, clock: int) -> None:
        """Bring the machine to a clock, from the start where that lies behind."""
        if clock < self.machine.processor.clock:
            self._begin()
        self.forward(clock)

    def forward(self, clock: int) -> None:
        """Run on to a later clock, or to the end of the run."""
        if self.stop is None and clock > self.machine.processor.clock:
            stop = self.monitor.run(clock - self.machine.processor.clock)
            if stop.reason is not StopReason.INSTRUCTIONS:
                self.stop = stop


class Replayed:
    """A recording in a file, replayed; from its start where it must go back.

    Raises `RecordingError` for what cannot be replayed, `TimelineError` where the replay goes another way.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._begin()

    def _begin(self) -> None:
        self._replayer = Replayer.open(self._path)
        self.machine, self.monitor = self._replayer.machine, self._replayer.monitor
        self.end = self._replayer.end
        """The last clock of the recording."""

    def goto(self, clock: int) -> None:
        """Bring the machine to a clock of the recording."""
        if clock < self._replayer.clock:
            self._begin()
        self.forward(clock)

    def forward(self, clock: int) -> None:
        """Run on to a later clock, or to the end of the recording."""
        goal = min(clock, self.end)
        if goal > self._replayer.clock:
            self._replayer.run_to(goal)
        if self._replayer.divergence is not None:
            raise TimelineError(str(self._replayer.divergence))
