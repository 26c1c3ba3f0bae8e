"""Parquet files of ours, read by pyarrow, polars and DuckDB: the same types and numbers, whatever they are."""

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labkit.vm.machine.probes.trace_pages import BLOCK
from labkit.vm.replay.parquet_file import Constant, ParquetFile, Scratch, can_hold

ZSTD = pa.Codec("zstd", compression_level=1)
KINDS = (np.uint8, np.uint32, np.int32, np.uint64, np.int64)


def made(groups: list[dict[str, np.ndarray | Constant]]) -> bytes:
    file = ParquetFile(lambda data: ZSTD.compress(data, asbytes=True), Scratch())
    for group in groups:
        file.add(group)
    assert file.rows == sum(len(next(iter(group.values()))) for group in groups)
    return file.close()


def readings(path: Path) -> list[dict[str, np.ndarray]]:
    """By pyarrow, polars and DuckDB."""
    arrow, polars = pq.read_table(path), pl.read_parquet(path)
    return [
        {name: arrow.column(name).to_numpy() for name in arrow.column_names},
        {name: polars[name].to_numpy() for name in polars.columns},
        duckdb.connect().sql(f"SELECT * FROM read_parquet('{path}')").fetchnumpy(),
    ]


def check(path: Path, groups: list[dict[str, np.ndarray | Constant]]) -> None:
    path.write_bytes(made(groups))
    for found in readings(path):
        assert list(found) == list(groups[0])
        for name in groups[0]:
            columns = [group[name] for group in groups]
            wanted = np.concatenate([
                np.full(len(c), c.value, np.int32) if isinstance(c, Constant) else c for c in columns
            ])
            assert found[name].dtype == wanted.dtype, name
            assert np.array_equal(found[name], wanted), name


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 255, 256, 257, BLOCK, BLOCK + 1, BLOCK + 2, 3 * BLOCK + 77])
def test_columns_of_each_kind_and_length(tmp_path: Path, count: int):
    dice = np.random.default_rng(count)
    groups = []
    for length in (count, 5):
        group: dict[str, np.ndarray | Constant] = {"part": Constant(count, length)}
        for kind in KINDS:
            limits = np.iinfo(kind)
            group[kind.__name__] = dice.integers(limits.min, limits.max, length, kind, endpoint=True)
        group["point"] = np.cumsum(dice.integers(0, 40, length, np.int64))
        groups.append(group)
    check(tmp_path / "x.parquet", groups)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_numbers(tmp_path: Path, data: st.DataObject):
    count = data.draw(st.integers(1, 40))
    group: dict[str, np.ndarray | Constant] = {
        kind.__name__: data.draw(arrays(kind, count)) for kind in data.draw(st.permutations(KINDS))
    }
    check(tmp_path / "x.parquet", [group])


@pytest.mark.parametrize("step", [0, 1, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, -1, -(1 << 40)])
def test_differences_of_each_width(tmp_path: Path, step: int):
    """Alone in their miniblock, and among small ones."""
    steps = np.ones(3 * BLOCK, np.int64)
    steps[[700, BLOCK + 3, 2 * BLOCK - 1]] = step
    check(tmp_path / "x.parquet", [{"point": np.cumsum(steps)}, {"point": np.full(BLOCK, 1 << 62, np.int64)}])


def test_many_columns(tmp_path: Path):
    check(tmp_path / "x.parquet", [{f"c{i}": np.arange(i, i + 3, dtype=np.uint32) for i in range(40)}] * 17)


def test_parts_of_arrays_that_do_not_lie_together(tmp_path: Path):
    rows = np.arange(80, dtype=np.uint32).reshape(10, 8)
    check(tmp_path / "x.parquet", [{"third": rows[:, 2], "last": rows[:, 7].astype(np.uint8)}])


def test_what_it_cannot_hold():
    numbers = {"a": np.zeros(3, np.uint64), "b": Constant(1, 3)}
    assert can_hold(numbers)
    for column in (np.zeros(3, np.bool_), np.zeros(3, np.uint16), np.array(["a"] * 3, object), [1, 2, 3]):
        assert not can_hold(numbers | {"c": column})
