"""Watching a run without disturbing it: memory, instruction addresses, registers.

A `Watch` is set up, the machine runs, and the watch tells the clock of the first and of the last hit. Nothing the
guest can see changes, so watching any stretch of a deterministic run twice gives the same answer.
"""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import watch as hooks
from labkit.vm.machine.processor import NEVER, Processor

__all__ = ["Hits", "Watch"]

HOOK_CODE = 4  # UC_HOOK_CODE
EVERYWHERE = (1, 0)


@dataclass(frozen=True, slots=True)
class Hits:
    """What a watch has seen: number of hits, clock of the first and of the last, and what the last one wrote."""

    count: int
    first: int
    last: int
    value: int
    width: int
    offset: int


class Watch:
    """The watching side of a processor; one watch at a time."""

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._cells = processor.cells
        processor.map_callbacks(c.WATCH_PAGE, FRAME_SIZE, hooks.alias_read, hooks.alias_write)

    def reset(self, start: int = 0, until: int = NEVER) -> None:
        """Forget hits; note only those of instructions from clock `start` up to before `until`."""
        cells = self._cells
        cells[c.WATCH_FROM], cells[c.WATCH_UNTIL], cells[c.WATCH_COUNT] = start, until, 0
        cells[c.WATCH_WIDTH] = 0

    @property
    def hits(self) -> Hits:
        """Hits since `reset`."""
        numbers = (c.WATCH_COUNT, c.WATCH_FIRST, c.WATCH_LAST, c.WATCH_VALUE, c.WATCH_WIDTH, c.WATCH_OFFSET)
        return Hits(*(int(self._cells[i]) for i in numbers))

    @contextmanager
    def memory(self, physical: int, size: int) -> Iterator[None]:
        """Watch stores to `size` bytes within one frame. Hits carry the clock at which their block began.

        Stores by code that lies on the watched frame itself are not seen.
        """
        cells = self._cells
        cells[c.WATCH_FRAME] = physical // FRAME_SIZE + 1
        cells[c.WATCH_PLACE], cells[c.WATCH_SIZE] = physical % FRAME_SIZE, size
        self._processor.flush_tlb()
        try:
            yield
        finally:
            cells[c.WATCH_FRAME] = 0
            self._processor.flush_tlb()

    @contextmanager
    def code(self, ranges: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Watch instructions at linear addresses, ranges inclusive. Hits carry the clock before the instruction."""
        with self._hooked([(hooks.code_hook, first, last) for first, last in ranges]):
            yield

    @contextmanager
    def register(self, index: int) -> Iterator[None]:
        """Watch a general register (0 EAX .. 7 EDI). Hits carry the clock before the instruction that changed it."""
        self._cells[c.WATCH_REGISTER] = index
        with self._hooked([(hooks.register_hook, *EVERYWHERE)]):
            yield

    @contextmanager
    def _hooked(self, wanted: Sequence[tuple[Any, int, int]]) -> Iterator[None]:
        processor = self._processor
        handles: list[ctypes.c_size_t] = [processor.add_hook(HOOK_CODE, f, a, b) for f, a, b in wanted]
        processor.flush_code()
        try:
            yield
        finally:
            for handle in handles:
                processor.remove_hook(handle)
            processor.flush_code()
