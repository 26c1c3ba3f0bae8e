"""Guest time as places of a run: which instruction is the first at or after a time.

On the virtual clock an instruction takes five nanoseconds and HLT skips time, of which the run's events tell. In a
recording the anchors of its log are corners of the line that guest time is.
"""

from collections.abc import Iterable, Sequence

from labkit.vm.machine.clock import NS_PER_INSTRUCTION
from labkit.vm.monitor import EventKind
from labkit.vm.monitor.events import Row
from labkit.vm.replay.entries import Anchor, Entry

__all__ = ["Corner", "clock_at", "corners_of_log", "corners_of_run"]

ONE = 1 << 16
Corner = tuple[int, int, int]
"""From this clock on: ticks there, and ticks for 65536 instructions."""


def corners_of_log(entries: Iterable[Entry]) -> list[Corner]:
    """Of a recording."""
    return [(0, 0, ONE), *((e.clock, e.ticks, e.rate) for e in entries if isinstance(e, Anchor))]


def corners_of_run(rows: Iterable[Row], corners: Sequence[Corner] = ((0, 0, ONE),)) -> list[Corner]:
    """Of a run on the virtual clock, from its events in order, after those that are known."""
    found = list(corners)
    for row in rows:
        if row[3] is EventKind.HALT:
            clock, ticks, _rate = found[-1]
            found.append((row[0], ticks + row[0] - clock + row[5], ONE))
    return found


def clock_at(corners: Sequence[Corner], nanoseconds: int) -> int:
    """The first clock with at least that guest time."""
    wanted = -(-nanoseconds // NS_PER_INSTRUCTION)
    for (clock, ticks, rate), (after, _ticks, _rate) in zip(corners, [*corners[1:], (1 << 60, 0, 0)], strict=True):
        if ticks >= wanted:
            return clock
        reached = clock - (-((wanted - ticks) << 16) // rate)
        if reached < after:
            return reached
    return 1 << 60
