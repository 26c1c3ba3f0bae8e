"""`labkit trace`: files that pandas reads, that say the same however many workers made them."""

import json
import socket
from contextlib import suppress
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from labkit.cli import main
from labkit.vm.replay import trace_parts
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.replayer import Replayer
from labkit.vm.replay.trace_file import read_memory
from labkit.vm.replay.trace_parts import GuestRecipe, cut, expand_parts, in_parallel
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Replayed
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_states import run_through
from labkit.vm.replay.trace_text import CHAMPSIM

COUNT = 600_000


def labkit(*words: str) -> int:
    return main([*words])


def test_a_trace_is_read_by_pandas(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "boot.parquet"
    assert labkit("trace", "teaching", "--memory", "8M", "--for", str(COUNT), "-o", str(out), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["instructions"] == COUNT
    codes = pd.read_parquet(out / "codes")
    runs = pd.read_parquet(out / "runs").merge(codes, on=["part", "code"], how="left")
    assert runs["count"].sum() == COUNT
    assert runs["point"].iloc[0] == 0
    assert (runs["point"].iloc[1:].to_numpy() == (runs["point"] + runs["count"]).iloc[:-1].to_numpy()).all()
    batches = list(full_trace(GuestRecipe("teaching", 8 << 20).source(), [Window(0, COUNT)]))
    address = np.concatenate([batch.address for batch in batches])
    memory = read_memory(out)
    assert np.array_equal(memory["physical"], address)
    point = np.concatenate([batch.point[batch.owner] for batch in batches])
    assert np.array_equal(memory["point"], point.astype(np.int64))
    value = np.concatenate([batch.value for batch in batches])
    assert np.array_equal(memory["value"], value)
    _others_read_the_same(out, value, runs)
    assert set(pd.read_parquet(out / "events")["kind"]) >= {"port out", "interrupt"}
    assert json.loads((out / "trace.json").read_text())["rows"]["runs"] == len(runs)


def _others_read_the_same(out: Path, value: np.ndarray, runs: pd.DataFrame) -> None:
    """Polars and DuckDB."""
    memory = pl.read_parquet(out / "memory/*.parquet")
    assert np.array_equal(memory["value"].to_numpy(), value)
    database = duckdb.connect()
    found = database.sql(f"SELECT * FROM read_parquet('{out}/memory/*.parquet')").fetchnumpy()
    mine = read_memory(out)
    assert set(found) == set(memory.columns) == set(mine)
    for column, values in mine.items():
        assert memory[column].to_numpy().dtype == found[column].dtype == values.dtype, column
        assert np.array_equal(memory[column].to_numpy(), values), column
        assert np.array_equal(found[column], values), column
    joined = database.sql(
        f"SELECT linear, count FROM read_parquet('{out}/runs/*.parquet') "
        f"JOIN read_parquet('{out}/codes/*.parquet') USING (part, code) ORDER BY point"
    ).fetchnumpy()
    for column in ("linear", "count"):
        assert np.array_equal(joined[column], runs[column].to_numpy())


@pytest.mark.slow
def test_workers_write_the_same_bytes():
    recipe, parameters = GuestRecipe("teaching", 8 << 20), ExpansionParameters(windows=((100_000, 9_000_000),))
    wanted = [Window(100_000, 9_000_000)]
    serial = list(expand_parts(recipe.source(), wanted, parameters))
    assert [part.number for part in serial] == [0, 1]
    pieces = cut(wanted, 2, 4.0)
    assert [part for piece in pieces for part in trace_parts._work(recipe, None, piece, parameters)] == serial
    states = run_through(recipe.source(), 9_000_000, trace_parts.PART)
    with socket.socket() as taken:  # Dask's own port, as another cluster would hold it: a warning is an error here
        with suppress(OSError):  # somebody holds it already
            taken.bind(("", 8787))
            taken.listen()
        assert list(in_parallel(recipe, wanted, parameters, jobs=2, states=states)) == serial
    assert trace_parts.PART == 1 << 23


def test_a_recording_of_a_live_run_is_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file, out = str(tmp_path / "run.rec"), tmp_path / "t.parquet"
    words = "record", "teaching", "--memory", "8M", "-o", file, "--until-text", "$ "
    assert labkit(*words, "--input", "help\\n") == 0
    assert labkit("trace", file, "-o", str(out), "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    plain = Replayer.open(file)
    plain.run()
    assert told["instructions"] == plain.end
    traced = Replayed(file)
    assert sum(map(len, full_trace(traced, [Window(0, plain.end)]))) == plain.end
    assert traced.machine.ram_sha256() == plain.machine.ram_sha256()
    assert traced.machine.registers_sha256() == plain.machine.registers_sha256()


def test_pieces_are_cut_where_parts_end():
    pieces = cut([Window(5, 100 << 23)], 4, 5.0)
    edges = [piece[0].start for piece in pieces]
    assert edges[0] == 5
    assert all(edge % (1 << 23) == 0 for edge in edges[1:])
    sizes = [piece[-1].end - piece[0].start for piece in pieces]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == (100 << 23) - 5


def test_text_and_champsim(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    common = ("trace", "teaching", "--memory", "8M", "--window", "100000:102000", "-o")
    assert labkit(*common, str(tmp_path / "t.txt"), "--format", "text") == 0
    lines = (tmp_path / "t.txt").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(100_000, 102_000))
    assert labkit(*common, str(tmp_path / "t.champsim"), "--format", "champsim") == 0
    records = np.fromfile(tmp_path / "t.champsim", CHAMPSIM)
    assert CHAMPSIM.itemsize == 64
    assert [f"{ip:08x}" for ip in records["ip"].tolist()] == [line.split()[2] for line in lines]
    stores = sum(line.count(" w ") for line in lines)
    assert 0 < np.count_nonzero(records["destination_memory"]) <= stores


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--window", "5"), "no range"),
        (("--what", "colour"), "is not known"),
        (("--format", "pdf"), "--format"),
        (("--period", "9/5"), "period"),
        (("--scheduler", "tcp://127.0.0.1:1"), "scheduler"),
    ],
)
def test_wrong_use_is_told(words: tuple[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "o"
    assert labkit("trace", "teaching", "--memory", "8M", "--for", "1000", "-o", str(out), *words) == 2
    assert said in capsys.readouterr().err


def test_no_other_folder_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine").write_text("precious")
    assert labkit("trace", "teaching", "--for", "1000", "-o", str(tmp_path)) == 2
    assert "no trace" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"
