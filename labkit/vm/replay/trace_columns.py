"""From what a tracer has captured to columns: decoded once per block, copied per pass (compiled)."""

from collections.abc import Sequence

import numpy as np

from labkit.vm.machine.probes import trace_columns as words
from labkit.vm.machine.trace import NUMBERS, POOL, Capture, KnownBlocks, Pool
from labkit.vm.monitor.events import Row
from labkit.vm.replay.trace_batch import Batch, Column
from labkit.vm.replay.trace_code import code_of

__all__ = ["Columns"]



class Columns:
    """Makes batches of captures, in order: of all instructions, or of `branches` alone, without references."""

    def __init__(self, *, branches: bool = False, code: bool = False) -> None:
        self._branches, self._code = branches, code
        self._blocks: KnownBlocks | None = None
        self._learned = 0
        self._words = np.zeros(words.WORDS, np.uint64)
        self._pool = Pool()

    def _learn(self, capture: Capture) -> None:
        w = self._words
        if capture.blocks is not self._blocks:
            self._blocks, self._learned = capture.blocks, 0
            self._first = np.empty(NUMBERS, np.uint32)
            self._sum = np.empty(NUMBERS, np.uint64)
            groups = POOL // words.GROUP + NUMBERS
            self._groups = np.empty(groups * words.GROUP_SIZE, np.uint8)
            w[words.KNOWN], w[words.POOL] = capture.blocks.known.ctypes.data, capture.blocks.pool.ctypes.data
            w[words.FIRST], w[words.SUM] = self._first.ctypes.data, self._sum.ctypes.data
            w[words.GROUPS], w[words.LEARNED] = self._groups.ctypes.data, 0
        if capture.numbers > self._learned:
            words.learn(w.ctypes.data, self._learned, capture.numbers)
            self._learned = capture.numbers

    def _array(self, count: int, kind: type) -> Column:
        return self._pool.array(count + words.SLACK, kind)

    def batch(self, capture: Capture, rows: Sequence[Row] = ()) -> Batch:
        """The columns of one capture. Raises `RuntimeError` where an instruction would be missing."""
        self._learn(capture)
        w, passes = self._words, len(capture.passes) - 1
        most = passes if self._branches else capture.end - capture.start
        linear, physical = self._array(most, np.uint32), self._array(most, np.uint32)
        size, kind, cpl, owned = (self._array(most, np.uint8) for _ in range(4))
        kept = self._array(most, np.uint32) if self._branches else None
        starts, drops = self._array(passes, np.uint32), self._array(2 * passes, np.uint32)
        for word, column in (
            (words.PASSES, capture.passes), (words.O_LINEAR, linear), (words.O_PHYSICAL, physical),
            (words.O_SIZE, size), (words.O_KIND, kind), (words.O_CPL, cpl), (words.O_REFS, owned),
            (words.META, capture.meta), (words.STARTS, starts), (words.DROPS, drops),
        ):  # fmt: skip
            w[word] = column.ctypes.data
        w[words.ADDRESS] = capture.address.ctypes.data if len(capture.address) else 0
        w[words.PASS_COUNT], w[words.DROP_COUNT], w[words.MOST_DROPS] = passes, 0, passes
        if kept is None:
            words.expand(w.ctypes.data)
            count = int(w[words.INSTRUCTIONS])
        else:
            w[words.KEPT] = kept.ctypes.data
            words.branches(w.ctypes.data)
            count = int(w[words.ROWS])
            kept = kept[:count]
        self._check(capture.end - capture.start)
        if kept is not None or not len(capture.address):
            owned[:count] = 0
        lost = drops[: 2 * int(w[words.DROP_COUNT])].reshape(-1, 2).astype(np.int64)
        spaces = capture.spaces.copy()
        if len(spaces) and passes:
            spaces[:, 0] = starts[np.minimum(spaces[:, 0], passes - 1).astype(np.int64)]
        made = Batch(
            capture.start, capture.end, linear[:count], physical[:count], size[:count], kind[:count], cpl[:count],
            owned[:count], _without(capture.address, lost), _without(capture.meta, lost),
            None if capture.value is None else _without(capture.value, lost), spaces, kept, rows,
            None if capture.linear is None else _without(capture.linear, lost),
            None if capture.registers is None else _registers(capture, starts[:passes], count),
            starts[:passes] if kept is None else None,
            code=code_of(capture, linear[:count], size[:count], starts[:passes]) if self._code else None,
        )  # fmt: skip
        return made if capture.walks is None else made.with_walks(_walks(capture, made, starts[:passes], lost))

    def _check(self, count: int) -> None:
        w = self._words
        if int(w[words.INSTRUCTIONS]) != count or w[words.MISSING]:
            raise RuntimeError(
                f"trace: {count} instructions have retired and {int(w[words.INSTRUCTIONS])} were found; "
                "this is a defect of labkit"
            )


def _without(column: Column, lost: Column) -> Column:
    """A column of references without those that belong to no instruction: the others are moved up, in place."""
    if not len(lost):
        return column
    ends = [*lost[1:, 0].tolist(), len(column)]
    to = int(lost[0, 0])
    for (at, count), end in zip(lost.tolist(), ends, strict=True):
        start, more = at + count, end - at - count
        column[to : to + more] = column[start:end]
        to += more
    return column[:to]


def _registers(capture: Capture, starts: Column, count: int) -> Column:
    """The state before each instruction: the first ones of its pass; those of an attempt that failed come after."""
    if capture.registers is None:
        raise ValueError("no registers were captured")
    of_pass = capture.passes[:-1, 3].astype(np.int64) - starts
    ends = np.append(starts[1:], count).astype(np.int64)
    retired = ends - starts
    found: Column = capture.registers[np.repeat(of_pass, retired) + np.arange(count)]
    return found


def _walks(capture: Capture, batch: Batch, starts: Column, lost: Column) -> Column:
    """Rows of (point, linear page, what came of it, access): of the instruction whose access or flush it was."""
    walks = capture.walks
    if walks is None or not len(walks):
        return np.zeros((0, 4), np.uint64)
    after = (walks[:, 0] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    access, ref = walks[:, 0] >> np.uint64(32), walks[:, 3].astype(np.int64)
    first = np.append(starts, batch.end - batch.start).astype(np.int64)
    at = first[np.minimum(after, len(first) - 1)]
    if len(batch.refs):
        sums = np.concatenate([[0], np.cumsum(lost[:, 1])]) if len(lost) else np.zeros(1, np.int64)
        before = np.searchsorted(lost[:, 0], ref, side="right") if len(lost) else np.zeros(len(ref), np.int64)
        is_lost = (before > 0) & (ref < (lost[before - 1].sum(axis=1) if len(lost) else 0))
        ends = np.cumsum(batch.refs, dtype=np.int64)
        owner = np.searchsorted(ends, ref - sums[before], side="right")
        of_pass = capture.passes[np.minimum(after, len(capture.passes) - 1), 1].astype(np.int64)
        inside = (access < 2) & ~is_lost & (ref < of_pass) & (owner < at)
        at = np.where(inside, owner, at)
    at = np.where(access > 2, at - 1, at)  # a flush was told at the access after it
    found = np.empty((len(walks), 4), np.uint64)
    found[:, 0] = at.astype(np.uint64) + np.uint64(batch.start)
    found[:, 1], found[:, 2], found[:, 3] = walks[:, 1], walks[:, 2], access
    twice = np.zeros(len(found), np.bool_)  # MOV to CR3 flushes, and changes CR3
    twice[1:] = (access[1:] == 4) & (found[1:] == found[:-1]).all(axis=1)
    return found[~twice]
