"""Expansion parameters: which part of a run's trace is wanted.

    where       windows of execution points, of guest time, of event numbers, around the Nth hits of an address;
                triggers
    what        instructions, their bytes, branches only, memory references, their values and linear addresses,
                registers with EFLAGS, walks of the page tables and flushes of the TLB, events, address spaces
    whom        privilege levels, ranges of code (linear or physical), of data (physical), address spaces
    how dense   one point in N, or the first so many points of each period

A row is in the expansion when all of them let it pass.
"""

from dataclasses import astuple, dataclass

import numpy as np

from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch, Column

__all__ = ["EVERYTHING", "WHAT", "ExpansionParameters", "Hits", "TraceError", "parse_hits", "parse_range", "parse_time"]

WHAT = ("instructions", "bytes", "branches", "memory", "values", "linear", "registers", "walks", "events", "spaces")
"""`branches` leaves only control transfers; `values` and `linear` (addresses) mean memory too; `walks` are those of
the page tables, with flushes of the TLB."""
Range = tuple[int, int]
UNITS = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9}


class TraceError(TimelineError):
    """Wrong use of trace expansion."""


@dataclass(frozen=True, slots=True)
class Hits:
    """From the `number`th (from 1) instruction at a linear address on, `count` instructions."""

    address: int
    number: int = 1
    count: int = 1000


@dataclass(frozen=True, slots=True)
class ExpansionParameters:
    """See the module. Ranges exclude their end; an empty tuple means no restriction.

    `windows` are clocks, `times` guest time in nanoseconds, `events` numbers of events in the order in which they
    happened (from the first event's clock to the last one's), `start_at` and `stop_at` linear addresses: rows from
    an instruction at the one up to, and without, the next at the other. Several places add up. Raises `TraceError`.
    """

    windows: tuple[Range, ...] = ()
    times: tuple[Range, ...] = ()
    events: tuple[Range, ...] = ()
    hits: tuple[Hits, ...] = ()
    start_at: int | None = None
    stop_at: int | None = None
    what: frozenset[str] = frozenset(("instructions", "memory", "values", "events", "spaces"))
    privilege: frozenset[int] = frozenset()
    code: tuple[Range, ...] = ()
    code_physical: tuple[Range, ...] = ()
    data: tuple[Range, ...] = ()
    spaces: frozenset[int] = frozenset()
    every: int = 1
    period: int = 0
    length: int = 0

    def __post_init__(self) -> None:
        if unknown := sorted(self.what - set(WHAT)):
            raise TraceError(f"what: {unknown[0]!r} is not known; there are {', '.join(WHAT)}")
        for name in ("windows", "times", "events", "code", "code_physical", "data"):
            for first, end in getattr(self, name):
                if not 0 <= first < end:
                    raise TraceError(f"{name}: {first}..{end} is empty; give a start and a later end")
        if self.every < 1:
            raise TraceError(f"every: {self.every}; give 1 for all, or N for one in N")
        if bool(self.period) != bool(self.length) or not 0 <= self.length <= self.period:
            raise TraceError("period and length go together: the first `length` points of each `period`")
        if self.stop_at is not None and self.start_at is None:
            raise TraceError("stop_at says where rows end; say with start_at where they begin")
        if any(hit.number < 1 or hit.count < 1 for hit in self.hits):
            raise TraceError("hits: number and count begin at 1")
        if not self.privilege <= {0, 1, 2, 3}:
            raise TraceError("privilege: levels are 0 to 3")

    @property
    def anywhere(self) -> bool:
        """Is the whole run wanted?"""
        return not (self.windows or self.times or self.events or self.hits or self.start_at is not None)

    @property
    def references(self) -> bool:
        """Must references be captured?"""
        return bool(self.what & {"memory", "values", "linear", "walks"}) or bool(self.data)

    def document(self) -> dict[str, object]:
        """What differs from everything, for machines."""
        shown = {name: getattr(self, name) for name in self.__slots__}
        plain = {name: getattr(EVERYTHING, name) for name in self.__slots__}
        return {
            name: sorted(value) if isinstance(value, frozenset) else [list(astuple(h)) for h in value]
            if name == "hits" else value
            for name, value in shown.items() if value != plain[name]
        }  # fmt: skip

    def mask(self, batch: Batch) -> Column | None:
        """Which instructions pass, windows aside; None for all."""
        found: Column | None = None

        def keep(mask: Column) -> None:
            nonlocal found
            found = mask if found is None else found & mask

        if "branches" in self.what and not (batch.kept is not None and bool((batch.kind & KIND_BRANCH).all())):
            keep((batch.kind & KIND_BRANCH) != 0)
        if self.privilege:
            keep(np.isin(batch.cpl, list(self.privilege)))
        if self.code:
            keep(_within(batch.linear, self.code))
        if self.code_physical:
            keep(_within(batch.physical, self.code_physical))
        if self.spaces:
            keep(np.isin(batch.space, list(self.spaces)))
        if self.every > 1:
            keep(batch.point % np.uint64(self.every) == 0)
        if self.period:
            keep(batch.point % np.uint64(self.period) < self.length)
        return found

    def data_mask(self, batch: Batch) -> Column | None:
        """Which references pass; None for all."""
        return _within(batch.address, self.data) if self.data else None


EVERYTHING = ExpansionParameters()


def _within(column: Column, ranges: tuple[Range, ...]) -> Column:
    mask = np.zeros(len(column), np.bool_)
    for first, end in ranges:
        mask |= (column >= first) & (column < end)
    return mask


def _number(text: str) -> int:
    text = text.strip().replace("_", "")
    scale = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}.get(text[-1:], 1)
    try:
        return int(text, 0) if scale == 1 else int(float(text[:-1]) * scale)
    except (ValueError, OverflowError):
        raise TraceError(f"{text!r} is no number: write 1000000, 1M or 0xc1000000") from None


def parse_range(text: str) -> Range:
    """`A:B`, or `A+N` for N from A on. Raises `TraceError`."""
    for sign in (":", "+"):
        first, found, second = text.partition(sign)
        if found:
            start = _number(first) if first.strip() else 0
            end = _number(second)
            return start, start + end if sign == "+" else end
    raise TraceError(f"{text!r} is no range: write START:END or START+LENGTH")


def parse_time(text: str) -> Range:
    """`A:B` or `A+LENGTH` in seconds, or with a unit: 1.5:2, 20ms+500us; in nanoseconds. Raises `TraceError`."""
    for sign in (":", "+"):
        first, found, second = text.partition(sign)
        if found:
            start, end = _nanoseconds(first) if first.strip() else 0, _nanoseconds(second)
            return start, start + end if sign == "+" else end
    raise TraceError(f"{text!r} is no range of time: write 1.5:2 (seconds), or 20ms+500us")


def _nanoseconds(text: str) -> int:
    text = text.strip()
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        return round(float(text.removesuffix(unit)) * UNITS.get(unit, 10**9))
    except (ValueError, OverflowError):
        raise TraceError(f"{text!r} is no time: write 1.5, 1.5s, 20ms, 500us or 80ns") from None


def parse_hits(text: str) -> Hits:
    """`ADDRESS`, `ADDRESS#NUMBER` or `ADDRESS#NUMBER+COUNT`. Raises `TraceError`."""
    place, _, count = text.partition("+")
    address, _, number = place.partition("#")
    return Hits(_number(address), _number(number or "1"), _number(count or "1000"))
