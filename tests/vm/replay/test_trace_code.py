"""Bytes of instructions, flags and flushes of the TLB in a trace: as the machine had them at each point."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from capstone import CS_ARCH_X86, CS_MODE_32, Cs
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.trace import Tracer
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_code import Changes
from labkit.vm.replay.trace_columns import Columns
from labkit.vm.replay.trace_file import PartWriter, write_part
from labkit.vm.replay.trace_parts import GuestRecipe
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window

RECIPE = GuestRecipe("paging32", 8 << 20)
COUNT = 150_000
RESUME = 0x10000


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(full_trace(RECIPE.source(), [Window(0, COUNT)], registers=True, walks=True, code=True))


def code_at(batches: list[Batch], clock: int) -> bytes:
    batch = next(batch for batch in batches if batch.start <= clock < batch.end)
    assert batch.code is not None
    return batch.code[clock - batch.start].astype("<u8").tobytes()[: int(batch.size[clock - batch.start])]


def test_bytes_and_flags_are_those_of_the_machine(batches: list[Batch]):
    source = RECIPE.source()
    end = batches[-1].end
    states = np.concatenate([batch.registers for batch in batches if batch.registers is not None])
    for clock in (*range(0, end, max(1, end // 300)), end - 1):
        source.goto(clock)
        machine = source.machine
        batch = next(batch for batch in batches if batch.start <= clock < batch.end)
        found = code_at(batches, clock)
        assert found == machine.memory.read(int(batch.physical[clock - batch.start]), len(found)), clock
        assert states[clock][8] == machine.registers.eflags & ~RESUME, clock


def test_each_flush_is_told_at_its_instruction(batches: list[Batch]):
    """What a disassembler calls INVLPG or a move to CR3 is a flush, and little else is."""
    decoder, expected = Cs(CS_ARCH_X86, CS_MODE_32), set()
    for batch in batches:
        assert batch.code is not None
        first = batch.code[:, 0]
        for at in np.flatnonzero(np.isin(first & np.uint64(0xFFFF), (0x010F, 0x220F))).tolist():
            code = first[at].astype("<u8").tobytes()[: int(batch.size[at])]
            for instruction in decoder.disasm(code, 0):
                name = f"{instruction.mnemonic} {instruction.op_str}"
                if name.startswith("invlpg"):
                    expected.add((batch.start + at, 3))
                elif name.startswith("mov cr3"):
                    expected.add((batch.start + at, 4))
    walks = [walk for batch in batches if batch.walks is not None for walk in batch.walks.tolist()]
    found = [(point, access) for point, _linear, _led, access in walks if access > 2]
    assert len(found) == len(set(found))
    assert expected
    assert expected <= set(found)
    others = set(found) - expected
    assert all(access == 4 for _point, access in others)  # paging was turned on or off
    assert len(others) < 20


def test_bytes_are_written_where_they_are_new(batches: list[Batch], tmp_path: Path):
    writer = PartWriter(ExpansionParameters(what=frozenset(("bytes", "registers", "walks"))), 3)
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
    assert "eflags" in pq.read_table(tmp_path / "registers").column_names
    assert "flush" in set(pq.read_table(tmp_path / "walks").column("access").to_pylist())


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


def test_invlpg_tells_its_page(bare):
    """INVLPG [12345678h]; NOP; JMP $"""
    tracer = Tracer(bare.machine.processor, walks=True)
    with tracer.tracing():
        bare.run(b"\x90\x0f\x01\x3d\x78\x56\x34\x12\x90\xeb\xfe", 4)
        batch = Columns().batch(tracer.take())
    assert batch.walks is not None
    flushes = [walk for walk in batch.walks.tolist() if walk[3] > 2]
    assert flushes == [[batch.start + 1, 0x12345000, 0, 3]]
