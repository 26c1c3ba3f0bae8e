"""Breakpoints and watchpoints: what to stop at, forward or in reverse."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import index

from labkit.vm.machine.state import GENERAL, ExecutionPoint
from labkit.vm.monitor.events import EventKind
from labkit.vm.replay.errors import TimelineError

__all__ = ["Breakpoint", "Breakpoints", "Hit", "Stopper", "Watchpoint", "kind_named"]

HIGHEST = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Breakpoint:
    """Stop before an instruction in `first`..`last` (linear, inclusive), or at events of a kind."""

    first: int = 0
    last: int = 0
    kind: EventKind | None = None

    @classmethod
    def at(cls, address: int) -> "Breakpoint":
        """Before the instruction at a linear address. Raises `TimelineError` for what is none."""
        return cls.range(address, address)

    @classmethod
    def range(cls, first: int, last: int) -> "Breakpoint":
        """Before any instruction of `first`..`last` inclusive. Raises `TimelineError` for an empty range."""
        if not 0 <= index(first) <= HIGHEST or not 0 <= index(last) <= HIGHEST:
            raise TimelineError(f"breakpoint at {first:x}..{last:x}: linear addresses have 32 bits")
        if last < first:
            raise TimelineError(
                f"breakpoint range {first:08x}..{last:08x} is empty: give the lower address first"
            )
        return cls(first, last)

    @classmethod
    def event(cls, kind: EventKind | str) -> "Breakpoint":
        """At each event of a kind. Raises `TimelineError` for a kind that does not exist."""
        return cls(kind=kind_named(kind))

    def __str__(self) -> str:
        if self.kind is not None:
            return f"event {self.kind}"
        return f"at {self.first:08x}" if self.first == self.last else f"in {self.first:08x}..{self.last:08x}"


@dataclass(frozen=True, slots=True)
class Watchpoint:
    """Stop after a store to `size` bytes at a linear address, or after a change of a register.

    `physical` is where the bytes lie; None: where the address leads from the place at which a search begins.
    """

    linear: int = 0
    size: int = 0
    register: str = ""
    physical: int | None = field(default=None, compare=False)

    @classmethod
    def memory(cls, linear: int, size: int = 4, physical: int | None = None) -> "Watchpoint":
        """Stores to 1..4096 bytes that lie on one page. Raises `TimelineError` otherwise."""
        if not 0 <= index(linear) <= HIGHEST or index(size) < 1 or linear % 4096 + size > 4096:
            raise TimelineError(f"watchpoint of {size} bytes at {linear:x}: give bytes on one page")
        return cls(linear, size, physical=physical)

    @classmethod
    def of_register(cls, name: str) -> "Watchpoint":
        """Changes of a general register. Raises `TimelineError` for another name."""
        if name not in GENERAL:
            raise TimelineError(f"register {name!r}: give one of {', '.join(GENERAL)}")
        return cls(register=name)

    def __str__(self) -> str:
        bytes_ = f"{self.size} byte{'s'[: self.size != 1]}"
        return f"register {self.register}" if self.register else f"{bytes_} at {self.linear:08x}"


def kind_named(kind: EventKind | str) -> EventKind:
    """The kind of event with a name. Raises `TimelineError` where there is none."""
    try:
        return EventKind(kind)
    except ValueError:
        raise TimelineError(f"no event is called {kind!r}: give one of {', '.join(EventKind)}") from None


Stopper = Breakpoint | Watchpoint


@dataclass(frozen=True, slots=True)
class Hit:
    """Where a run stopped, and at what."""

    point: ExecutionPoint
    what: Stopper

    def __str__(self) -> str:
        return f"{self.what}: {self.point}"


@dataclass(slots=True)
class Breakpoints:
    """The set that `run_to` stops at."""

    _all: dict[Stopper, None] = field(default_factory=dict)

    def add(self, what: Stopper) -> None:
        """Add one; adding twice changes nothing. Raises `TimelineError` for anything else."""
        if not isinstance(what, Breakpoint | Watchpoint):
            raise TimelineError(f"{what!r} is no breakpoint: give Breakpoint.at(address) or a Watchpoint")
        self._all[what] = None

    def remove(self, what: Stopper) -> None:
        """Remove one; nothing happens if it is not there."""
        self._all.pop(what, None)

    def toggle(self, address: int) -> bool:
        """Set or clear the breakpoint at an address; whether it is set now."""
        what = Breakpoint.at(address)
        if what in self._all:
            self.remove(what)
            return False
        self.add(what)
        return True

    def copy(self) -> "Breakpoints":
        """The same set once more."""
        return Breakpoints(dict(self._all))

    def clear(self) -> None:
        """Remove all."""
        self._all.clear()

    def __iter__(self) -> Iterator[Stopper]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __str__(self) -> str:
        return "\n".join(str(what) for what in self._all) or "no breakpoints"

    def __contains__(self, what: object) -> bool:
        return what in self._all
