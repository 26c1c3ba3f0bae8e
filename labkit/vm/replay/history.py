"""What happened, so that it can happen again: the machine's past plus all that came from outside.

`History` knows how to bring its machine to any clock of the past: the nearest checkpoint before it, then forward, with
the same input at the same clocks. It records only at its end.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from labkit.vm.machine import Machine
from labkit.vm.machine.checkpoints import Bookmark
from labkit.vm.machine.watch import Watch
from labkit.vm.monitor import EventKind, Monitor, Stop, StopReason
from labkit.vm.replay.event_log import EventLog

__all__ = ["EPOCH", "History", "Input"]

EPOCH = 1_000_000
"""Instructions between checkpoints."""
NEAR = 20_000
"""Instructions before the cursor where a bookmark is kept."""


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes typed on the serial console at a clock."""

    clock: int
    data: bytes


class History:
    """A machine with a past. `budget` bounds the memory of checkpoints, in bytes."""

    def __init__(self, machine: Machine, budget: int) -> None:
        self.machine = machine
        self.monitor = Monitor(machine)
        self.watch = Watch(machine.processor)
        self.events = EventLog()
        self.inputs: list[Input] = []
        self.start = self.end = machine.processor.clock
        self.console = bytearray()
        self._printed: list[tuple[int, int]] = []  # clock, length of the console then
        self._recording = False
        self._applied = 0
        self._near: Bookmark | None = None
        self._text: bytes | None = None
        machine.checkpoints.budget = budget
        machine.board.serial.on_output.append(self._on_output)
        machine.checkpoint()

    @property
    def clock(self) -> int:
        """Where the machine stands."""
        return self.machine.processor.clock

    # --- the past

    def goto(self, clock: int) -> None:
        """Bring the machine to a clock between start and end."""
        if clock == self.clock:
            return
        checkpoints = self.machine.checkpoints
        number = checkpoints.before(clock)
        near = self._near
        if near is not None and near.base == number and clock - 2 * NEAR <= near.state.clock <= clock:
            if not near.state.clock <= self.clock <= clock:
                self.machine.return_to(near)
                self._count_inputs()
        elif not checkpoints.list[number].clock <= self.clock <= clock:
            self.restore(number)
        if clock - self.clock > 2 * NEAR:
            # who goes back one instruction often goes back another one: keep a state a little before
            self.forward(clock - NEAR)
            self._near = self.machine.bookmark() if self.machine.number == number else None
        self.forward(clock)

    def restore(self, number: int) -> None:
        """Back to a checkpoint."""
        self.machine.restore_number(number)
        self._count_inputs()

    def _count_inputs(self) -> None:
        self._applied = bisect_left(self.inputs, self.clock, key=lambda given: given.clock)

    def forward(self, clock: int) -> None:
        """Run on to a later clock of the past, giving input again when it is due."""
        while True:
            self._apply_inputs()
            if self.clock >= clock:
                return
            due = self.inputs[self._applied].clock if self._applied < len(self.inputs) else clock
            self.monitor.run(min(due, clock) - self.clock)

    def _apply_inputs(self) -> None:
        while self._applied < len(self.inputs) and self.inputs[self._applied].clock == self.clock:
            self.machine.board.serial.type(self.inputs[self._applied].data)
            self._applied += 1

    # --- the end, where history is made

    def record(self, instructions: int | None, text: bytes | None, progress: Callable[[int], None] | None) -> Stop:
        """Run on from the end, with events and checkpoints, until a count, a text on the console, or the guest's end."""
        self.goto(self.end)
        self._near = None
        goal = None if instructions is None else self.clock + instructions
        self._text, self._recording, self.monitor.log = text, True, self.events.rows
        try:
            while True:
                left = EPOCH if goal is None else min(EPOCH, goal - self.clock)
                stop = self.monitor.run(left)
                if stop.reason is StopReason.INSTRUCTIONS:
                    self.events.rows.pop()  # our own pause for a checkpoint is no news
                self.end = self.clock
                if stop.reason is not StopReason.INSTRUCTIONS or self.clock == goal:
                    return stop
                self.machine.checkpoint()
                if progress is not None:
                    progress(self.clock)
        finally:
            self._recording, self.monitor.log, self._text = False, None, None
            self.end = max(self.end, self.clock)

    def type(self, data: bytes) -> None:
        """Input at the end of history."""
        self.goto(self.end)
        self.inputs.append(Input(self.clock, data))
        point = self.machine.point
        row = (point.instructions, point.branches, point.eip, EventKind.INPUT, 0, 0, 0, repr(data.decode("latin1")))
        self.events.rows.append(row)
        self._apply_inputs()

    def _on_output(self, data: bytes) -> None:
        if not self._recording:
            return
        before = len(self.console)
        self.console += data
        self._printed.append((self.clock, len(self.console)))
        if self._text and self.console.find(self._text, max(0, before - len(self._text) + 1)) >= 0:
            self.monitor.request_stop("text seen")

    def console_at(self, clock: int) -> bytes:
        """What had been printed when the clock stood there."""
        at = bisect_left(self._printed, clock, key=lambda row: row[0])
        return bytes(self.console[: self._printed[at - 1][1]]) if at else b""

    def printed_before(self, length: int) -> None:
        """The console began with so many bytes."""
        self._printed.insert(0, (self.start - 1, length))
