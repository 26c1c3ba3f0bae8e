"""Bytes of instructions in a trace: as the machine had them at each point."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_code import Changes
from labkit.vm.replay.trace_file import PartWriter, write_part
from labkit.vm.replay.trace_parts import GuestRecipe
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window

RECIPE = GuestRecipe("paging32", 8 << 20)
COUNT = 150_000


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(full_trace(RECIPE.source(), [Window(0, COUNT)], code=True))


def code_at(batches: list[Batch], clock: int) -> bytes:
    batch = next(batch for batch in batches if batch.start <= clock < batch.end)
    assert batch.code is not None
    return batch.code[clock - batch.start].astype("<u8").tobytes()[: int(batch.size[clock - batch.start])]


def test_bytes_are_those_of_the_machine(batches: list[Batch]):
    source = RECIPE.source()
    end = batches[-1].end
    for clock in (*range(0, end, max(1, end // 300)), end - 1):
        source.goto(clock)
        machine = source.machine
        batch = next(batch for batch in batches if batch.start <= clock < batch.end)
        found = code_at(batches, clock)
        assert found == machine.memory.read(int(batch.physical[clock - batch.start]), len(found)), clock


def test_bytes_are_written_where_they_are_new(batches: list[Batch], tmp_path: Path):
    writer = PartWriter(ExpansionParameters(what=frozenset(("bytes",))), 3)
    for batch in batches:
        writer.add(batch)
    write_part(tmp_path, 3, writer.close())
    rows = pq.read_table(tmp_path / "bytes").to_pylist()
    now: dict[int, bytes] = {}
    changes = {row["point"]: row for row in rows}
    assert len(changes) == len(rows)
    for batch in batches:
        for clock, physical in enumerate(batch.physical.tolist(), batch.start):
            if clock in changes:
                assert changes[clock]["physical"] == physical
                assert now.get(physical) != changes[clock]["code"]
                now[physical] = changes[clock]["code"]
            elif clock % 97 == 0:
                assert now[physical] == code_at(batches, clock)
    assert {row["part"] for row in rows} == {3}


@given(st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 1)), max_size=12), max_size=4))
def test_a_change_is_a_change_in_order(stretches: list[list[tuple[int, int, int]]]):
    changes, last = Changes(), dict[int, tuple[int, int]]()
    for stretch in stretches:
        expected = []
        for at, (place, low, high) in enumerate(stretch):
            if last.get(place) != (low, high):
                expected.append(at)
            last[place] = low, high
        physical = np.array([row[0] for row in stretch], np.uint32)
        code = np.array([row[1:] for row in stretch], np.uint64).reshape(-1, 2)
        assert changes.rows(physical, code).tolist() == expected
