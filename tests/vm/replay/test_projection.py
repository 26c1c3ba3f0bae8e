"""Expansions of a recorded live session are projections of its full trace: polars computes what must be in them.

The full trace of a session is gone through a batch at a time; polars, which knows nothing of our masks, keeps
the rows that an expansion has to have. What `labkit trace` would put into files is read back and compared with
that, table by table, row by row, and the machine that was traced ends as the recording says.

`LABKIT_FULL=1` does it on Linux with a network: boot, commands, files written, pings.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.recording import Recording
from labkit.vm.replay.session import record
from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch
from labkit.vm.replay.trace_file import write_part
from labkit.vm.replay.trace_parts import expand_parts
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Replayed
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_windows import windows

FULL = os.environ.get("LABKIT_FULL") == "1"
pytestmark = pytest.mark.timeout(3600 if FULL else 300)
LINUX = (
    b"ping -c 2 10.0.2.2; cp /bin/busybox /tmp/b; md5sum /tmp/b; date\n",
    b"for i in 1 2 3; do echo $i >> /tmp/n; done; cat /tmp/n | wc -l; ls -l /tmp\n",
)
TEACHING = b"help\n", b"forks 2\n", b"touch 5\n", b"primes 3000\n"
REGISTERS = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags")
ALL = frozenset(("instructions", "values", "linear", "registers", "walks", "events", "spaces"))


@dataclass
class Session:
    """A recording, its file, and addresses of it that an expansion can ask for."""

    path: Path
    recording: Recording
    start: int = 0
    stop: int = 0
    code: tuple[int, int] = (0, 0)

    def everything(self, what: frozenset[str] = ALL) -> Iterator[Batch]:
        """The full trace."""
        source = Replayed(str(self.path))
        yield from full_trace(
            source, [Window(0, source.end)], linear="linear" in what, registers="registers" in what,
            walks="walks" in what,
        )  # fmt: skip


def instructions(batch: Batch) -> pl.DataFrame:
    """A row for each instruction."""
    names = ("point", "linear", "physical", "size", "kind", "cpl", "space", "refs")
    return pl.DataFrame({name: getattr(batch, name) for name in names})


def references(batch: Batch) -> pl.DataFrame:
    """A row for each reference: as in a trace file, and with its place in the batch."""
    point = batch.point[batch.owner].astype("int64")
    found = {"point": point, "physical": batch.address, "access": batch.meta, "value": batch.value}
    return pl.DataFrame(found | ({} if batch.target is None else {"linear": batch.target}))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    path = tmp_path_factory.mktemp("projection") / "session.rec"
    if FULL:
        recording = record("linux-net", path, LINUX, memory=64 << 20)
    else:
        recording = record("teaching", path, TEACHING, memory=8 << 20)
    assert recording.end is not None
    return Session(path, recording)


@pytest.fixture(scope="module")
def popular(session: Session) -> Session:
    """The same, with an instruction that follows an interrupt, the end of such stretches, and a busy page."""
    first: dict[int, int] = {}
    code = pl.DataFrame()
    for number, batch in enumerate(session.everything(frozenset())):
        rows = instructions(batch)
        interrupts = pl.DataFrame({"point": [r[0] for r in batch.rows if r[3] == "interrupt"]}, {"point": pl.UInt64})
        for linear in interrupts.join(rows, on="point")["linear"].to_list():
            first[linear] = first.get(linear, 0) + 1
        if number < 8:
            pages = rows.filter(pl.col("cpl") == 0).select(pl.col("physical") // 4096)
            code = pl.concat([code, pages.group_by("physical").len()])
    busiest = code.group_by("physical").sum().sort("len", "physical")["physical"][-1]
    session.start = max(first, key=lambda linear: (first[linear], linear))
    session.code = (busiest << 12) + 0x123, (busiest << 12) + 0x40000
    for batch in session.everything(frozenset()):
        rows = instructions(batch)
        at = rows["linear"].index_of(session.start)
        if at is not None and at + 300 < len(rows):
            session.stop = rows["linear"][at + 300]
            if session.stop != session.start:
                return session
    raise AssertionError("no interrupt was followed by 300 instructions")


@dataclass
class Tables:
    """What polars says must be in a trace file, by table."""

    parts: dict[str, list[pl.DataFrame]] = field(default_factory=dict)

    def add(self, name: str, rows: pl.DataFrame) -> None:
        self.parts.setdefault(name, []).append(rows)

    def __getitem__(self, name: str) -> pl.DataFrame:
        return pl.concat(self.parts[name])


def written(session: Session, parameters: ExpansionParameters, folder: Path) -> Path:
    """The expansion as files; the machine it was made with must end as the recorded one did."""
    source, end = Replayed(str(session.path)), session.recording.end
    assert end is not None
    for part in expand_parts(source, windows(source, parameters), parameters):
        write_part(folder, part.number, part.files)
    source.forward(source.end)
    assert source.machine.registers.sha256() == end.registers_sha256
    assert source.machine.ram_sha256() == end.ram_sha256
    return folder


def table(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / name / "*.parquet")


def points(folder: Path) -> pl.DataFrame:
    """The runs of a trace file as instructions: point, privilege level, and where each run begins."""
    runs = table(folder, "runs").join(table(folder, "codes"), on=["part", "code"], how="left", maintain_order="left")
    spread = runs.with_columns(at=pl.int_ranges(0, pl.col("count"))).explode("at")
    return spread.select(
        point=pl.col("point") + pl.col("at"), cpl="cpl",
        linear=pl.when(pl.col("at") == 0).then("linear"), physical=pl.when(pl.col("at") == 0).then("physical"),
    )  # fmt: skip


def same_instructions(folder: Path, expected: pl.DataFrame) -> None:
    """Each instruction is there and no other, and each run begins at its linear and physical address."""
    found = points(folder)
    assert found["point"].equals(expected["point"].cast(pl.Int64))
    assert found["cpl"].equals(expected["cpl"])
    assert found["linear"].null_count() < len(found)
    for column in ("linear", "physical"):
        begun = found[column].is_not_null()
        assert found[column].filter(begun).equals(expected[column].filter(begun)), column


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    assert len(expected)
    assert found.columns == expected.columns
    assert found.equals(expected)


def test_windows_with_all_columns(session: Session, tmp_path: Path):
    end = session.recording.clock
    chosen = (end // 5, end // 5 + 60_000), (end * 7 // 10, end * 7 // 10 + 90_000), (end - 20_000, end)
    folder = written(session, ExpansionParameters(windows=chosen, what=ALL), tmp_path)

    expected = Tables()
    for batch in session.everything():
        clock = pl.col("point").cast(pl.Int64)
        inside = pl.any_horizontal(*((clock >= a) & (clock < b) for a, b in chosen))
        rows = instructions(batch)
        expected.add("instructions", rows.filter(inside))
        expected.add("memory", references(batch).filter(inside))
        assert batch.registers is not None
        assert batch.walks is not None
        columns = dict(zip(REGISTERS, batch.registers.T, strict=True))
        expected.add("registers", rows.select(clock).with_columns(**columns).filter(inside))
        walks = pl.DataFrame({"point": batch.walks[:, 0], "linear": batch.walks[:, 1], "access": batch.walks[:, 3]})
        expected.add("walks", walks.filter(inside))
        kept = [row for row in batch.rows if any(a <= row[0] < b for a, b in chosen)]
        kind = {"point": pl.Int64, "kind": pl.String, "number": pl.Int64, "value": pl.Int64}
        events = {"point": [r[0] for r in kept], "kind": [str(r[3]) for r in kept]}
        more = {"number": [r[4] for r in kept], "value": [r[5] for r in kept]}
        expected.add("events", pl.DataFrame(events | more, kind))
    same_instructions(folder, expected["instructions"])
    for name in ("memory", "registers"):
        same(table(folder, name), expected[name])
    same(table(folder, "events").select("point", "kind", "number", "value"), expected["events"])
    kinds = {"read": 0, "write": 1, "fetch": 2, "invlpg": 3, "flush": 4}
    access = pl.col("access").replace_strict(kinds, return_dtype=pl.UInt64)
    walks = table(folder, "walks").select(pl.col("point", "linear").cast(pl.UInt64), access)
    same(walks, expected["walks"])


def test_branches_of_one_privilege_level(session: Session, tmp_path: Path):
    wanted = ExpansionParameters(what=frozenset(("branches",)), privilege=frozenset((3,)))
    folder = written(session, wanted, tmp_path)

    expected = Tables()
    for batch in session.everything(frozenset()):
        rows = instructions(batch).filter((pl.col("kind") & KIND_BRANCH != 0) & (pl.col("cpl") == 3))
        expected.add("branches", rows.select(pl.col("point").cast(pl.Int64), "linear", "cpl"))
    same(table(folder, "branches"), expected["branches"])


EVERY = 7


def between_triggers(session: Session) -> Tables:
    """By polars: one instruction in `EVERY` of the code from each `start` to the next `stop`, and its references."""
    found, is_open, (first, end) = Tables(), False, session.code
    for batch in session.everything(frozenset()):
        here = pl.col("linear")
        mark = pl.when(here == session.start).then(True).when(here == session.stop).then(False)
        since = pl.col("open").forward_fill().fill_null(is_open)
        rows = instructions(batch).with_columns(open=mark).with_columns(since)
        is_open = rows["open"][-1]
        inside = pl.col("open") & (pl.col("point") % EVERY == 0)
        rows = rows.filter(inside & (pl.col("physical") >= first) & (pl.col("physical") < end))
        found.add("instructions", rows)
        found.add("memory", references(batch).join(rows.select(pl.col("point").cast(pl.Int64)), on="point", how="semi"))
    return found


@pytest.mark.parametrize("with_data", [False, True])
def test_one_in_n_of_physical_ranges_between_triggers(popular: Session, tmp_path: Path, with_data: bool):
    expected = between_triggers(popular)
    rows, memory = expected["instructions"], expected["memory"]
    data: tuple[tuple[int, int], ...] = ()
    if with_data:
        places = memory["physical"].sort()
        low, high = int(places[len(places) // 5]), int(places[len(places) * 4 // 5]) + 1
        data = ((low, high),)
        memory = memory.filter((pl.col("physical") >= low) & (pl.col("physical") < high))
        rows = rows.filter(pl.col("point").cast(pl.Int64).is_in(memory["point"].implode()))
    wanted = ExpansionParameters(
        start_at=popular.start, stop_at=popular.stop, code_physical=(popular.code,), every=EVERY, data=data,
        what=frozenset(("instructions", "values")),
    )  # fmt: skip
    folder = written(popular, wanted, tmp_path)
    same_instructions(folder, rows)
    same(table(folder, "memory"), memory)
