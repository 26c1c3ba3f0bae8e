"""A batch of a trace as the tables of a trace file, in the layout that is documented in trace_file.py."""

from typing import Any

import numpy as np

from labkit.vm.machine.probes import trace_tables as words
from labkit.vm.machine.probes.walk import WALK_FAULT
from labkit.vm.replay.parquet_file import Constant
from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch, Column
from labkit.vm.replay.trace_code import Changes

__all__ = ["Table", "Tables"]

Table = dict[str, Any]
"""Arrays, or a `Constant`, by name of the column."""
FIRST_TABLE = 16
REGISTERS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags")
ACCESSES = ("read", "write", "fetch", "invlpg", "flush")


class Tables:
    """Makes the tables of the batches of one part, in order. Raises nothing for any batch."""

    def __init__(self, what: frozenset[str], part: int = 0) -> None:
        self._what, self._part = what, part
        self._words = np.zeros(words.WORDS, np.uint64)
        self._changes = Changes()
        self._bits = FIRST_TABLE
        self._table = np.zeros(1 << self._bits, np.uint32)
        self._keys = np.empty((1 << self._bits, 2), np.uint64)

    def of(self, batch: Batch) -> dict[str, Table]:
        """Columns by name of table and of column, for what was asked for."""
        what, found = self._what, dict[str, Table]()
        kept = None if batch.kept is None else batch.kept.astype(np.int64)
        if "instructions" in what:
            found["runs"] = self._runs(batch, kept)
        if "branches" in what:
            found["branches"] = _branches(batch)
        if what & {"memory", "values", "linear"}:
            found["memory"] = self._memory(batch, kept)
        if "registers" in what and batch.registers is not None:
            found["registers"] = {"point": batch.point.astype(np.int64)} | {
                name: batch.registers[:, i] for i, name in enumerate(REGISTERS)
            }
        if "bytes" in what and batch.code is not None:
            found["bytes"] = self._code(batch, batch.code)
        if "walks" in what and batch.walks is not None:
            found["walks"] = _walks(batch.walks)
        if "events" in what:
            found["events"] = _events(batch)
        if "spaces" in what:
            found["spaces"] = _spaces(batch)
        return found

    def codes(self) -> Table:
        """What each number of a run stands for."""
        count = int(self._words[words.KNOWN])
        place, rest = self._keys[:count, 0], self._keys[:count, 1]
        mask = np.uint64(0xFFFFFFFF)
        return {
            "part": Constant(self._part, count),
            "code": np.arange(count, dtype=np.uint32),
            "linear": (place & mask).astype(np.uint32),
            "physical": (place >> np.uint64(32)).astype(np.uint32),
            "count": (rest & mask).astype(np.int32),
            "cpl": (rest >> np.uint64(32)).astype(np.uint8),
        }

    def _fill(self, batch: Batch, kept: Column | None) -> None:
        w = self._words
        for word, column in (
            (words.LINEAR, batch.linear), (words.PHYSICAL, batch.physical), (words.SIZE, batch.size),
            (words.CPL, batch.cpl), (words.REFS, batch.refs),
        ):  # fmt: skip
            w[word] = column.ctypes.data
        w[words.KEPT] = 0 if kept is None else kept.ctypes.data
        w[words.COUNT], w[words.START] = len(batch), batch.start
        starts = batch.starts
        w[words.STARTS] = 0 if starts is None else starts.ctypes.data
        w[words.START_COUNT], w[words.NEXT] = 0 if starts is None else len(starts), 0

    def _runs(self, batch: Batch, kept: Column | None) -> Table:
        w, count = self._words, len(batch)
        self._fill(batch, kept)
        at, code = np.empty(count, np.uint32), np.empty(count, np.uint32)
        w[words.AT], w[words.CODE], w[words.ROWS] = at.ctypes.data, code.ctypes.data, 0
        done = 0
        while done < count:
            if int(w[words.KNOWN]) >= int(w[words.MOST]):
                self._widen()
            done = words.runs(w.ctypes.data, done)
        rows = int(w[words.ROWS])
        first = at[:rows].astype(np.int64)
        return {
            "part": Constant(self._part, rows),
            "point": (first if kept is None else kept[first]) + batch.start,
            "code": code[:rows],
        }

    def _widen(self) -> None:
        """Room for twice as many runs."""
        w, known = self._words, int(self._words[words.KNOWN])
        if known:
            self._bits += 1
            keys = np.empty((1 << self._bits, 2), np.uint64)
            keys[:known] = self._keys[:known]
            self._keys, self._table = keys, np.zeros(1 << self._bits, np.uint32)
        w[words.TABLE], w[words.TABLE_SHIFT] = self._table.ctypes.data, 64 - self._bits
        w[words.KEYS], w[words.MOST] = self._keys.ctypes.data, (1 << self._bits) * 3 // 4
        words.widen(w.ctypes.data)

    def _code(self, batch: Batch, code: Column) -> Table:
        at = self._changes.rows(batch.physical, code)
        raw, size = code[at].astype("<u8").tobytes(), batch.size[at].tolist()
        return {
            "part": np.full(len(at), self._part, np.int32),
            "point": batch.point[at].astype(np.int64),
            "linear": batch.linear[at],
            "physical": batch.physical[at],
            "code": np.array([*(raw[16 * i : 16 * i + n] for i, n in enumerate(size)), None], object)[:-1],
        }

    def _memory(self, batch: Batch, kept: Column | None) -> Table:
        w, refs = self._words, len(batch.address)
        self._fill(batch, kept)
        point = np.empty(refs + 2, np.int64)
        w[words.POINT] = point.ctypes.data
        words.references(w.ctypes.data)
        table: Table = {"point": point[:refs], "physical": batch.address, "access": batch.meta}
        if batch.value is not None and "values" in self._what:
            table["value"] = batch.value
        if batch.target is not None:
            table["linear"] = batch.target
        return table


def _branches(batch: Batch) -> Table:
    """Control transfers, one row each."""
    if batch.kept is not None and len(batch) and batch.kind.min() & KIND_BRANCH:
        at: Any = slice(None)
    else:
        at = np.flatnonzero(batch.kind & KIND_BRANCH)
    return {"point": batch.point[at].astype(np.int64), "linear": batch.linear[at], "cpl": batch.cpl[at]}


def _walks(walks: Column) -> Table:
    came_to = walks[:, 2]
    fault = came_to & np.uint64(WALK_FAULT) != 0
    return {
        "point": walks[:, 0].astype(np.int64),
        "linear": walks[:, 1].astype(np.uint32),
        "physical": np.where(fault, np.uint64(0), came_to & np.uint64(0xFFFFF000)).astype(np.uint32),
        "rights": (came_to & np.uint64(0xFFF)).astype(np.uint16),
        "fault": fault,
        "access": np.array(ACCESSES, object)[walks[:, 3].astype(np.int64)],
    }


def _events(batch: Batch) -> Table:
    rows = batch.rows

    def column(index: int, kind: Any) -> Column:
        return np.array([row[index] for row in rows], kind)

    return {
        "point": column(0, np.int64),
        "eip": column(2, np.uint32),
        "kind": np.array([str(row[3]) for row in rows], object),
        "number": column(4, np.int64),
        "value": column(5, np.int64),
        "linear": column(6, np.uint32),
        "note": np.array([row[7] for row in rows], object),
    }


def _spaces(batch: Batch) -> Table:
    return {
        "point": batch.spaces[:, 0].astype(np.int64) + batch.start,
        "cr3": batch.spaces[:, 1].astype(np.uint32),
    }
