"""Watching a run without disturbing it: memory, instruction addresses, registers.

A `Watch` is set up, the machine runs, and the watch tells the clock of the first and of the last hit. Nothing
the guest can see changes, so watching any stretch of a deterministic run twice gives the same answer.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import stores
from labkit.vm.machine.probes import watch as hooks
from labkit.vm.machine.processor import NEVER, Processor

__all__ = ["Hits", "StoreMap", "Watch"]

HOOK_CODE, HOOK_STORE = 4, 2048  # UC_HOOK_CODE, UC_HOOK_MEM_WRITE
EVERYWHERE = (1, 0)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a watch has seen: number of hits, clock of the first and of the last.

    A store is known to its block: it was made by one of `span` instructions from its clock on, where `span` 0
    is the monitor, delivering an event at that very clock. `low`..`high` (exclusive) are the bytes of the
    frame that the last one wrote, `eip` the start of its block or where the event had interrupted the guest.
    """

    count: int
    first: int
    first_span: int
    last: int
    last_span: int
    low: int
    high: int
    eip: int
    branches: int


HIT_CELLS = (
    c.WATCH_COUNT, c.WATCH_FIRST, c.WATCH_FIRST_SPAN, c.WATCH_LAST, c.WATCH_LAST_SPAN, c.WATCH_LOW,
    c.WATCH_HIGH, c.WATCH_EIP, c.WATCH_BRANCHES,
)  # fmt: skip


class Watch:
    """The watching side of a processor; one watch at a time."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._cells = processor.cells
        self._register: int | None = None
        processor.map_callbacks(c.WATCH_PAGE, FRAME_SIZE, hooks.alias_read, hooks.alias_write)

    def reset(self, start: int = 0, until: int = NEVER) -> None:
        """Forget hits. Of instructions, note only those from clock `start` up to before `until`."""
        cells = self._cells
        cells[c.WATCH_FROM], cells[c.WATCH_UNTIL], cells[c.WATCH_COUNT] = start, until, 0
        cells[c.WATCH_MISSED] = 0
        if self._register is not None:
            cells[c.WATCH_VALUE] = self._processor.registers.general[self._register] & 0xFFFFFFFF

    @property
    def hits(self) -> Hits:
        """Hits since `reset`."""
        self._look(by_event=False)
        return Hits(*(int(self._cells[i]) for i in HIT_CELLS))

    @property
    def missed(self) -> bool:
        """Stores to the watched frame may have been missed, it holds code as well: watch it with `slow`."""
        return bool(self._cells[c.WATCH_MISSED])

    @contextmanager
    def memory(self, physical: int, size: int, *, slow: bool = False) -> Iterator[None]:
        """Watch stores to `size` bytes within one frame: by instructions and by delivery of events.

        The paging unit's accessed and dirty bits are not stores. `slow` checks each store of the run: the
        only way for a frame that holds code too (see `missed`); of a store that begins on the page before it
        sees nothing.
        """
        cells = self._cells
        cells[c.WATCH_PLACE], cells[c.WATCH_SIZE] = physical % FRAME_SIZE, size
        frame = physical // FRAME_SIZE
        place = (frame * FRAME_SIZE, frame * FRAME_SIZE + FRAME_SIZE - 1)
        wanted = [(HOOK_STORE, stores.store_hook, *place)] if slow else []
        with self._hooked(wanted):
            cells[c.WATCH_FRAME], cells[c.WATCH_ALIAS] = frame + 1, 0 if slow else frame + 1
            self._processor.flush_tlb()
            try:
                yield
            finally:
                cells[c.WATCH_FRAME] = cells[c.WATCH_ALIAS] = 0
                self._processor.flush_tlb()

    @contextmanager
    def code(self, ranges: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Watch instructions at linear addresses, ranges inclusive. Hits carry the clock before it."""
        with self._hooked([(HOOK_CODE, hooks.code_hook, first, last) for first, last in ranges]):
            yield

    @contextmanager
    def register(self, index: int) -> Iterator[None]:
        """Watch a general register (0 EAX .. 7 EDI). Hits carry the clock before the instruction.

        A change by the delivery of an event counts as well if who runs the monitor tells `delivering`.
        """
        self._cells[c.WATCH_REGISTER] = index
        with self._hooked([(HOOK_CODE, hooks.register_hook, *EVERYWHERE)]):
            self._register = index
            self.reset()
            try:
                yield
            finally:
                self._register = None

    def delivering(self, done: bool) -> None:
        """The monitor is about to deliver an event, or has done so: whose change of the register is it?"""
        self._look(by_event=done)

    def _look(self, *, by_event: bool) -> None:
        """Has the watched register changed since it was last looked at?"""
        if self._register is None:
            return
        cells, clock = self._cells, self._processor.clock
        value = self._processor.registers.general[self._register] & 0xFFFFFFFF
        if value == cells[c.WATCH_VALUE]:
            return
        cells[c.WATCH_VALUE] = value
        at = clock if by_event else clock - 1
        if not cells[c.WATCH_FROM] <= at < cells[c.WATCH_UNTIL]:
            return
        if not cells[c.WATCH_COUNT]:
            cells[c.WATCH_FIRST], cells[c.WATCH_FIRST_SPAN] = at, int(not by_event)
        cells[c.WATCH_LAST], cells[c.WATCH_LAST_SPAN] = at, int(not by_event)
        cells[c.WATCH_COUNT] += 1

    @contextmanager
    def _hooked(self, wanted: Sequence[tuple[int, Any, int, int]]) -> Iterator[None]:
        if not wanted:
            yield
            return
        processor = self._processor
        handles: list[ctypes.c_size_t] = [processor.add_hook(kind, f, a, b) for kind, f, a, b in wanted]
        processor.flush_code()
        try:
            yield
        finally:
            for handle in handles:
                processor.remove_hook(handle)
            processor.flush_code()


class StoreMap:
    """Which bytes of RAM are stored to: a bit each, 512 bytes per frame. Running is five times slower."""

    def __init__(self, processor: Processor) -> None:
        frames = processor.memory.frames
        self._processor = processor
        self._bits = np.zeros((frames, FRAME_SIZE // 64), np.uint64)
        self._seen = np.zeros(frames, np.uint8)
        self._frames = np.zeros(frames, np.uint32)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep the map while the processor runs."""
        processor, cells = self._processor, self._processor.cells
        handle = processor.add_hook(HOOK_STORE, stores.store_hook, *EVERYWHERE)
        processor.flush_code()
        cells[c.STORE_SEEN], cells[c.STORE_FRAMES] = self._seen.ctypes.data, self._frames.ctypes.data
        cells[c.STORE_COUNT] = cells[c.STORE_CROSSED] = 0
        cells[c.STORE_MAP] = self._bits.ctypes.data
        try:
            yield
        finally:
            self.take()
            cells[c.STORE_MAP] = 0
            processor.remove_hook(handle)
            processor.flush_code()

    def take(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64], bool]:
        """Frames stored to since last time, in order, the bits of each, whether a store crossed a page.

        The part of such a store that lies on the second page (its first 15 bytes at most) is not in the map.
        """
        cells = self._processor.cells
        frames = np.sort(self._frames[: cells[c.STORE_COUNT]])
        bits, crossed = self._bits[frames], bool(cells[c.STORE_CROSSED])
        self._bits[frames], self._seen[frames] = 0, 0
        cells[c.STORE_COUNT] = cells[c.STORE_CROSSED] = 0
        return frames, bits, crossed
