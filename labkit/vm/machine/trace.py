"""Tracing a processor without disturbing it: passes of blocks and memory accesses, a buffer at a time.

The guest sees nothing of it: the clock, registers and memory are the same at every point with and without.
`Tracer` fills a `Capture`, and gives it away when it is full (probes/trace.py says what is in it).
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace
from labkit.vm.machine.probes.emulator import skip_flag_offset
from labkit.vm.machine.processor import Processor

__all__ = ["Capture", "KnownBlocks", "Tracer", "can_be_emptied"]

PASSES, REFS, SPACES = 1 << 19, 1 << 21, 1 << 14
SLACK_PASSES, SLACK_REFS = 64, 1 << 16
"""What may still come after a buffer has been found full: one block and the next one's start."""
TABLE_BITS = 19
NUMBERS, POOL = 1 << 18, 8 << 20
LONGEST_BLOCK = 1 << 13
READ_AFTER, READ, WRITE = 8192, 1024, 2048  # UC_HOOK_MEM_...
Words = npt.NDArray[np.uint64]


class KnownBlocks:
    """The numbers of blocks, and the bytes that each stands for."""

    def __init__(self) -> None:
        self.table = np.zeros(1 << TABLE_BITS, np.uint32)
        self.known = np.zeros((NUMBERS, 4), np.uint64)
        self.pool = np.zeros(POOL + LONGEST_BLOCK, np.uint8)


@dataclass(slots=True)
class Capture:
    """A stretch of the run: `start`..`end` are clocks."""

    blocks: KnownBlocks
    numbers: int
    """How many blocks have been numbered by its end."""
    passes: Words
    refs: Words
    values: Words | None
    spaces: Words
    """Rows of (index of the pass, CR3) where the address space has changed; the first is at index 0."""
    start: int
    end: int
    last_retired: int
    last_refs: int


class Tracer:
    """The tracing side of a processor: `memory` accesses, with `values`; `exact` places, slowly, for checks.

    Raises `ValueError` for a processor whose addresses Unicorn translates itself.
    """

    def __init__(
        self, processor: Processor, *, memory: bool = True, values: bool = False, exact: bool = False
    ) -> None:
        if processor.mmu != "labkit":
            raise ValueError("only a processor with labkit's own paging unit can be traced: mmu='labkit'")
        self._processor = processor
        self._memory, self._values, self._exact = memory, values or exact, exact
        self._state = np.zeros(trace.WORDS, np.uint64)
        self._t: Any = (ctypes.c_uint64 * trace.WORDS).from_address(self._state.ctypes.data)
        self._blocks = KnownBlocks()
        self._start = 0

    @contextmanager
    def tracing(self) -> Iterator["Tracer"]:
        """Trace what the processor runs. Empty the buffer (`take`) whenever `full` says so, and at the end."""
        processor, t = self._processor, self._t
        if processor.cells[c.TC_MEMORY]:
            raise RuntimeError("what a binary translator runs cannot be traced: use a machine with the hw engine")
        core = processor.core
        processor.cells[c.TRACE] = self._state.ctypes.data
        t[trace.SKIP] = core.emulator.address + skip_flag_offset() if self._memory and not self._exact else 0
        self._number_anew()
        self._renew()
        handles = self._hook()
        before = core.count_with(trace.traced_block_hook)
        try:
            yield self
        finally:
            for handle in handles:
                processor.remove_hook(handle)
            core.count_with(before)
            processor.cells[c.TRACE] = 0

    def _hook(self) -> list[Any]:
        if not self._memory:
            return []
        emulator, here = self._processor.core.emulator, self._state.ctypes.data
        if self._exact:
            cells = self._processor.array.ctypes.data
            return [emulator.hook(kind, trace.place_hook, cells) for kind in (READ, WRITE)]
        function = trace.value_hook if self._values else trace.memory_hook
        return [emulator.hook(kind, function, here) for kind in (READ_AFTER, WRITE)]

    @property
    def full(self) -> bool:
        """Is it time to empty the buffer?"""
        t = self._t
        return bool(
            t[trace.COUNT] > t[trace.HIGH] or t[trace.REFS] >= t[trace.REFS_HIGH]
            or t[trace.SPACE_COUNT] >= t[trace.SPACES_HIGH] or self._numbers_full
        )  # fmt: skip

    @property
    def _numbers_full(self) -> bool:
        t = self._t
        return bool(t[trace.NUMBERS] + 2 >= t[trace.MOST_NUMBERS] or t[trace.POOL_COUNT] >= t[trace.POOL_HIGH])

    def take(self) -> Capture:
        """What has been noted since the last time. Between two blocks only: no emulation may be under way."""
        t, clock = self._t, self._processor.clock
        count, refs = int(t[trace.COUNT]), int(t[trace.REFS])
        taken = Capture(
            self._blocks, int(t[trace.NUMBERS]), self._passes[:count], self._refs[:refs],
            self._value[:refs] if self._values and self._memory else None,
            self._spaces[: int(t[trace.SPACE_COUNT])], self._start, clock,
            clock - int(t[trace.LAST_CLOCK]) if count else 0, refs - int(t[trace.LAST_REFS]),
        )  # fmt: skip
        if self._numbers_full:
            self._blocks = KnownBlocks()
            self._number_anew()
        self._renew()
        return taken

    def discard(self) -> None:
        """Begin here: forget what has been noted."""
        self._renew()

    def _number_anew(self) -> None:
        t, blocks = self._t, self._blocks
        t[trace.TABLE], t[trace.TABLE_SHIFT] = blocks.table.ctypes.data, 64 - TABLE_BITS
        t[trace.KNOWN], t[trace.POOL] = blocks.known.ctypes.data, blocks.pool.ctypes.data
        t[trace.NUMBERS] = t[trace.POOL_COUNT] = 0
        t[trace.MOST_NUMBERS], t[trace.POOL_HIGH] = NUMBERS, POOL

    def _renew(self) -> None:
        """Fresh buffers: the old ones are somebody else's now."""
        t = self._t
        refs = REFS + SLACK_REFS if self._memory else 1
        self._passes = np.empty(PASSES + SLACK_PASSES, np.uint64)
        self._refs = np.empty(refs, np.uint64)
        self._value = np.empty(refs if self._values else 1, np.uint64)
        self._spaces = np.empty((SPACES + SLACK_PASSES, 2), np.uint64)
        t[trace.BLOCKS], t[trace.COUNT], t[trace.HIGH] = self._passes.ctypes.data, 0, PASSES
        t[trace.MEMORY], t[trace.VALUES] = self._refs.ctypes.data, self._value.ctypes.data
        t[trace.REFS], t[trace.REFS_HIGH], t[trace.LAST_REFS] = 0, REFS if self._memory else 1 << 62, 0
        t[trace.SPACES], t[trace.SPACE_COUNT] = self._spaces.ctypes.data, 0
        t[trace.SPACES_HIGH], t[trace.LAST_SPACE] = SPACES, (1 << 64) - 1
        self._start = t[trace.LAST_CLOCK] = self._processor.clock


def can_be_emptied(found: Exit) -> bool:
    """After this exit no instruction is half done that the monitor would finish."""
    return found.kind in (ExitKind.PAUSE, ExitKind.DEADLINE)

