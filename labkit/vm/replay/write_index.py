"""The index of writes: which bytes were stored to between two checkpoints, so a question runs one of them.

    stretch          frame 7                           frame 9
    0 .. 1 M         0000 0000 1111 0000 ...           ...          a bit for each byte, 512 bytes a frame
    1 M .. 2 M       1111 0000 0000 0000 ...

It is made by running history once more with every store looked at (about 20 million instructions a second;
ten megabytes for a Linux boot). Stores that the paging unit makes (accessed and dirty bits) are not in it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.memory import FRAME_SIZE
from labkit.vm.machine.watch import StoreMap
from labkit.vm.replay.history import History

__all__ = ["WriteIndex"]

SPILL = 16
"""Bytes at a frame's start that a store which began on the page before may have reached."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    start: int
    end: int
    frames: npt.NDArray[np.uint32]
    bits: npt.NDArray[np.uint64]
    crossed: bool

    def may_write(self, physical: int, size: int) -> bool:
        """Was one of these bytes, which lie in one frame, stored to, as far as the map can tell?"""
        frame, offset = divmod(physical, FRAME_SIZE)
        if self.crossed and offset < SPILL:
            return True
        at = int(np.searchsorted(self.frames, frame))
        if at == len(self.frames) or self.frames[at] != frame:
            return False
        wanted = ((1 << size) - 1) << offset
        return bool(int.from_bytes(self.bits[at].tobytes(), "little") & wanted)


class WriteIndex:
    """The index of one history; covers it from its start up to `end`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._stretches: list[_Stretch] = []
        self._map: StoreMap | None = None
        self.end = history.start
        self._torn = history.torn

    @property
    def bytes(self) -> int:
        """Memory that the index takes."""
        return sum(stretch.bits.nbytes + stretch.frames.nbytes for stretch in self._stretches)

    def extend(self, end: int, on_progress: Callable[[int], None] | None = None) -> None:
        """Cover history up to `end`; `on_progress` is told the clock that has been reached."""
        self._check()
        if end <= self.end:
            return
        history = self._history
        self._map = self._map or StoreMap(history.machine.processor)
        points = [checkpoint.clock for checkpoint in history.machine.checkpoints.list]
        marks = [*(clock for clock in points if self.end < clock < end), end]
        history.goto(self.end)
        with self._map.recording():
            for mark in marks:
                history.forward(mark)
                self._stretches.append(_Stretch(self.end, mark, *self._map.take()))
                self.end = mark
                if on_progress is not None:
                    on_progress(mark)

    def _check(self) -> None:
        """Forget all if a part of history was taken back."""
        if self._torn != self._history.torn:
            self._torn, self.end = self._history.torn, self._history.start
            self._stretches.clear()

    def candidates(self, physical: int, size: int, before: int) -> Iterator[tuple[int, int]]:
        """Stretches (from, to) up to a clock in which the bytes may have been stored to, newest first."""
        self._check()
        last = bisect_right(self._stretches, before - 1, key=lambda stretch: stretch.start)
        for stretch in reversed(self._stretches[:last]):
            if stretch.may_write(physical, size):
                yield stretch.start, min(stretch.end, before)
