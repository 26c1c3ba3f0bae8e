"""States of a run from which workers go on: taken while it is gone through for another reason, to find its end.

    run      |----------o----------o----------o----------o------|  a checkpoint at each multiple of PART
    2 jobs   |<------- a worker ------->|<-------- another ---->|  cut where both will be done at the same time

How long a stretch takes is told by the processor time that it took plainly, and by its instructions.
"""

import time
from dataclasses import dataclass
from itertools import accumulate

from labkit.vm.machine.checkpoints import Bookmark
from labkit.vm.monitor.monitor import Pending
from labkit.vm.replay.trace_source import Source
from labkit.vm.replay.trace_spans import Window

__all__ = ["State", "States", "resume", "run_through"]


@dataclass(frozen=True, slots=True)
class State:
    """A machine with its monitor at one clock, to be sent to another process: `resume` makes it run there."""

    clock: int
    machine: Bookmark
    pending: Pending


class States:
    """The checkpoints of a run that was gone through, with the seconds of processor time that each stretch took."""

    def __init__(self, source: Source, clocks: list[int], pending: list[Pending], seconds: list[float]) -> None:
        self._source, self._clocks, self._pending, self._seconds = source, clocks, pending, seconds
        self.end = source.machine.processor.clock
        """Where the run ends."""

    def before(self, clock: int) -> int:
        """The clock of the last checkpoint at or before a clock, 0 for none."""
        return max((at for at in self._clocks if at <= clock), default=0)

    def state(self, clock: int) -> State:
        """That at a checkpoint's clock: the source's machine goes there. Raises `ValueError` for another clock."""
        machine, number = self._source.machine, self._clocks.index(clock)
        machine.restore_number(machine.checkpoints.before(clock))
        return State(clock, machine.whole(), self._pending[number])

    def edges(self, window: Window, jobs: int, cost: float) -> list[int]:
        """Clocks of up to jobs - 1 checkpoints which share a window evenly; `cost` as in `trace_parts.cut`."""
        spent, whole = sum(self._seconds), max(1, self.end - self._clocks[0])
        ends = [*self._clocks[1:], self.end]
        work = [
            _share(window, start, end) * (seconds + spent * (cost - 1) * (end - start) / whole)
            for start, end, seconds in zip(self._clocks, ends, self._seconds, strict=True)
        ]
        before = [0.0, *accumulate(work)]
        found = {
            min(range(len(work)), key=lambda i: abs(before[i] - before[-1] * k / jobs)) for k in range(1, jobs)
        }
        return sorted(self._clocks[i] for i in found if window.start < self._clocks[i] < window.end)


def _share(window: Window, start: int, end: int) -> float:
    """How much of a stretch lies in the window."""
    inside = min(end, window.end) - max(start, window.start)
    return max(0, inside) / max(1, end - start)


def run_through(source: Source, goal: int, every: int) -> States:
    """Go from the start to a clock or to the end of the run, with a checkpoint at each multiple of `every`."""
    source.goto(0)
    processor, clocks, pending, seconds = source.machine.processor, list[int](), list[Pending](), list[float]()
    while True:
        start = processor.clock
        source.machine.checkpoint()
        clocks.append(start)
        pending.append(source.monitor.save())
        began = time.thread_time()
        source.forward(min(goal, (start // every + 1) * every))
        seconds.append(time.thread_time() - began)
        if processor.clock >= goal or processor.clock % every or processor.clock == start:
            return States(source, clocks, pending, seconds)


def resume(source: Source, state: State) -> None:
    """Let a source of the same recipe, which has not run, go on from a state."""
    source.machine.become(state.machine)
    source.monitor.load(state.pending)
