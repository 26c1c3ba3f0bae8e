"""Trace files: what is written is read, and what anybody may have made is refused or read in part.

`LABKIT_FULL=1` reads 100,000 mutated ones.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labkit.vm.replay import trace_tables
from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_file import PartWriter, read_memory, write_part
from labkit.vm.replay.trace_parts import GuestRecipe, expand_parts
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_tables import Tables

FULL = os.environ.get("LABKIT_FULL") == "1"
RECIPE = GuestRecipe("teaching", 8 << 20)
COUNT = 200_000


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return list(full_trace(RECIPE.source(), [Window(0, COUNT)], linear=True, registers=True, walks=True))


def written(folder: Path, what: set[str], batches: list[Batch], number: int = 0) -> None:
    writer = PartWriter(ExpansionParameters(what=frozenset(what)), number)
    for batch in batches:
        writer.add(batch)
    write_part(folder, number, writer.close())


def test_references_come_back(batches: list[Batch], tmp_path: Path):
    written(tmp_path, {"values", "linear"}, batches)
    found = read_memory(tmp_path)
    for name, column in (("physical", "address"), ("access", "meta"), ("value", "value"), ("linear", "target")):
        assert np.array_equal(found[name], np.concatenate([getattr(b, column) for b in batches])), name


@pytest.mark.parametrize("first", [4, 16])
def test_runs_come_back(batches: list[Batch], monkeypatch: pytest.MonkeyPatch, first: int):
    """However small the table of runs is at first."""
    monkeypatch.setattr(trace_tables, "FIRST_TABLE", first)
    made = Tables(frozenset({"instructions"}), 7)
    runs = [made.of(batch)["runs"] for batch in batches]
    codes = made.codes()
    code = np.concatenate([table["code"] for table in runs])
    assert len(codes["code"]) > 300
    assert (codes["part"].value, len(codes["part"])) == (7, len(codes["code"]))
    count = codes["count"][code].astype(np.int64)
    point = np.concatenate([table["point"] for table in runs])
    assert np.array_equal(point, np.cumsum(count) - count)
    linear = np.concatenate([batch.linear for batch in batches])
    assert np.array_equal(linear[point], codes["linear"][code])
    places = zip(*(codes[name].tolist() for name in ("linear", "physical", "count", "cpl")), strict=True)
    assert len(set(places)) == len(codes["code"])


def test_runs_are_the_same_where_blocks_begin_is_not_known(batches: list[Batch]):
    """Blocks on two pages, and ones that were left at once, among them."""
    known, unknown = (Tables(frozenset({"instructions"})) for _ in range(2))
    on_two_pages = 0
    for batch in batches:
        assert batch.starts is not None
        starts = np.unique(batch.starts)
        on_two_pages += int(np.count_nonzero(batch.linear[starts[:-1]] >> 12 != batch.linear[starts[1:] - 1] >> 12))
        doubled = np.sort(np.concatenate([batch.starts, batch.starts[::7]]))
        one = known.of(replace(batch, starts=doubled))["runs"]
        other = unknown.of(replace(batch, starts=None))["runs"]
        for name in ("point", "code"):
            assert np.array_equal(one[name], other[name]), name
    assert on_two_pages


def test_runs_of_chosen_instructions_begin_anew_where_one_is_left_out(batches: list[Batch]):
    batch = batches[0]
    keep = np.arange(len(batch)) % 5 != 0
    shown = batch.select(keep)
    made = Tables(frozenset({"instructions", "values"}))
    tables = made.of(shown)
    runs, codes = tables["runs"], made.codes()
    covered = np.concatenate([
        np.arange(p, p + n) for p, n in zip(runs["point"], codes["count"][runs["code"]], strict=True)
    ])
    assert np.array_equal(covered, np.flatnonzero(keep))
    assert np.array_equal(tables["memory"]["point"], shown.point[shown.owner].astype(np.int64))


def test_registers_and_walks(batches: list[Batch], tmp_path: Path):
    """Registers before an instruction are those of the machine there; a walk leads where references went."""
    source = RECIPE.source()
    rows = np.concatenate([batch.registers for batch in batches if batch.registers is not None])
    assert len(rows) == COUNT
    for clock in (0, 1, 5_000, 77_777, 150_001):
        source.goto(clock)
        r = source.machine.registers
        assert rows[clock].tolist() == [r.eax, r.ecx, r.edx, r.ebx, r.esp, r.ebp, r.esi, r.edi, int(r.eflags)], clock
    walks = np.concatenate([batch.walks for batch in batches if batch.walks is not None])
    assert len(walks) > 20
    led = {(int(w[1]) >> 12, int(w[2]) >> 12 & 0xFFFFF) for w in walks if not int(w[2]) >> 62}
    pages = {
        (int(t) >> 12, int(a) >> 12)
        for batch in batches if batch.target is not None
        for t, a in zip(batch.target[-20_000:], batch.address[-20_000:], strict=True)
    }  # fmt: skip
    paged = {pair for pair in pages if pair[0] in {page for page, _frame in led}}
    assert len(paged & led) >= 3
    written(tmp_path, {"registers", "walks"}, batches)
    assert pq.read_table(tmp_path / "registers").column("esp").to_pylist()[77_777] == rows[77_777][4]
    assert set(pq.read_table(tmp_path / "walks").column("access").to_pylist()) == {"read", "write", "fetch", "flush"}


def test_linear_addresses_lead_to_the_physical_ones(batches: list[Batch]):
    for batch in batches:
        assert batch.target is not None
        assert np.array_equal(batch.target & 0xFFF, batch.address & 0xFFF)


@pytest.mark.parametrize("last", [0, 1, 2, 3])
def test_a_part_whose_writing_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: int):
    write_part(tmp_path, 0, {"runs": b"a", "codes": b"b"})
    left = iter(range(last))

    def torn(method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return method(*arguments)

        return called

    for name in ("write_bytes", "replace"):
        monkeypatch.setattr(Path, name, torn(getattr(Path, name)))
    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path, 1, {"runs": b"c", "codes": b"d"})
    assert sorted(path.name for path in tmp_path.rglob("0*")) == ["00000.parquet", "00000.parquet"]


def test_what_is_no_trace(tmp_path: Path):
    with pytest.raises((TraceError, OSError)):
        read_memory(tmp_path)
    (tmp_path / "memory").mkdir()
    pq.write_table(pa.table({"point": ["a"], "physical": [1.5]}), tmp_path / "memory/00000.parquet")
    with pytest.raises(TraceError, match="point is not"):
        read_memory(tmp_path)


@pytest.mark.timeout(3600 if FULL else 300)
def test_hostile_traces(tmp_path: Path):
    part = next(iter(expand_parts(RECIPE.source(), [Window(0, 3_000)], ExpansionParameters())))
    write_part(tmp_path, 0, part.files)
    file = tmp_path / "memory/00000.parquet"
    data, dice = file.read_bytes(), random.Random(5)
    whole, outcomes = read_memory(tmp_path), {"refused": 0, "read": 0}
    for _ in range(100_000 if FULL else 150):
        out = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(out))
            way = dice.randrange(4)
            if way == 0:
                out[at] = dice.randrange(256)
            elif way == 1:
                del out[at : at + dice.randint(1, 30)]
            elif way == 2:
                out[at:at] = out[at : at + dice.randint(1, 30)]
            else:
                out[-dice.randint(1, min(len(out), 600))] ^= 1 << dice.randrange(8)
        file.write_bytes(bytes(out))
        try:
            found = read_memory(tmp_path)
        except (TraceError, OSError):
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert set(found) <= set(whole)
    assert all(outcomes.values()), outcomes
    shutil.rmtree(tmp_path / "memory")
