"""The bytes of traced instructions: of each that was run, and, for a trace file, only where they are other ones.

What a processor ran is not what lies in memory afterwards: code changes, and pages are used again. The tracer
keeps the bytes of each block that it has numbered; from there they come.
"""

import numpy as np

from labkit.vm.machine.trace import Capture
from labkit.vm.replay.trace_batch import Column

__all__ = ["Changes", "code_of"]

PLACE, WHERE = 0, 2  # words of a numbered block: its linear address in the lower half; where its bytes lie
HALF = 8
MASKS = np.array([(1 << 8 * count) - 1 for count in range(HALF + 1)], np.uint64)


def code_of(capture: Capture, linear: Column, size: Column, starts: Column) -> Column:
    """u64, two for each instruction of a capture: its bytes, the first one lowest, zeros behind them."""
    count, blocks = len(linear), capture.blocks
    first = np.append(starts, count).astype(np.int64)
    of_pass = first[1:] - first[:-1]
    number = np.repeat(capture.passes[:-1, 0].astype(np.int64), of_pass)
    block = blocks.known[:, PLACE].astype(np.uint32)
    at = blocks.known[number, WHERE].astype(np.int64) + (linear - block[number]).astype(np.int64)
    halves = np.ndarray((len(blocks.pool) - HALF,), np.uint64, blocks.pool, strides=(1,))  # one begins at each byte
    found = np.empty((count, 2), np.uint64)
    for half in (0, 1):
        kept = np.clip(size.astype(np.int64) - half * HALF, 0, HALF)
        found[:, half] = halves[at + half * HALF] & MASKS[kept]
    return found


class Changes:
    """Finds instructions whose bytes are not those that were last run at the same physical address."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, int]] = {}

    def rows(self, physical: Column, code: Column) -> Column:
        """Indices, in order."""
        order = np.argsort(physical, kind="stable")
        place, here = physical[order], code[order]
        new = np.ones(len(order), np.bool_)
        first = new.copy()
        first[1:] = place[1:] != place[:-1]
        new[1:] = first[1:] | (here[1:] != here[:-1]).any(axis=1)
        for at in np.flatnonzero(first).tolist():
            new[at] = self._last.get(int(place[at])) != (int(here[at, 0]), int(here[at, 1]))
        last = np.append(first[1:], True) if len(order) else first
        for at in np.flatnonzero(last).tolist():
            self._last[int(place[at])] = int(here[at, 0]), int(here[at, 1])
        return np.sort(order[new])
