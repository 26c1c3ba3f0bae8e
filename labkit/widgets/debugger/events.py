"""The event pane, and the lanes and phases of the scrubber: the whole history on one line."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from labkit.vm.monitor import Event
from labkit.vm.monitor.events import Row
from labkit.vm.replay import EventLog, Timeline
from labkit.widgets.debugger.model import EventRow, Events, Lane, Phase, Scrubber
from labkit.widgets.debugger.state import State
from labkit.widgets.notation import decimal

__all__ = ["WIDTH", "Marks", "colour_of", "events"]

BEFORE, AFTER = 5, 3
WIDTH = 1000
LANES = (("interrupts", "guest"), ("calls", "monitor"), ("faults", "fault"), ("devices", "hardware"))
KINDS = {
    "interrupt": 0, "software interrupt": 1, "system call": 1, "page fault": 2, "exception": 2,
    "port in": 3, "port out": 3, "device read": 3, "device write": 3, "rom write": 3,
}  # fmt: skip
USER = 4  # of a page fault's error code
SYSTEM_CALL = 0x80  # the vector that Linux and our own kernel use


def colour_of(kind: str) -> str:
    """Whose colour an event has: guest, fault, hardware or monitor."""
    lane = KINDS.get(kind)
    return "monitor" if lane is None else LANES[lane][1]


def events(timeline: Timeline, state: State, marks: "Marks") -> Events:
    """The events around the cursor, of the kind that is looked for."""
    log, clock = timeline.events, timeline.cursor
    near = marks.around(log, clock, state.filter) if state.filter else log.around(clock, BEFORE, AFTER)
    rows = tuple(_row(event, clock) for event in near)
    return Events(decimal(len(log)), rows, state.filter, marks.kinds(log))


def _row(event: Event, clock: int) -> EventRow:
    at = event.point.instructions
    mark = "here" if at == clock else "ahead" if at > clock else ""
    return EventRow(at, decimal(at), str(event.kind), colour_of(str(event.kind)), str(event.what), mark)


class Marks:
    """The events' places by lane, gathered once and extended as the history grows."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._seen = 0
        self._last: Row | None = None
        self._clocks: list[list[int]] = [[] for _ in LANES]
        self._bins: tuple[tuple[int, int, int], tuple[Lane, ...]] | None = None
        self._kinds: dict[str, list[int]] = {}
        self.firsts: dict[str, int] = {}

    def lanes(self, log: EventLog, start: int, end: int) -> tuple[Lane, ...]:
        """The lanes that have events, binned to WIDTH."""
        self._gather(log)
        key = (self._seen, start, end)
        if self._bins is None or self._bins[0] != key:
            self._bins = key, tuple(
                Lane(name, colour, len(clocks), _bins(clocks, start, end))
                for (name, colour), clocks in zip(LANES, self._clocks, strict=True)
                if clocks
            )
        return self._bins[1]

    def _gather(self, log: EventLog) -> None:
        if self._seen and (len(log) < self._seen or log.rows[self._seen - 1] is not self._last):
            self._forget()  # a run was torn off, and took events with it
        for index, row in enumerate(log.rows[self._seen :], self._seen):
            at, kind = row[0], str(row[3])
            self._kinds.setdefault(kind, []).append(index)
            lane = KINDS.get(kind)
            if lane is not None:
                self._clocks[lane].append(at)
            if lane == 0:
                self.firsts.setdefault("interrupts on", at)
            if (lane == 1 and row[4] == SYSTEM_CALL) or (kind == "page fault" and row[5] & USER):
                self.firsts.setdefault("user mode", at)
        self._seen = len(log)
        self._last = log.rows[-1] if log.rows else None

    def around(self, log: EventLog, clock: int, kind: str) -> list[Event]:
        """Events of one kind: BEFORE up to a clock and AFTER behind it, however far they are."""
        self._gather(log)
        places = self._kinds.get(kind, [])
        at = bisect_left(places, log.first_after(clock))
        return [log[place] for place in places[max(at - BEFORE, 0) : at + AFTER]]

    def kinds(self, log: EventLog) -> tuple[str, ...]:
        """The kinds of events that there are."""
        self._gather(log)
        return tuple(sorted(self._kinds))

    def scrubber(self, timeline: Timeline, places: Mapping[str, int]) -> Scrubber:
        """The scrubber of a timeline; `places` are named points besides those that the events name."""
        start, end, clock = timeline.start, timeline.end, timeline.cursor
        lanes = self.lanes(timeline.events, start, end)
        named = {at: name for name, at in (("start", start), *self.firsts.items(), *places.items())}
        within = sorted((at, name) for at, name in named.items() if start <= at <= end)
        phases = _phases(within, start, end, clock)
        return Scrubber(start, end, share(clock, start, end), WIDTH, lanes, phases)


def share(clock: int, start: int, end: int) -> float:
    """How far along the history a point is, 0..1."""
    return round((clock - start) / max(end - start, 1), 5)


def _bins(clocks: Sequence[int], start: int, end: int) -> tuple[int, ...]:
    places = (np.asarray(clocks, np.int64) - start) * (WIDTH - 1) // max(end - start, 1)
    return tuple(int(place) for place in np.unique(places))


def _phases(named: list[tuple[int, str]], start: int, end: int, clock: int) -> tuple[Phase, ...]:
    bounds = [at for at, _ in named[1:]] + [end]
    return tuple(
        Phase(name, at, share(at, start, end), at <= clock and (clock < until or until == end))
        for (at, name), until in zip(named[-12:], bounds[-12:], strict=True)
    )
