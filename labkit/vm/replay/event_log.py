"""The events of a run in order, made when they are looked at."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import overload

from labkit.vm.monitor.events import Event, EventKind, Row, from_row

__all__ = ["EventLog"]


class EventLog(Sequence[Event]):
    """Events ordered by their clock. `rows` is what the monitor appends to."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [from_row(row) for row in self.rows[index]]
        return from_row(self.rows[index])

    def __iter__(self) -> Iterator[Event]:
        return map(from_row, self.rows)

    def first_after(self, clock: int) -> int:
        """Index of the first event later than a clock."""
        return bisect_right(self.rows, clock, key=_clock)

    def first_at(self, clock: int) -> int:
        """Index of the first event at or after a clock."""
        return bisect_left(self.rows, clock, key=_clock)

    def between(self, start: int, end: int) -> list[Event]:
        """Events with start <= clock < end."""
        return self[self.first_at(start) : self.first_at(end)]

    def around(self, clock: int, before: int, after: int) -> list[Event]:
        """So many events at or before a clock and so many after it."""
        at = self.first_after(clock)
        return self[max(0, at - before) : at + after]

    def kinds(self) -> dict[str, int]:
        """How many events of each kind."""
        return dict(Counter(str(row[3]) for row in self.rows))

    def clocks(self, kind: EventKind | str) -> list[int]:
        """Clocks of all events of a kind."""
        return [row[0] for row in self.rows if row[3] == kind]

    def __str__(self) -> str:
        return "\n".join(f"{count:>9} {kind}" for kind, count in sorted(self.kinds().items()))


def _clock(row: Row) -> int:
    return row[0]
