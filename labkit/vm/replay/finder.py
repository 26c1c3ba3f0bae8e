"""Finding the next or previous place where a breakpoint or watchpoint holds."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import search
from labkit.vm.replay.breakpoints import Breakpoint, Stopper, Watchpoint
from labkit.vm.replay.history import History

__all__ = ["find", "find_any"]

Translate = Callable[[int], int | None]


def find_any(
    history: History, wanted: list[Stopper], span: tuple[int, int], direction: int, physical: Translate
) -> tuple[int, Stopper] | None:
    """The place nearest to the cursor, and what holds there; `span` goes from the cursor to the far end.

    The cursor itself does not count. `physical` translates a watchpoint's address. Raises `LookupError` with
    the watchpoint whose address it cannot translate.
    """
    cursor, far = span
    places = {what: _place(what, physical) for what in wanted}
    best: tuple[int, Stopper] | None = None
    for what, place in places.items():
        clock = find(history, what, (cursor, far), direction, place)
        if clock is not None and (best is None or (clock - best[0]) * direction < 0):
            best, far = (clock, what), clock
    return best


def _place(what: Stopper, physical: Translate) -> int | None:
    if isinstance(what, Breakpoint) or what.register:
        return None
    place = physical(what.linear)
    if place is None:
        raise LookupError(what)
    return place


def find(
    history: History, what: Stopper, span: tuple[int, int], direction: int, place: int | None
) -> int | None:
    """The place nearest to the cursor where one holds, None if none; `place` is its physical address."""
    cursor, far = span
    low, high = (cursor + 1, far) if direction > 0 else (far, cursor - 1)
    if low > high:
        return None
    if isinstance(what, Breakpoint) and what.kind is not None:
        rows = history.events.rows[history.events.first_at(low) : history.events.first_after(high)]
        clocks = [row[0] for row in rows if row[3] is what.kind]
        return (clocks[0] if direction > 0 else clocks[-1]) if clocks else None
    if isinstance(what, Breakpoint):
        return _breakpoint(history, what, (low, high), direction)
    return _watchpoint(history, what, (low, high), direction, place)


def _breakpoint(history: History, what: Breakpoint, span: tuple[int, int], direction: int) -> int | None:
    """Breakpoints stop before an instruction: one that has run, or the next one at the end of history."""

    def watching() -> AbstractContextManager[None]:
        return history.watch.code([(what.first, what.last)])

    low, high = span
    search_hit = search.first_hit if direction > 0 else search.last_hit
    clock = search_hit(history, watching, low, min(high + 1, history.end))
    if clock is None and high == history.end:
        history.goto(high)
        clock = high if what.first <= history.machine.processor.registers.linear_eip <= what.last else None
    return clock


def _watchpoint(
    history: History, what: Watchpoint, span: tuple[int, int], direction: int, place: int | None
) -> int | None:
    """Watchpoints stop behind the instruction that writes: at a clock of `span`, its ends included."""
    low, high = max(span[0] - 1, history.start), span[1]
    if place is not None:
        search_store = search.first_store if direction > 0 else search.last_store
        return search_store(history, place, what.size, low, high)
    number = GENERAL.index(what.register)
    return search.register_change(history, number, low, high, direction)
