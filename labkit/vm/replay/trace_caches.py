"""What a trace is for, first: caches and TLBs of any size, tried on every instruction and reference of a run.

    fetch --> ITLB, L1I --+
                          +--> L2          least recently used goes first; stores allocate as loads do
    data ---> DTLB, L1D --+

The instruction TLB is looked up by linear page. Of data only physical addresses are known, so the data TLB is
looked up by frame: two linear pages of one frame count as one entry. A change of address space empties nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from labkit.vm.machine.probes import caches as words
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.trace_batch import Batch

__all__ = ["Cache", "CacheCounts", "Caches"]


@dataclass(frozen=True, slots=True)
class Cache:
    """`size` bytes in lines of `line` bytes, `ways` places for each. A TLB has lines of a page."""

    size: int
    ways: int
    line: int = 64

    def __post_init__(self) -> None:
        if self.line < 1 or self.line & (self.line - 1):
            raise TimelineError(f"a line of {self.line} bytes: give a power of two")
        if self.ways < 1 or self.size < self.line * self.ways or self.size % (self.line * self.ways):
            raise TimelineError(f"{self.size} bytes are no whole number of sets of {self.ways} lines")
        if self.sets & (self.sets - 1):
            raise TimelineError(f"{self.sets} sets: make it a power of two")

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.size // (self.line * self.ways)


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """What one cache has seen."""

    hits: int
    misses: int

    @property
    def miss_rate(self) -> float:
        """Misses / accesses."""
        return self.misses / max(1, self.hits + self.misses)


class Caches:
    """Five caches; `feed` them batches of a trace with memory references, then read `counts`."""

    def __init__(
        self,
        l1i: Cache = Cache(32 << 10, 8),
        l1d: Cache = Cache(32 << 10, 8),
        l2: Cache = Cache(512 << 10, 8),
        itlb: Cache = Cache(64 * 4096, 4, 4096),
        dtlb: Cache = Cache(64 * 4096, 4, 4096),
    ) -> None:
        self._places = {"L1I": words.L1I, "L1D": words.L1D, "L2": words.L2, "ITLB": words.ITLB, "DTLB": words.DTLB}
        self._words = np.zeros(words.WORDS, np.uint64)
        self._tags = []
        for place, cache in zip(self._places.values(), (l1i, l1d, l2, itlb, dtlb), strict=True):
            tags = np.zeros(cache.sets * cache.ways, np.uint64)
            self._tags.append(tags)
            shift = cache.line.bit_length() - 1
            self._words[place : place + 4] = tags.ctypes.data, cache.sets, cache.ways, shift

    def feed(self, batches: Iterable[Batch]) -> "Caches":
        """Go through batches in order."""
        for batch in batches:
            columns = batch.linear, batch.physical, batch.size, batch.refs, batch.address, batch.meta
            kept = [np.ascontiguousarray(column) for column in columns]
            self._words[words.LINEAR : words.META + 1] = [column.ctypes.data for column in kept]
            self._words[words.COUNT] = len(batch)
            words.simulate(self._words.ctypes.data)
        return self

    @property
    def counts(self) -> dict[str, CacheCounts]:
        """By cache."""
        w = self._words
        return {
            name: CacheCounts(int(w[at + words.HITS]), int(w[at + words.MISSES]))
            for name, at in self._places.items()
        }

    def __str__(self) -> str:
        return "\n".join(
            f"{name:<5}{counts.hits + counts.misses:>14} accesses {counts.misses:>12} misses "
            f"{counts.miss_rate:>8.2%}"
            for name, counts in self.counts.items()
        )
