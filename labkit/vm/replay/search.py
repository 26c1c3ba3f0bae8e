"""Questions to the past: who wrote this, when was that reached.

Each is answered by running stretches between checkpoints again, newest first when looking back, with a watch on.
The list of frames that changed between checkpoints says which stretches need not be looked at.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.state import ExecutionPoint
from labkit.vm.machine.watch import Hits
from labkit.vm.replay.history import History

__all__ = ["Write", "first_hit", "last_hit", "last_register_write", "last_write"]

NEAR = 20_000
"""Instructions before the cursor that are looked at first for a register's writer."""
LONGEST_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Write:
    """A store: the point of the instruction that is about to make it, where, how many bytes, which value."""

    point: ExecutionPoint
    eip: int
    linear: int
    physical: int
    size: int
    value: int

    def __str__(self) -> str:
        return f"{self.point} wrote {self.value:0{2 * self.size}x} ({self.size} bytes) to {self.linear:08x}"


def stretches(history: History, start: int, end: int) -> list[tuple[int, int, int]]:
    """Stretches between checkpoints that cover start..end, oldest first: checkpoint number, from, to."""
    points = [checkpoint.clock for checkpoint in history.machine.checkpoints.list]
    found = []
    for number, at in enumerate(points):
        until = points[number + 1] if number + 1 < len(points) else history.end
        low, high = max(at, start), min(until, end)
        if low < high:
            found.append((number, low, high))
    return found


def last_write(history: History, linear: int, physical: int, size: int, before: int) -> Write | None:
    """The last store to any of `size` bytes at `physical` by an instruction before the clock; None if there is none."""
    frame = physical // FRAME_SIZE
    checkpoints = history.machine.checkpoints
    for number, low, high in reversed(stretches(history, history.start, before)):
        whole = number + 1 < len(checkpoints)
        if whole and frame not in checkpoints.list[number + 1].frames:
            continue
        found = _last_write_in(history, number, (low, high), linear, physical, size)
        if found is not None:
            return found
    return None


def _last_write_in(
    history: History, number: int, span: tuple[int, int], linear: int, physical: int, size: int
) -> Write | None:
    watch = history.watch
    hits = _watched(history, number, span, lambda: watch.memory(physical, size))
    if not hits.count:
        return None
    return _pin_down(history, number, hits.last, span[1], linear, physical, size)


def _pin_down(history: History, number: int, block: int, end: int, linear: int, physical: int, size: int) -> Write:
    """The exact instruction of the last hit: from the start of its block one instruction at a time."""
    history.restore(number)
    history.forward(block)
    watch, written = history.watch, None
    with watch.memory(physical, size):
        while history.clock < min(end, block + LONGEST_BLOCK):
            watch.reset()
            point = history.machine.point
            history.forward(history.clock + 1)
            hits = watch.hits
            if hits.count:
                at = physical // FRAME_SIZE * FRAME_SIZE + hits.offset
                written = Write(point, point.eip, linear + at - physical, at, hits.width, hits.value)
            elif written is not None and history.clock > block + 64:
                break
    if written is None:
        raise RuntimeError(f"a store to {physical:08x} after instruction {block} was not found again")
    return written


def _watched(
    history: History, number: int, span: tuple[int, int], watching: Callable[[], AbstractContextManager[None]]
) -> Hits:
    """Run a stretch with a watch on."""
    history.restore(number)
    history.forward(span[0])
    history.watch.reset(*span)
    with watching():
        history.forward(span[1])
    return history.watch.hits


def last_register_write(history: History, index: int, before: int) -> int | None:
    """Clock before the last instruction that changed a general register and has retired by `before`."""
    for number, low, high in reversed(list(_near_first(history, before))):
        hits = _watched(history, number, (low, high), lambda: history.watch.register(index))
        if hits.count:
            return hits.last
    return None


def _near_first(history: History, before: int) -> Iterator[tuple[int, int, int]]:
    near = max(history.start, before - NEAR)
    yield from stretches(history, history.start, near)
    yield from stretches(history, near, before)


def first_hit(
    history: History, watching: Callable[[], AbstractContextManager[None]], start: int, end: int
) -> int | None:
    """Clock of the first hit from `start` up to before `end`."""
    for number, low, high in stretches(history, start, end):
        hits = _watched(history, number, (low, high), watching)
        if hits.count:
            return hits.first
    return None


def last_hit(
    history: History, watching: Callable[[], AbstractContextManager[None]], start: int, end: int
) -> int | None:
    """Clock of the last hit from `start` up to before `end`."""
    for number, low, high in reversed(stretches(history, start, end)):
        hits = _watched(history, number, (low, high), watching)
        if hits.count:
            return hits.last
    return None
