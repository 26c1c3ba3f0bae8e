"""Names of places in the guest, from the symbols of its image."""

from bisect import bisect_right
from collections.abc import Iterable

from labkit.vm.machine import Symbol

__all__ = ["Symbols"]

FARTHEST = 0x100000
"""Bytes behind a symbol of unknown size that are still called by its name."""


class Symbols:
    """Symbols by address."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols = sorted(symbols)
        self._by_name = {symbol.name: symbol.address for symbol in reversed(self._symbols)}
        self._addresses = [symbol.address for symbol in self._symbols]

    def address(self, name: str) -> int | None:
        """Where a name is, the lowest place if there are several; None if unknown."""
        return self._by_name.get(name)

    def name(self, linear: int) -> str | None:
        """Name of the code or data at an address, as name or name+offset; None if unknown."""
        at = bisect_right(self._addresses, linear) - 1
        if at < 0:
            return None
        found = self._symbols[at]
        offset = linear - found.address
        if offset > FARTHEST or (found.size and offset >= found.size):
            return None
        return f"{found.name}+{offset:x}h" if offset else found.name
