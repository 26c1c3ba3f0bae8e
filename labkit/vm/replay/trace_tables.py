"""A batch of a trace as the tables of a trace file, in the layout that is documented in trace_file.py."""

from typing import Any

import numpy as np

from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch, Column

__all__ = ["Table", "runs", "tables"]

Table = dict[str, Column]


def tables(batch: Batch, what: frozenset[str]) -> dict[str, Table]:
    """Columns by name of table and of column, for what was asked for."""
    found: dict[str, Table] = {}
    if "instructions" in what:
        found["runs"] = runs(batch)
    if "branches" in what:
        found["branches"] = _branches(batch)
    if what & {"memory", "values"}:
        found["memory"] = _memory(batch)
    if "events" in what:
        found["events"] = _events(batch)
    if "spaces" in what:
        found["spaces"] = _spaces(batch)
    return found


def runs(batch: Batch) -> Table:
    """Instructions that follow each other in memory and in time, as one row."""
    count = len(batch)
    begins = np.ones(count, np.bool_)
    if count:
        begins[1:] = batch.linear[1:] != batch.linear[:-1] + batch.size[:-1]
        begins[1:] |= batch.cpl[1:] != batch.cpl[:-1]
        follows = (batch.linear[1:] & 0xFFF) != 0
        begins[1:] |= follows & (batch.physical[1:] != batch.physical[:-1] + batch.size[:-1])
        begins[1:] |= ~follows  # another page
        if batch.kept is not None:
            begins[1:] |= batch.kept[1:] != batch.kept[:-1] + 1
    at = np.flatnonzero(begins)
    ends = np.append(at[1:], count)
    first = at if batch.kept is None else batch.kept[at]
    return {
        "point": first.astype(np.int64) + batch.start,
        "linear": batch.linear[at],
        "physical": batch.physical[at],
        "count": (ends - at).astype(np.int32),
        "cpl": batch.cpl[at],
    }


def _branches(batch: Batch) -> Table:
    """Control transfers, one row each, with the place that the next instruction was at."""
    at = np.flatnonzero(batch.kind & KIND_BRANCH)
    return {"point": batch.point[at].astype(np.int64), "linear": batch.linear[at], "cpl": batch.cpl[at]}


def _memory(batch: Batch) -> Table:
    owner = batch.owner
    clock = owner if batch.kept is None else batch.kept[owner]
    table: Table = {
        "point": clock.astype(np.int64) + batch.start,
        "physical": batch.address,
        "access": batch.meta,
    }
    if batch.value is not None:
        table["value"] = batch.value.astype(np.uint32)
        table["value_high"] = (batch.value >> np.uint64(32)).astype(np.uint32)
    return table


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
