"""What a trace is for, second: how many instructions each function of the guest has run, counted, not sampled."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from labkit.vm.machine import Symbol
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_tables import Tables

__all__ = ["Profile"]

UNKNOWN = "(no symbol)"
FARTHEST = 0x100000


class Profile:
    """Instructions by function, without what it calls. `feed` it batches of a trace."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols = sorted(symbols)
        self._addresses = np.array([symbol.address for symbol in self._symbols], np.uint64)
        ends = np.append(self._addresses[1:], np.uint64(1 << 32))[: len(self._symbols)]
        sizes = np.array([symbol.size or FARTHEST for symbol in self._symbols], np.uint64)
        self._ends = np.minimum(ends, self._addresses + sizes)
        self._tables = Tables(frozenset(("instructions",)))
        self._times = np.zeros(0, np.int64)

    def feed(self, batches: Iterable[Batch]) -> "Profile":
        """Count batches. A run that goes on into the next function counts for the one that it began in."""
        for batch in batches:
            more = np.bincount(self._tables.of(batch)["runs"]["code"], minlength=len(self._times))
            more[: len(self._times)] += self._times
            self._times = more
        return self

    def _counts(self) -> npt.NDArray[np.int64]:
        """Instructions by symbol, those without one last."""
        codes = self._tables.codes()
        linear = codes["linear"].astype(np.uint64)
        at = np.searchsorted(self._addresses, linear, side="right") - 1
        inside = (at >= 0) & (linear < self._ends[np.maximum(at, 0)]) if len(self._ends) else at >= 0
        at = np.where(inside, at, len(self._symbols))
        times = self._times * codes["count"].astype(np.int64)
        return np.bincount(at, weights=times, minlength=len(self._symbols) + 1).astype(np.int64)

    @property
    def functions(self) -> list[tuple[str, int]]:
        """Name and instructions, most first."""
        names = [*(symbol.name for symbol in self._symbols), UNKNOWN]
        counts = self._counts()
        order = np.argsort(-counts, kind="stable")
        return [(names[k], int(counts[k])) for k in order.tolist() if counts[k]]

    def __str__(self) -> str:
        whole = max(1, int(self._counts().sum()))
        return "\n".join(
            f"{count / whole:>7.2%} {count:>14} {name}" for name, count in self.functions[:20]
        )
