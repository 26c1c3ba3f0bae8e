"""What came from outside, out of a recording: the pace of a machine that replays.

Time and input are given at the clocks at which the recorder noted them; the processor stops there exactly. What
follows from them (interrupts with their points, values read from ports, registers at each anchor) is compared
with the recording, and the first difference is a `Divergence`: the run stops there.

How far the recording has been given and compared is kept in two of the processor's cells, so it goes with every
checkpoint.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from labkit.vm.machine import ExecutionPoint, Machine
from labkit.vm.machine.pace import Live, give
from labkit.vm.machine.probes import cells as c
from labkit.vm.monitor import Monitor
from labkit.vm.replay.entries import LARGEST, Anchor, Entry, Given, Read, Vector
from labkit.vm.replay.recorder import DISK_DATA, fingerprint
from labkit.vm.replay.recording import Recording

__all__ = ["DIVERGED", "ENDS", "Divergence", "Outside"]

ENDS = "the recording ends here"
DIVERGED = "the replay differs from the recording"


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first place where a replay is not what was recorded."""

    point: ExecutionPoint
    expected: str
    found: str
    number: int | None = None
    """Which entry of the log it is, from 0; None where the guest waits for one that never comes."""
    replayed: Anchor | Vector | Read | None = None
    """What was found in the place of that entry; None where there was nothing of that kind."""

    def __str__(self) -> str:
        return f"at instruction {self.point}: the recording has {self.expected}; the replay {self.found}"


class Outside:
    """Gives a machine, loaded by `recipe.machine_of`, what its recording says; takes the place of its pace."""

    def __init__(self, machine: Machine, monitor: Monitor, recording: Recording) -> None:
        self._machine, self._monitor, self.recording = machine, monitor, recording
        entries = recording.entries
        self._given = [entry for entry in entries if isinstance(entry, Anchor | Given)]
        self._checks = [entry for entry in entries if isinstance(entry, Vector | Read)]
        self._cells = machine.processor.cells
        self.end = recording.clock
        """The clock at which the recording ends."""
        self.hold_at = LARGEST
        """Clock from which on input is held back: there somebody leaves the recording for another future."""
        self.divergence: Divergence | None = None
        """The first difference, once there was one."""
        self._stopped_at = LARGEST
        """The clock at which the run then stopped: whoever goes back may come up to it again."""
        self._read = machine.processor.read_port
        machine.processor.read_port = self._read_port
        monitor.on_interrupt = self._interrupt
        machine.board.nic.peer = None  # its answers are in the recording
        machine.pace = self

    def go_live(self) -> None:
        """From here on the machine follows the host's clock, and is recorded by nobody."""
        machine, self.hold_at = self._machine, LARGEST
        machine.processor.read_port, self._monitor.on_interrupt = self._read, None
        machine.clock.live = True
        machine.pace = Live(machine.processor, machine.board, machine.clock)

    def has_input_at(self, clock: int) -> bool:
        """Does input come at exactly this clock?"""
        first = bisect_left(self._given, clock, key=lambda entry: entry.clock)
        end = bisect_right(self._given, clock, key=lambda entry: entry.clock)
        return any(isinstance(entry, Given) for entry in self._given[first:end])

    # --- the pace

    def exact(self) -> int:
        """The clock of what comes next, or of the end."""
        at = self._cells[c.OUTSIDE]
        return self._given[at].clock if at < len(self._given) else self.end

    def about(self) -> int:
        """As `exact`."""
        return self.exact()

    def arrive(self, fresh: bool) -> None:
        """Give all that the recording has at this clock."""
        board, clock = self._machine.board, self._machine.clock
        while self._give():
            due = board.deadline()
            if due is not None and clock.now() >= due:
                board.on_time(clock.now())
        if self._diverged:
            if self._stopped_at == LARGEST:
                self._stopped_at = int(self._cells[c.CLOCK])
            if self._cells[c.CLOCK] >= self._stopped_at:
                self._monitor.request_stop(DIVERGED)
        elif self._cells[c.CLOCK] >= self.end and not self._machine.halted:
            self._monitor.request_stop(ENDS)

    def wait(self) -> bool:
        """The processor is halted: give what the recording has here; False where it ends."""
        if self._give():
            return True
        if self._cells[c.CLOCK] >= self.hold_at:
            return False
        if self._cells[c.CLOCK] < self.end:
            self._differ(f"the next {self._next()}", "waits in HLT, and nothing will end that")
        return False

    def _next(self) -> str:
        at = self._cells[c.OUTSIDE]
        return f"entry at instruction {self._given[at].clock}" if at < len(self._given) else "nothing"

    def _give(self) -> bool:
        """One anchor with the input that came with it; False when there is none at this clock, or it is held back."""
        at, clock = self._cells[c.OUTSIDE], self._cells[c.CLOCK]
        if self._diverged or at >= len(self._given) or self._given[at].clock > clock:
            return False
        first = self._given[at]
        if first.clock < clock:
            self._differ(f"an entry at instruction {first.clock}", "did not stop there", first)
            return False
        if isinstance(first, Anchor):
            self._compare(first)
            self._machine.clock.anchor(first.ticks, first.rate)
            at += 1
        elif clock >= self.hold_at:
            return False
        while at < len(self._given) and self._given[at].clock == clock:
            entry = self._given[at]
            if isinstance(entry, Anchor) or clock >= self.hold_at:
                break
            give(self._machine.board, entry.kind, entry.data)
            at += 1
        self._cells[c.OUTSIDE] = at
        return True

    # --- comparing

    @property
    def _diverged(self) -> bool:
        """Does the machine stand where it is no longer what was recorded?"""
        return self.divergence is not None and self._cells[c.CLOCK] >= self.divergence.point.instructions

    def _differ(
        self, expected: str, found: str, entry: Entry | None = None, seen: Anchor | Vector | Read | None = None
    ) -> None:
        if self.divergence is None:
            entries = self.recording.entries
            number = None if entry is None else next(i for i, one in enumerate(entries) if one is entry)
            self.divergence = Divergence(self._machine.point, expected, found, number, seen)
            self._monitor.request_stop(DIVERGED)

    def _compare(self, entry: Anchor) -> None:
        point = self._machine.point
        found = Anchor(
            point.instructions, entry.ticks, entry.rate, point.branches, point.eip, fingerprint(self._machine)
        )
        if found != entry:
            self._differ(str(entry), f"has {found}", entry, found)

    def _check(self, found: Vector | Read) -> None:
        at = self._cells[c.CHECKED]
        self._cells[c.CHECKED] = at + 1
        if at < len(self._checks) and self._checks[at] != found:
            self._differ(str(self._checks[at]), f"has {found}", self._checks[at], found)

    def _read_port(self, port: int, size: int) -> int:
        value = self._read(port, size)
        if port not in DISK_DATA:
            self._check(Read(port, size, value))
        return value

    def _interrupt(self, vector: int) -> None:
        point = self._machine.point
        self._check(Vector(point.instructions, vector, point.branches, point.eip))
