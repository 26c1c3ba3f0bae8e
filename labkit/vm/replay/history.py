"""What happened, so that it can happen again: the machine's past plus all that came from outside.

`History` knows how to bring its machine to any clock of the past: the nearest checkpoint before it, then
forward, with the same input at the same clocks. It records only at its end.

    what "the machine at clock n" is:   n instructions have retired, due devices have acted, an interrupt that
                                        can be taken has been delivered, input typed at n is there;
                                        a fault of the next instruction has not happened yet
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from labkit.vm.machine import Machine
from labkit.vm.machine.checkpoints import Bookmark
from labkit.vm.machine.processor import NEVER
from labkit.vm.machine.watch import Watch
from labkit.vm.monitor import EventKind, Monitor, Stop, StopReason
from labkit.vm.monitor.engine import Engine
from labkit.vm.monitor.events import Row
from labkit.vm.monitor.monitor import Pending
from labkit.vm.replay.entries import LARGEST
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.event_log import EventLog
from labkit.vm.replay.outside import Outside
from labkit.vm.replay.recording import Recording

__all__ = ["EPOCH", "History", "Input"]

EPOCH = 1_000_000
"""Instructions between checkpoints."""
NEAR = 20_000
"""Instructions before the cursor where a bookmark is kept."""
OURS = (StopReason.INSTRUCTIONS, StopReason.REQUESTED)
"""Why a run ends that is no doing of the guest."""


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes typed on the serial console at a clock."""

    clock: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Mark:
    """What belongs to a checkpoint beside the machine: the monitor's state, and how much had been noted."""

    pending: Pending
    events: int
    printed: int
    inputs: int


@dataclass(frozen=True, slots=True)
class _Near:
    """A state a little before the cursor, the number of inputs that it has had, the monitor's state."""

    bookmark: Bookmark
    inputs: int
    pending: Pending


class History:
    """A machine with a past. `budget` bounds the memory of checkpoints, in bytes; see `Monitor` for `engine`."""

    def __init__(
        self, machine: Machine, budget: int, epoch: int = EPOCH, engine: str | Engine = "hw"
    ) -> None:
        self.machine = machine
        self.monitor = Monitor(machine, engine)
        self.watch = Watch(machine.processor)
        self.monitor.on_delivery = self._on_delivery
        self.on_delivered: Callable[[], None] | None = None
        """Called when an event has been delivered into the guest."""
        self.events = EventLog()
        self.inputs: list[Input] = []
        self.start = self.end = machine.processor.clock
        self.epoch = epoch
        self.console = bytearray()
        self._printed: list[tuple[int, int]] = []  # clock, length of the console then
        self.torn = 0
        """How often a part of history was taken back (a run torn off)."""
        self.outside: Outside | None = None
        """The recording out of which comes what comes from outside."""
        self._recording = False
        self._applied = 0
        self._near: _Near | None = None
        self._text: bytes | None = None
        self._over: Stop | None = None  # the guest has ended, nothing but input makes it go on
        self._marks: dict[int, _Mark] = {}  # by clock of the checkpoint
        machine.checkpoints.budget = budget
        machine.board.serial.on_output.append(self._on_output)
        self._checkpoint()

    @property
    def clock(self) -> int:
        """Where the machine stands."""
        return self.machine.processor.clock

    def follow(self, recording: Recording) -> None:
        """From the start on, what comes from outside comes out of a recording."""
        self.outside = Outside(self.machine, self.monitor, recording)

    def _checkpoint(self) -> None:
        self.machine.checkpoint()
        self._mark()

    def _mark(self) -> None:
        noted = len(self.events.rows), len(self._printed), len(self.inputs)
        self._marks[self.clock] = _Mark(self.monitor.save(), *noted)
        kept = self.machine.checkpoints.list
        if len(self._marks) > 2 * len(kept):  # of those that have been given up
            clocks = {checkpoint.clock for checkpoint in kept}
            self._marks = {clock: mark for clock, mark in self._marks.items() if clock in clocks}

    def _on_delivery(self, done: bool) -> None:
        self.watch.delivering(done)
        if done and self.on_delivered is not None:
            self.on_delivered()

    # --- the past

    def goto(self, clock: int) -> None:
        """Bring the machine to a clock between start and end."""
        try:
            self._goto(clock)
        except BaseException:  # Ctrl-C inside a device: the machine is no longer what it was at any clock
            self._near = None
            self.restore(self.machine.checkpoints.before(clock))
            raise

    def _goto(self, clock: int) -> None:
        number, here = self.machine.checkpoints.before(clock), self.clock
        near = self._near
        usable = near is not None and near.bookmark.base == number
        if near is not None and usable and clock - 2 * NEAR <= near.bookmark.clock <= clock:
            if not near.bookmark.clock <= here <= clock:
                self.return_to(near)
        elif not self.machine.checkpoints.list[number].clock <= here <= clock:
            self.restore(number)
        if clock - self.clock > 2 * NEAR:
            # who goes back one instruction often goes back another one: keep a state a little before
            self.forward(clock - NEAR)
            self._near = self.bookmark() if self.machine.number == number else None
        self.forward(clock)

    def restore(self, number: int) -> None:
        """Back to a checkpoint. Input that was typed there is given by `forward`."""
        self.machine.restore_number(number)
        self.monitor.load(self._marks[self.clock].pending)
        self._applied = bisect_left(self.inputs, self.clock, key=lambda given: given.clock)

    def bookmark(self) -> _Near:
        """Remember the machine as it stands, until history goes on."""
        return _Near(self.machine.bookmark(), self._applied, self.monitor.save())

    def return_to(self, near: _Near) -> None:
        """Back to a bookmark."""
        self.machine.return_to(near.bookmark)
        self._applied = near.inputs
        self.monitor.load(near.pending)

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Look around in the past, then stand here again."""
        near, here = self._near, self.bookmark()
        try:
            yield
        finally:
            self.return_to(here)
            self._near = near

    def forward(self, clock: int) -> None:
        """Run on to a later clock of the past, giving input again when it is due."""
        while True:
            self._apply_inputs()
            before = self.clock
            if before >= clock:
                return
            due = self.inputs[self._applied].clock if self._applied < len(self.inputs) else clock
            stop = self.monitor.run(min(due, clock) - before)
            if self.clock == before:
                raise RuntimeError(f"replay ended at instruction {before} on its way to {clock}: {stop}")

    def _apply_inputs(self) -> None:
        while self._applied < len(self.inputs) and self.inputs[self._applied].clock == self.clock:
            self.machine.board.serial.type(self.inputs[self._applied].data)
            self._applied += 1

    def copy_without_input(self) -> Machine:
        """A copy of the machine as it stands, but without the input of this very clock: another past's first.

        That is what was typed here, and what the recording gives here.
        """
        clock, outside = self.clock, self.outside
        first = bisect_left(self.inputs, clock, key=lambda given: given.clock)
        typed = self.inputs[first:]
        if outside is not None and outside.has_input_at(clock):
            before = max(clock - 1, self.start)  # a checkpoint of this clock has that input already
        elif typed and typed[0].clock == clock:
            before = clock
        else:
            return self.machine.copy()
        with self.staying():
            del self.inputs[first:]
            try:
                if outside is not None:
                    outside.hold_at = clock
                self.restore(self.machine.checkpoints.before(before))
                self.forward(clock)
                return self.machine.copy()
            finally:
                self.inputs += typed
                if outside is not None:
                    outside.hold_at = LARGEST

    # --- the end, where history is made

    def record(
        self, instructions: int | None, text: bytes | None, progress: Callable[[int], None] | None
    ) -> Stop:
        """Run on from the end, with events and checkpoints: for a count, to a text, or to the guest's end."""
        self.goto(self.end)
        if self._over is not None:
            return self._over
        self._near = None
        goal = None if instructions is None else self.clock + instructions
        self._text, self._recording, self.monitor.log = text, True, self.events.rows
        try:
            stop = self._record(goal, progress)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._recording, self.monitor.log, self._text = False, None, None
        if stop.reason not in OURS:
            self._over = stop
            self.restore(self.machine.checkpoints.before(self.end))
            self.forward(self.end)  # without the attempt at the next instruction that has ended it
        return stop

    def _record(self, goal: int | None, progress: Callable[[int], None] | None) -> Stop:
        checkpoints = self.machine.checkpoints.list
        while True:
            due = max(checkpoints[-1].clock + self.epoch, self.clock)
            stop = self.monitor.run((due if goal is None else min(due, goal)) - self.clock)
            self.end = self.clock
            if stop.reason in OURS:
                self.events.rows.pop()  # that we stop to look is nothing that happened to the guest
            if stop.reason is StopReason.INSTRUCTIONS and self.clock == due:
                self._checkpoint()
                if progress is not None:
                    progress(self.clock)
            if stop.reason is not StopReason.INSTRUCTIONS or self.clock == goal:
                return self._settled(stop)

    def _settled(self, stop: Stop) -> Stop:
        """Bring the end to where replay would come: no request is left, and a guest in HLT has waited."""
        pending = self.monitor.save()
        if pending[2] is None:  # no reset is under way
            self.monitor.load((None, NEVER, None, *pending[3:]))
        if stop.reason is StopReason.REQUESTED and self.machine.halted:
            self.monitor.run(0)
            self.events.rows.pop()
            return replace(stop, point=self.machine.point)
        return stop

    def _roll_back(self) -> None:
        """The run was torn off (Ctrl-C inside a device): history ends at the last checkpoint."""
        number = len(self.machine.checkpoints) - 1
        self.restore(number)
        self.end = self.clock
        self.torn += 1
        mark = self._marks[self.clock]
        del self.events.rows[mark.events :], self._printed[mark.printed :], self.inputs[mark.inputs :]
        del self.console[self._printed[-1][1] if self._printed else 0 :]

    def type(self, data: bytes) -> None:
        """Input at the end of history. Raises `TimelineError` for that of a recording."""
        if self.outside is not None:
            raise TimelineError("a recording has its own input: fork the timeline to type something else")
        self.goto(self.end)
        self._over = None
        self.inputs.append(Input(self.clock, data))
        point = self.machine.point
        text = repr(data.decode("latin1"))
        self.events.rows.append(
            (point.instructions, point.branches, point.eip, EventKind.INPUT, 0, 0, 0, text)
        )
        self._apply_inputs()

    # --- the console

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

    def begin_with(self, row: Row, printed: bytes) -> None:
        """This history, still empty, begins with an event and with a console on which something stands."""
        self.events.rows.append(row)
        self.console += printed
        self._printed.append((self.start - 1, len(printed)))
        self._mark()
