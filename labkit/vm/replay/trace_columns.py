"""From what a tracer has captured to columns: decoded once per block, copied per pass (compiled)."""

from collections.abc import Sequence

import numpy as np

from labkit.vm.machine.probes import trace_columns as words
from labkit.vm.machine.trace import NUMBERS, POOL, Capture, KnownBlocks
from labkit.vm.monitor.events import Row
from labkit.vm.replay.trace_batch import Batch

__all__ = ["Columns"]


class Columns:
    """Makes batches of captures, in order."""

    def __init__(self) -> None:
        self._blocks: KnownBlocks | None = None
        self._learned = 0
        self._words = np.zeros(words.WORDS, np.uint64)
        self._space = 0

    @property
    def guessed(self) -> int:
        """Passes whose references could belong to more than one of their instructions."""
        return int(self._words[words.GUESSED])

    @property
    def missing(self) -> int:
        """Instructions that have retired and are in no column: 0."""
        return int(self._words[words.MISSING])

    def _learn(self, capture: Capture) -> None:
        w = self._words
        if capture.blocks is not self._blocks:
            self._blocks, self._learned = capture.blocks, 0
            self._first = np.empty(NUMBERS, np.uint32)
            self._sum = np.empty(NUMBERS, np.uint64)
            self._linear, self._physical = np.empty(POOL, np.uint32), np.empty(POOL, np.uint32)
            self._bytes = np.empty((3, POOL), np.uint8)
            w[words.KNOWN], w[words.POOL] = capture.blocks.known.ctypes.data, capture.blocks.pool.ctypes.data
            w[words.FIRST], w[words.SUM] = self._first.ctypes.data, self._sum.ctypes.data
            w[words.T_LINEAR], w[words.T_PHYSICAL] = self._linear.ctypes.data, self._physical.ctypes.data
            for word, row in zip((words.T_SIZE, words.T_KIND, words.T_REFS), self._bytes, strict=True):
                w[word] = row.ctypes.data
            w[words.LEARNED] = 0
        if capture.numbers > self._learned:
            words.learn(w.ctypes.data, self._learned, capture.numbers)
            self._learned = capture.numbers

    def batch(self, capture: Capture, rows: Sequence[Row] = ()) -> Batch:
        """The columns of one capture. Raises `RuntimeError` where an instruction would be missing."""
        self._learn(capture)
        w, count, refs = self._words, capture.end - capture.start, len(capture.refs)
        linear, physical = np.empty(count, np.uint32), np.empty(count, np.uint32)
        size, kind, cpl = np.empty(count, np.uint8), np.empty(count, np.uint8), np.empty(count, np.uint8)
        owned = np.empty(count, np.uint8) if refs else np.zeros(count, np.uint8)
        address, meta = np.empty(refs, np.uint32), np.empty(refs, np.uint8)
        value = None if capture.values is None else np.empty(refs, np.uint64)
        starts = np.empty(len(capture.passes), np.uint32)
        for word, column in (
            (words.PASSES, capture.passes), (words.O_LINEAR, linear), (words.O_PHYSICAL, physical),
            (words.O_SIZE, size), (words.O_KIND, kind), (words.O_CPL, cpl), (words.O_REFS, owned),
            (words.O_ADDRESS, address), (words.O_META, meta), (words.STARTS, starts),
        ):  # fmt: skip
            w[word] = column.ctypes.data
        w[words.PASS_COUNT], w[words.LAST_RETIRED] = len(capture.passes), capture.last_retired
        w[words.LAST_REFS] = capture.last_refs
        w[words.MEMORY] = capture.refs.ctypes.data if refs else 0
        w[words.VALUES], w[words.O_VALUE] = 0, 0
        if value is not None and capture.values is not None and refs:
            w[words.VALUES], w[words.O_VALUE] = capture.values.ctypes.data, value.ctypes.data
        words.expand(w.ctypes.data)
        if int(w[words.INSTRUCTIONS]) != count or w[words.MISSING]:
            raise RuntimeError(
                f"trace: {count} instructions have retired and {int(w[words.INSTRUCTIONS])} were found; "
                "this is a defect of labkit"
            )
        used = int(w[words.REFERENCES])
        spaces = capture.spaces.copy()
        if len(spaces):
            spaces[:, 0] = starts[np.minimum(spaces[:, 0], len(starts) - 1).astype(np.int64)]
            self._space = int(spaces[-1, 1])
        return Batch(
            capture.start, capture.end, linear, physical, size, kind, cpl, owned, address[:used], meta[:used],
            None if value is None else value[:used], spaces, None, rows,
        )  # fmt: skip
