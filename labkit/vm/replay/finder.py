"""Finding the next or previous place where a breakpoint or watchpoint holds."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import search
from labkit.vm.replay.breakpoints import Breakpoint, Stopper, Watchpoint
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.history import History

__all__ = ["find_any"]

Translate = Callable[[int], int | None]
Told = Callable[[int], None] | None
PIECE = 8
"""Stretches between checkpoints that are searched at once where progress is told."""


def find_any(
    history: History, wanted: list[Stopper], far: int, physical: Translate, on_progress: Told = None
) -> tuple[int, Stopper] | None:
    """The place nearest to where the machine stands, on the way to `far`, and what holds there.

    Where it stands does not count. `physical` translates a watchpoint's address; `on_progress` is told the clocks
    that the search has come to. The machine is left anywhere, but where it was if an exception tears it off.
    Raises `TimelineError` for a watchpoint whose address leads nowhere.
    """
    cursor, here = history.clock, history.bookmark()
    try:
        addresses = [what for what in wanted if isinstance(what, Breakpoint) and what.kind is None]
        places = {what: _place(history, what, physical) for what in wanted if what not in addresses}
        marks = search.checkpoints(history, cursor, far)
        ends = [*marks[PIECE - 1 : -1 : PIECE], far] if on_progress else [far]
        for begin, end in pairwise([cursor, *ends]):
            found = _nearest(history, addresses, places, (begin, end), 1 if far > cursor else -1)
            if found is not None:
                return found
            if on_progress:
                on_progress(end)
    except BaseException:
        history.return_to(here)
        raise
    return None


def _nearest(
    history: History, addresses: list[Breakpoint], places: dict[Stopper, int | None], span: search.Span, direction: int
) -> tuple[int, Stopper] | None:
    cursor, far = span
    best = _find_address(history, addresses, (cursor, far), direction)
    far = far if best is None else best[0]
    for what, place in places.items():
        clock = _find(history, what, (cursor, far), direction, place)
        if clock is not None and (best is None or (clock - best[0]) * direction < 0):
            best, far = (clock, what), clock
    return best


def _place(history: History, what: Stopper, physical: Translate) -> int | None:
    if isinstance(what, Breakpoint) or what.register:
        return None
    place = physical(what.linear) if what.physical is None else what.physical
    if place is None:
        raise TimelineError(
            f"address {what.linear:08x} is not mapped at instruction {history.clock}: seek to where it is mapped"
        )
    return place


def _find(
    history: History, what: Stopper, span: tuple[int, int], direction: int, place: int | None
) -> int | None:
    """The place nearest to the cursor where one that is no address holds; `place` is a watchpoint's physical one."""
    cursor, far = span
    low, high = (cursor + 1, far) if direction > 0 else (far, cursor - 1)
    if low > high:
        return None
    if isinstance(what, Breakpoint):
        rows = history.events.rows[history.events.first_at(low) : history.events.first_after(high)]
        clocks = [row[0] for row in rows if row[3] is what.kind]
        return (clocks[0] if direction > 0 else clocks[-1]) if clocks else None
    return _watchpoint(history, what, (low, high), direction, place)


def _find_address(
    history: History, wanted: list[Breakpoint], span: tuple[int, int], direction: int
) -> tuple[int, Stopper] | None:
    """All address breakpoints in one pass. They stop before an instruction that has run, or the next one at the end."""
    cursor, far = span
    low, high = (cursor + 1, far) if direction > 0 else (far, cursor - 1)
    if not wanted or low > high:
        return None

    watching = partial(history.watch.code, [(what.first, what.last) for what in wanted])
    search_hit = search.first_hit if direction > 0 else search.last_hit
    at_end = high == history.end
    clock = search_hit(history, watching, low, min(high + 1, history.end))
    if clock is None and at_end and _holding(history, wanted, high):
        clock = high
    if clock is None:
        return None
    holding = _holding(history, wanted, clock) or [
        # a handler's first instruction, reached at the clock of its fault: look which one it is
        what
        for what in wanted
        if len(wanted) == 1
        or search.first_hit(history, partial(history.watch.code, [(what.first, what.last)]), clock, clock + 1)
        is not None
    ]
    return clock, (holding or wanted)[0]


def _holding(history: History, wanted: list[Breakpoint], clock: int) -> list[Breakpoint]:
    """Which of them hold where the clock stands."""
    history.goto(clock)
    eip = history.machine.processor.registers.linear_eip
    return [what for what in wanted if what.first <= eip <= what.last]


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
