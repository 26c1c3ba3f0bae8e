"""What every chip on the board offers, and what it is given: ports, guest time, an interrupt line."""

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Device", "IrqLine", "Mmio", "Moved", "nothing"]

State = TypeVar("State")
Moved = Callable[[], None]
"""Called by a chip whose `deadline()` may have changed."""


def nothing() -> None:
    """A callback that does nothing."""


class IrqLine(Protocol):
    """One interrupt request wire: it has a level; the chips behind it see an edge when that changes."""

    def set(self, level: bool) -> None:
        """Drive the wire high (True) or low (False)."""
        ...


class Device(Protocol[State]):
    """A chip with I/O ports.

    `read` and `write` take any port of `ports`, any size (1, 2 or 4 bytes) and any value, and never raise.
    The board splits 2- and 4-byte accesses to ports that are not `wide` into single bytes at consecutive
    ports, as the ISA bus does.
    """

    @property
    def name(self) -> str:
        """The chip's short name."""
        ...

    @property
    def ports(self) -> tuple[range, ...]:
        """The I/O ports that it answers."""
        ...

    @property
    def wide(self) -> tuple[range, ...]:
        """Those of them that take 2- and 4-byte accesses whole."""
        ...

    def read(self, port: int, size: int) -> int:
        """The value that IN sees."""
        ...

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        ...

    def deadline(self) -> int | None:
        """Guest nanoseconds of the chip's next event of its own; None if it has none."""
        ...

    def on_time(self, now: int) -> None:
        """Do what falls due; called when `now >= deadline()`."""
        ...

    def save(self) -> State:
        """All that the guest can see, as immutable plain data."""
        ...

    def load(self, state: State) -> None:
        """Exact inverse of `save`; drives no interrupt line: the chips behind them restore themselves."""
        ...


class Mmio(Protocol):
    """A chip with registers in physical memory; offsets count from the start of its range."""

    mmio: range

    def read_mmio(self, offset: int, size: int) -> int:
        """The value that a load sees."""
        ...

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        """A store."""
        ...
