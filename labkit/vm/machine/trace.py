"""Tracing a processor without disturbing it: passes of blocks and memory accesses, a buffer at a time.

The guest sees nothing of it: the clock, registers and memory are the same at every point with and without.
`Tracer` fills a `Capture`, and gives it away when it is full (probes/trace.py says what is in it).
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.exit import Exit, ExitKind
from labkit.vm.machine.memory import host_memory
from labkit.vm.machine.probes import answers, tlb, trace, trace_helpers, trace_site
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import trace_words as w
from labkit.vm.machine.probes.emulator import Hook, skip_flag_offset
from labkit.vm.machine.probes.trace_walk import FETCH
from labkit.vm.machine.probes.walk import WALK_FAULT
from labkit.vm.machine.processor import Processor

__all__ = ["Capture", "KnownBlocks", "Pool", "Tracer", "can_be_emptied"]

PASSES, REFS, SPACES, WALKS = 1 << 21, 1 << 23, 1 << 14, 1 << 17
SLACK_PASSES, SLACK_REFS, SLACK_WALKS = 64, 1 << 16, 1 << 12
"""What may still come after a buffer has been found full: one block and the next one's start."""
STATES, SLACK_STATES = 1 << 22, 1 << 12
TABLE_BITS = 19
NUMBERS, POOL = 1 << 18, 8 << 20
LONGEST_BLOCK = 1 << 13
NEVER = 1 << 62
PAGE_FAULT = 14
Column = npt.NDArray[Any]


class Pool:
    """Arrays that are used again once nobody holds a part of them: fresh memory costs more than filling it."""

    def __init__(self) -> None:
        self._arrays: dict[str, list[Column]] = {}

    def array(self, length: int, kind: Any) -> Column:
        """An array with any contents."""
        arrays = self._arrays.setdefault(np.dtype(kind).str, [])
        for array in arrays:
            if length <= len(array) <= WASTE * length and sys.getrefcount(array) == UNUSED:
                return array[:length]
        more = length + length // 4
        size = more * np.dtype(kind).itemsize
        arrays.append(np.empty(more, kind) if size < LARGE else np.frombuffer(host_memory(size), kind))
        return arrays[-1][:length]  # whose base is the array, not a view of it: else it would not count


UNUSED = 3
"""References to an array that only a pool holds: its list, the loop's name and the call's argument."""
LARGE = 4 << 20
"""Bytes from which on an array lies in large pages."""
WASTE = 4
"""How much longer than wanted an array may be."""


class KnownBlocks:
    """The numbers of blocks, and the bytes that each stands for."""

    def __init__(self) -> None:
        self.table = np.zeros(1 << TABLE_BITS, np.uint32)
        self.known = np.zeros((NUMBERS, 4), np.uint64)
        self.pool = np.zeros(POOL + LONGEST_BLOCK, np.uint8)


@dataclass(slots=True)
class Capture:
    """A stretch of the run: `start`..`end` are clocks. Columns that were not wanted are None."""

    blocks: KnownBlocks
    numbers: int
    """How many blocks have been numbered by its end."""
    passes: Column
    """Rows of four u32, and one row more, which says where the last pass ends."""
    address: Column
    """u32, by reference: physical address; FFFFFxxx where there is no memory."""
    meta: Column
    """u8, by reference: bytes, and 80h for a store."""
    value: Column | None
    linear: Column | None
    spaces: Column
    """Rows of (index of the pass, CR3) where the address space has changed; the first is at index 0."""
    registers: Column | None
    """Rows of nine u32, before each instruction that was begun."""
    walks: Column | None
    """Rows of four u64, see probes/trace_walk.py."""
    start: int
    end: int


class Tracer:
    """The tracing side of a processor: `memory` accesses, with `values` and `linear` addresses, and more.

    `registers` before each instruction, and `walks` of page tables, when wanted. `exact` notes the places of
    references instead of their values; `hooks` leaves all accesses to Unicorn: both are slow, and for checks.

    Raises `ValueError` for a processor whose addresses Unicorn translates itself.
    """

    def __init__(
        self, processor: Processor, *, memory: bool = True, values: bool = False, linear: bool = False,
        registers: bool = False, walks: bool = False, exact: bool = False, hooks: bool = False,
    ) -> None:  # fmt: skip
        if processor.mmu != "labkit":
            raise ValueError("only a processor with labkit's own paging unit can be traced: mmu='labkit'")
        self._processor = processor
        self._memory, self._values, self._linear = memory, values or exact, linear and memory
        self._registers, self._walks = registers, walks
        self._exact, self._only_hooks = exact, hooks or exact
        self._state = np.zeros(w.WORDS, np.uint64)
        self._t: Any = (ctypes.c_uint64 * w.WORDS).from_address(self._state.ctypes.data)
        self._pool = Pool()
        self._blocks = KnownBlocks()
        self._start = 0

    @contextmanager
    def tracing(self) -> Iterator["Tracer"]:
        """Trace what the processor runs. Empty the buffer (`take`) whenever `full` says so, and at the end."""
        processor, t = self._processor, self._t
        if processor.cells[c.TC_MEMORY]:
            raise RuntimeError("what a binary translator runs cannot be traced: use a machine with the hw engine")
        core = processor.core
        t[w.CELLS] = processor.array.ctypes.data
        tlb.notice(processor.cells)  # what was flushed before is no event of this trace
        processor.cells[c.TRACE] = self._state.ctypes.data
        env = core.emulator.layout.registers
        attached = self._memory and not self._only_hooks and trace_helpers.attach(env, self._state.ctypes.data)
        own_skip = self._memory and not self._exact and not attached
        t[w.SKIP] = core.emulator.address + skip_flag_offset() if own_skip else 0
        offset = trace_helpers.recursion_offset()
        t[w.RECURSION] = core.emulator.address + offset if offset else 0
        self._number_anew()
        self._renew()
        handles = self._hook()
        enter = processor.cells[c.ENTER]
        before = core.count_with(trace.traced_block_hook if self._only_hooks or own_skip else self._block_hook())
        try:
            yield self
        finally:
            for handle in handles:
                processor.remove_hook(handle)
            processor.cells[c.ENTER] = enter
            core.count_with(before)
            if attached:
                trace_helpers.detach(env)
            processor.cells[c.TRACE] = 0

    def _block_hook(self) -> Any:
        """Blocks that note themselves, where the host allows it."""
        sites, here = self._processor.core.call_sites, self._state.ctypes.data
        if sites is None:
            return trace.traced_block_hook
        t, cells = self._t, self._processor.cells
        code = partial(trace_site.machine_code, memory=self._memory, registers=self._registers)
        t[w.ON_BRANCH], t[w.ON_OTHER] = sites.add_tracing(
            cells, trace.traced_block_hook_replacing, trace.traced_block_hook_again, here, code
        )
        return sites.tracing

    def _hook(self) -> list[Any]:
        processor = self._processor
        emulator, cells = processor.core.emulator, processor.array.ctypes.data
        handles = []
        if self._registers:
            handles.append(emulator.hook(Hook.CODE, trace.register_hook, cells))
        if self._memory:
            function = trace.place_hook if self._exact else trace.memory_hook
            kinds = trace_helpers.MEMORY_HOOKS["before" if self._exact else "after"]
            handles += [emulator.hook(kind, function, cells) for kind in kinds]
        return handles

    @property
    def full(self) -> bool:
        """Is it time to empty the buffer?"""
        t = self._t
        return bool(
            t[w.PLACE] > t[w.PLACE_HIGH] or t[w.REFS] >= t[w.REFS_HIGH] or t[w.STATES] >= t[w.STATES_HIGH]
            or t[w.SPACE_COUNT] >= t[w.SPACES_HIGH] or t[w.WALK_COUNT] >= t[w.WALKS_HIGH] or self._numbers_full
        )  # fmt: skip

    @property
    def _numbers_full(self) -> bool:
        t = self._t
        return bool(t[w.NUMBERS] + 2 >= t[w.MOST_NUMBERS] or t[w.POOL_COUNT] >= t[w.POOL_HIGH])

    def take(self) -> Capture:
        """What has been noted since the last time. Between two blocks only: no emulation may be under way."""
        t, clock = self._t, self._processor.clock
        tlb.notice(self._processor.cells)
        count, refs, states = (t[w.PLACE] - t[w.PASSES]) >> 4, int(t[w.REFS]), int(t[w.STATES])
        self._passes[count] = 0, refs, clock & 0xFFFFFFFF, states
        taken = Capture(
            self._blocks, int(t[w.NUMBERS]), self._passes[: count + 1], self._address[:refs], self._meta[:refs],
            self._value[:refs] if self._values and self._memory else None,
            self._linears[:refs] if self._linear else None, self._spaces[: int(t[w.SPACE_COUNT])],
            self._states[:states] if self._registers else None,
            self._walked[: int(t[w.WALK_COUNT])] if self._walks else None, self._start, clock,
        )  # fmt: skip
        if self._numbers_full:
            self._blocks = KnownBlocks()
            self._number_anew()
        self._renew()
        return taken

    def note_exit(self, found: Exit) -> None:
        """An exit has come: a page fault of a fetch is a walk that the hooks leave out."""
        t, cells = self._t, self._processor.cells
        if not self._walks or found.vector != PAGE_FAULT or found.software or cells[c.FAULT_ACCESS] != answers.FETCH:
            return
        passes, number = (t[w.PLACE] - t[w.PASSES]) >> 4, int(t[w.WALK_COUNT])
        error = (found.error or 0) | WALK_FAULT
        self._walked[number] = passes | FETCH << 32, found.address & ~0xFFF, error, t[w.REFS]
        t[w.WALK_COUNT] = number + 1

    def discard(self) -> None:
        """Begin here: forget what has been noted."""
        self._renew()

    def _number_anew(self) -> None:
        t, blocks = self._t, self._blocks
        t[w.TABLE], t[w.TABLE_SHIFT] = blocks.table.ctypes.data, 64 - TABLE_BITS
        t[w.KNOWN], t[w.POOL] = blocks.known.ctypes.data, blocks.pool.ctypes.data
        t[w.NUMBERS] = t[w.POOL_COUNT] = 0
        t[w.MOST_NUMBERS], t[w.POOL_HIGH] = NUMBERS, POOL
        t[w.LAST_PLACE] = (1 << 64) - 1

    def _renew(self) -> None:
        """Other buffers: the old ones are somebody else's now."""
        t, array = self._t, self._pool.array
        refs, words = REFS + SLACK_REFS if self._memory else 1, w.STATE_WORDS
        self._passes = array(4 * (PASSES + SLACK_PASSES), np.uint32).reshape(-1, 4)
        self._address, self._meta = array(refs, np.uint32), array(refs, np.uint8)
        self._value = array(refs if self._values else 1, np.uint64)
        self._linears = array(refs if self._linear else 1, np.uint32)
        self._spaces = array(2 * (SPACES + SLACK_PASSES), np.uint64).reshape(-1, 2)
        self._states = array(words * (STATES + SLACK_STATES if self._registers else 1), np.uint32).reshape(-1, words)
        self._walked = array(4 * (WALKS + SLACK_WALKS) if self._walks else 4, np.uint64).reshape(-1, 4)
        t[w.PASSES] = t[w.PLACE] = self._passes.ctypes.data
        t[w.PLACE_HIGH] = t[w.PASSES] + 16 * PASSES
        t[w.ADDRESS], t[w.META] = self._address.ctypes.data, self._meta.ctypes.data
        t[w.VALUE] = self._value.ctypes.data if self._values else 0
        t[w.LINEAR] = self._linears.ctypes.data if self._linear else 0
        t[w.REFS], t[w.REFS_HIGH] = 0, REFS if self._memory else NEVER
        t[w.REGISTERS], t[w.STATES] = self._states.ctypes.data, 0
        t[w.STATES_HIGH] = STATES if self._registers else NEVER
        t[w.WALKS] = self._walked.ctypes.data if self._walks else 0
        t[w.WALK_COUNT], t[w.WALKS_HIGH] = 0, WALKS if self._walks else NEVER
        t[w.SPACES], t[w.SPACE_COUNT] = self._spaces.ctypes.data, 0
        t[w.SPACES_HIGH], t[w.LAST_SPACE] = SPACES, (1 << 64) - 1
        self._start = self._processor.clock


def can_be_emptied(found: Exit) -> bool:
    """After this exit no instruction is half done that the monitor would finish."""
    return found.kind in (ExitKind.PAUSE, ExitKind.DEADLINE)

