"""What a run stops at: breakpoints, watchpoints and kinds of events, as people write them and as rows.

    c010 4a1f   paging_init   c000 0000 - c00f ffff     before an instruction
    eax                                                 when a register changes
    write c014 43f0   write 16 at c014 43f0             when bytes are written (4 unless said)
    page fault                                          at events of a kind

A watch on memory stays on the frame that the address leads to when it is set.
"""

import re

from labkit.vm.machine.state import GENERAL
from labkit.vm.monitor import EventKind
from labkit.vm.replay import Breakpoint, Timeline, Watchpoint
from labkit.vm.replay.breakpoints import Stopper
from labkit.widgets.debugger.command import CommandError
from labkit.widgets.debugger.model import StopRow, Stops
from labkit.widgets.debugger.places import address, code_address
from labkit.widgets.debugger.words import hex32, in_words

__all__ = ["SHOWN", "parse_stop", "remove", "stops", "toggle", "watch", "words"]

SHOWN = 12
UNWATCHED = re.compile(
    r"eip|ip|e?flags|[a-d][xlh]|[sd]i|[sb]p|[c-gs]s|[cd]r\d|tr\d?|[gil]dtr|st\d?|[xy]?mm\d", re.IGNORECASE
)
"""Registers of which no history is kept: never taken for code at their value (`ch`, `dh` are no numbers here)."""
HELP = "write an address or symbol (c010 4a1fh), a register (eax), write ADDRESS, or an event (page fault)"
_WRITE = re.compile(r"writes?\s+(?:(\d{1,4})\s+(?:bytes?\s+)?at\s+|(?:to|at)\s+)?(.+)", re.IGNORECASE)
_RANGE = re.compile(r"(.+?)\s*(?:-|\.\.)\s*(.+)")


def parse_stop(timeline: Timeline, text: str) -> Stopper:
    """The stop that was written down. Raises CommandError, TimelineError."""
    text = text.strip()
    kinds = {str(kind) for kind in EventKind}
    if text.lower() in GENERAL:
        return Watchpoint.of_register(text.lower())
    if text.lower() in kinds:
        return Breakpoint.event(text.lower())

    if UNWATCHED.fullmatch(text):
        raise CommandError(f"{text} cannot be watched: {', '.join(GENERAL)} can; write an address for code")

    def place(written: str, of_data: bool = False) -> int:
        try:
            return address(timeline, written) if of_data else code_address(timeline, written)
        except CommandError:
            raise CommandError(f"stop at {text!r}? {HELP}") from None

    if written := _WRITE.fullmatch(text):
        return watch(timeline, place(written[2], of_data=True), int(written[1] or 4))
    if timeline.address_of(text) is None and (bounds := _RANGE.fullmatch(text)):
        return Breakpoint.range(place(bounds[1]), place(bounds[2]))
    return Breakpoint.at(place(text))


def watch(timeline: Timeline, linear: int, size: int) -> Watchpoint:
    """A watchpoint on memory that is there. Raises CommandError, TimelineError."""
    if timeline.read(linear, 1) is None:
        raise CommandError(f"{hex32(linear)} is not mapped here: nothing can be watched there")
    return Watchpoint.memory(linear, size, timeline.walk(linear).physical)


def toggle(timeline: Timeline, what: Stopper) -> str:
    """Set it, or take it away; what was done, in words."""
    if what in timeline.breakpoints:
        timeline.breakpoints.remove(what)
        return f"no stop any more {words(what)}"
    timeline.breakpoints.add(what)
    return f"runs stop {words(what)}"


def remove(timeline: Timeline, key: str) -> None:
    """Take away the stop with this key. Raises CommandError where there is none."""
    for what in timeline.breakpoints:
        if str(what) == key:
            timeline.breakpoints.remove(what)
            return
    raise CommandError(f"there is no stop {key!r} any more")


def stops(timeline: Timeline) -> Stops:
    """The rows, the latest last, and how many are left out."""
    every = list(timeline.breakpoints)
    rows = tuple(StopRow(str(what), _kind(what), words(what), _where(timeline, what)) for what in every[-SHOWN:])
    hidden = len(every) - len(rows)
    return Stops(rows, f"and {hidden} more" if hidden else "")


def words(what: Stopper) -> str:
    """When it stops: `before c010 4a1f`, `when eax changes`."""
    if isinstance(what, Watchpoint):
        if what.register:
            return f"when {what.register} changes"
        place = hex32(what.linear)
        many = f"{in_words(what.size, 'byte')} at {place} are"
        return f"when {place} is written" if what.size == 1 else f"when {many} written"
    if what.kind is not None:
        return f"at {what.kind}"
    if what.first == what.last:
        return f"before {hex32(what.first)}"
    return f"in {hex32(what.first)} to {hex32(what.last)}"


def _kind(what: Stopper) -> str:
    if isinstance(what, Watchpoint):
        return "watch"
    return "break" if what.kind is None else "event"


def _where(timeline: Timeline, what: Stopper) -> str:
    if isinstance(what, Watchpoint):
        return "" if what.register else timeline.symbol(what.linear) or ""
    return timeline.symbol(what.first) or "" if what.kind is None else ""
