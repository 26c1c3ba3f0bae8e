"""Questions to the past: who wrote this, when was that reached.

Each is answered by running stretches between checkpoints again, newest first when looking back, with a watch
on. What changed between checkpoints, and the index of writes, say which stretches need not be looked at.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise

from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.state import ExecutionPoint
from labkit.vm.machine.watch import Hits
from labkit.vm.monitor.events import EventKind, Row
from labkit.vm.replay.history import History
from labkit.vm.replay.write_index import WriteIndex

__all__ = [
    "Span", "Write", "checkpoints", "first_hit", "first_store", "last_hit", "last_register_write", "last_store",
    "last_write", "register_change",
]  # fmt: skip

NEAR = 20_000
"""Instructions before the cursor that are looked at first for a register's writer."""
PATIENCE = 4
"""Stretches that are run again for one question before the index of writes is made."""
FAULTS = (EventKind.EXCEPTION, EventKind.PAGE_FAULT)
DELIVERED = (*FAULTS, EventKind.INTERRUPT, EventKind.SYSTEM_CALL)
Span = tuple[int, int]
Watching = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Write:
    """A store: the point of the instruction that is about to make it, where, how many bytes, which value.

    `by_event`: no instruction made it but the delivery of an interrupt or exception at that point, and `eip`
    is where it had interrupted the guest. An instruction whose first try faulted, or a handler's first one,
    has the clock of that fault. A change of a register has its name, and no address.
    """

    point: ExecutionPoint
    eip: int
    linear: int
    physical: int
    size: int
    value: int
    by_event: bool = False
    register: str = ""

    def __str__(self) -> str:
        where = self.register or f"{self.linear:08x}"
        who = " delivery of an event" if self.by_event else ""
        return f"{self.point}{who} wrote {self.value:0{2 * self.size}x} ({self.size} bytes) to {where}"


def checkpoints(history: History, here: int, far: int) -> list[int]:
    """The clocks of the checkpoints on the way from here, and of its end, in the order in which one comes to them."""
    low, high = min(here, far), max(here, far)
    clocks = [checkpoint.clock for checkpoint in history.machine.checkpoints.list]
    inner = [clock for clock in clocks if low < clock < high]
    return [*(inner if here <= far else reversed(inner)), far]


def stretches(history: History, start: int, end: int) -> list[Span]:
    """Stretches between checkpoints that cover start..end, oldest first."""
    return list(pairwise([start, *checkpoints(history, start, end)])) if start < end else []


def run_watched(history: History, span: Span) -> Hits:
    """Run a stretch again; what the watch, which is on, has seen of it."""
    history.goto(span[0])
    history.watch.reset(*span)
    history.forward(span[1])
    return history.watch.hits


# --- stores


def _stores(history: History, physical: int, size: int, span: Span) -> Hits:
    """What is stored to the bytes in a stretch: the quick way, or where that may miss some the slow one."""
    watch = history.watch
    with watch.memory(physical, size):
        hits = run_watched(history, span)
        if not watch.missed:
            return hits
    with watch.memory(physical, size, slow=True):
        return run_watched(history, span)


def last_write(
    history: History, index: WriteIndex, physical: int, size: int, before: int,
    on_progress: Callable[[int], None] | None = None,
) -> Write | None:  # fmt: skip
    """The last store to any of `size` bytes of one frame, before a clock; `linear` is left 0."""
    for tried, span in enumerate(_unindexed(history, index, physical, before)):
        if tried == PATIENCE:
            index.extend(min(before, history.end), on_progress)
            break
        found = _last_write_in(history, physical, size, span)
        if found is not None:
            return found
        before = span[0]
    for span in index.candidates(physical, size, before):
        found = _last_write_in(history, physical, size, span)
        if found is not None:
            return found
    return None


def _unindexed(history: History, index: WriteIndex, physical: int, before: int) -> Iterator[Span]:
    """Stretches behind the index in which the frame was written, newest first."""
    checkpoints, frame = history.machine.checkpoints, physical // FRAME_SIZE
    for low, high in reversed(stretches(history, index.end, before)):
        number = checkpoints.before(low) + 1
        if number == len(checkpoints) or frame in checkpoints.list[number].frames:
            yield low, high


def _last_write_in(history: History, physical: int, size: int, span: Span) -> Write | None:
    hits = _stores(history, physical, size, span)
    if not hits.count:
        return None
    if not hits.last_span:
        return _by_event(history, physical, hits)
    return _pin_down(history, physical, size, (hits.last, min(span[1], hits.last + hits.last_span)))


def _by_event(history: History, physical: int, hits: Hits) -> Write:
    at, size = physical - physical % FRAME_SIZE + hits.low, hits.high - hits.low
    value = int.from_bytes(history.machine.memory.read(at, size), "little")
    point = ExecutionPoint(hits.last, hits.branches, hits.eip)
    return Write(point, hits.eip, 0, at, size, value, by_event=True)


def _pin_down(history: History, physical: int, size: int, block: Span) -> Write:
    """The exact instruction of the last hit: through its block one instruction at a time."""
    written = None
    for clock in range(*block):
        history.goto(clock)
        branches = history.machine.point.branches
        hits = _stores(history, physical, size, (clock, clock + 1))
        if not hits.count:
            continue
        if not hits.last_span:
            written = _by_event(history, physical, hits)
            continue
        at, width = physical - physical % FRAME_SIZE + hits.low, hits.high - hits.low
        value = int.from_bytes(history.machine.memory.read(at, width), "little")
        written = Write(ExecutionPoint(clock, branches, hits.eip), hits.eip, 0, at, width, value)
    if written is None:
        raise RuntimeError(f"a store to {physical:08x} after instruction {block[0]} was not found again")
    return written


def first_store(history: History, physical: int, size: int, start: int, end: int) -> int | None:
    """Clock behind the first store to the bytes that is made from clock `start` on and done by `end`."""
    for span in stretches(history, start, end):
        hits = _stores(history, physical, size, span)
        if hits.count:
            return _behind(history, physical, size, (hits.first, hits.first + hits.first_span), span)
    return None


def last_store(history: History, physical: int, size: int, start: int, end: int) -> int | None:
    """Clock behind the last store to the bytes that is made from clock `start` on and done by `end`."""
    for span in reversed(stretches(history, start, end)):
        hits = _stores(history, physical, size, span)
        if hits.count:
            block = (hits.last, hits.last + hits.last_span)
            return _behind(history, physical, size, block, span, newest=True)
    return None


def _behind(
    history: History, physical: int, size: int, block: Span, span: Span, *, newest: bool = False
) -> int | None:
    """Clock behind the first or newest store of a block; an event at its clock is delivered up to there."""
    found = None
    for clock in range(max(span[0], block[0] - 1), min(span[1], max(block[1], block[0] + 1))):
        if _stores(history, physical, size, (clock, clock + 1)).count:
            found = clock + 1
            if not newest:
                break
    return found


# --- registers


def last_register_write(history: History, number: int, before: int) -> Write | None:
    """The last instruction, or event, that changed a general register and has retired by `before`."""
    near = max(history.start, before - NEAR)
    spans = [*stretches(history, history.start, near), *stretches(history, near, before)]
    with history.watch.register(number):
        for span in reversed(spans):
            hits = run_watched(history, span)
            if hits.count:
                break
        else:
            return None
    history.goto(hits.last)
    point = history.machine.point if hits.last_span else _interrupted(history, hits.last)
    return Write(point, point.eip, 0, 0, 0, 0, by_event=not hits.last_span)


def _rows_at(history: History, clock: int) -> list[Row]:
    return history.events.rows[history.events.first_at(clock) : history.events.first_after(clock)]


def _interrupted(history: History, clock: int) -> ExecutionPoint:
    """Where the guest was when the last event at a clock was delivered."""
    found = [row for row in _rows_at(history, clock) if row[3] in DELIVERED]
    return ExecutionPoint(*found[-1][:3]) if found else history.machine.point


def register_change(history: History, number: int, start: int, end: int, direction: int) -> int | None:
    """Clock behind the first (+1) or last (-1) change of a general register from clock `start` to `end`."""
    spans = stretches(history, start, end)
    with history.watch.register(number):
        for span in spans if direction > 0 else reversed(spans):
            hits = run_watched(history, span)
            if hits.count:
                at, by = (hits.first, hits.first_span) if direction > 0 else (hits.last, hits.last_span)
                break
        else:
            return None
    if by:
        return at + 1
    # an event at this clock: an interrupt belongs to the state at it, a fault comes after it
    fault = any(row[3] in FAULTS for row in _rows_at(history, at))
    return min(at + 1, end) if fault else at


# --- instructions


def first_hit(history: History, watching: Watching, start: int, end: int) -> int | None:
    """Clock of the first hit from `start` up to before `end`."""
    return _hit(history, watching, stretches(history, start, end), lambda hits: hits.first)


def last_hit(history: History, watching: Watching, start: int, end: int) -> int | None:
    """Clock of the last hit from `start` up to before `end`."""
    return _hit(history, watching, reversed(stretches(history, start, end)), lambda hits: hits.last)


def _hit(
    history: History, watching: Watching, spans: Iterable[Span], which: Callable[[Hits], int]
) -> int | None:
    with watching():
        for span in spans:
            hits = run_watched(history, span)
            if hits.count:
                return which(hits)
    return None
