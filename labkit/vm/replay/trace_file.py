"""Trace files: a folder of Parquet tables, each in parts that can be written apart from each other.

    OUT.parquet/runs/00000.parquet       part int32, point int64, code uint32
    OUT.parquet/codes/00000.parquet      part, code, linear uint32, physical uint32, count int32, cpl uint8
    OUT.parquet/branches/...             point, linear, cpl
    OUT.parquet/memory/...               point, physical uint32, access uint8, value uint64, linear uint32
    OUT.parquet/registers/...            point, eax ecx edx ebx esp ebp esi edi eflags uint32
    OUT.parquet/bytes/...                part, point, linear, physical, code binary
    OUT.parquet/walks/...                point, linear, physical, rights uint16, fault bool, access
    OUT.parquet/events/...               point, eip, kind, number, value, linear, note
    OUT.parquet/spaces/...               point, cr3 uint32
    OUT.parquet/trace.json               version, guest, parameters, counts

`point` is a clock: instructions retired before. A row of `runs` says that the instructions of that `code` of the
same `part` ran: `count` instructions that follow each other in memory and in time, from `linear` (and `physical`)
on, at one privilege level and on one page. A row of `memory` is an access by the instruction at `point`: `access`
is its bytes, with 80h for a store.

`registers` are those before the instruction. A row of `bytes` says what the instruction at a physical address is,
from `point` on: there is one where the part first runs it, and where it has become another.

A row of `walks` is a walk of the page tables that the guest's TLB did not spare it, by the instruction at `point`:
`rights` are 1 read, 2 write, 4 execute (now), 8 large page, 16 user, 32 writable, 64 dirty, or the page fault's error
code. Where `access` is invlpg or flush it is no walk: the TLB has lost one linear page, or all (by MOV to CR3, paging
bits of CR0 and CR4, a task switch).

`events` carry what labkit.vm.monitor.events.Event says. A table is read as one:
pandas.read_parquet("OUT.parquet/runs").

Tables of nothing but numbers are written by parquet_file.py, the others by pyarrow. A table without rows has no
files. Version 2 had left out values that were the same as before.
"""

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.parquet_file import ParquetFile, Scratch, can_hold
from labkit.vm.replay.trace_batch import Batch, Column
from labkit.vm.replay.trace_tables import Table, Tables

__all__ = ["FORMAT", "PartWriter", "begin", "finish", "read_memory", "write_part"]

FORMAT = 3
MEMORY_KINDS = {
    "point": "int64", "physical": "uint32", "access": "uint8", "value": "uint64", "linear": "uint32",
}  # fmt: skip
LEVEL = 1
"""Of zstd."""
MOST_ROWS = 4096
"""Rows for a byte of a file, at most."""
MEMBERS = ("trace.json", "runs", "codes", "branches", "memory", "registers", "bytes", "walks", "events", "spaces")


def arrow() -> tuple[Any, Any]:
    """Pyarrow and its Parquet part. Raises `TraceError` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise TraceError("trace files need pyarrow: run `pip install 'labkit[trace]'`") from None


class PartWriter:
    """One part of a trace file in memory: a Parquet file per table. `scratch` is one thread's at a time."""

    def __init__(self, parameters: ExpansionParameters, number: int = 0, scratch: Scratch | None = None) -> None:
        pa, _parquet = arrow()
        self._zstd = pa.Codec("zstd", compression_level=LEVEL)
        self._scratch = scratch or Scratch()
        self._tables = Tables(parameters.what, number)
        self._files: dict[str, ParquetFile | _ArrowFile] = {}

    @property
    def rows(self) -> dict[str, int]:
        """How many there are by now, by table."""
        return {name: file.rows for name, file in self._files.items()}

    def tables(self, batch: Batch) -> dict[str, Table]:
        """The tables of the next batch, for `write`."""
        return self._tables.of(batch)

    def write(self, tables: Mapping[str, Table]) -> None:
        """A batch is a group of rows of each table."""
        for name, table in tables.items():
            if len(next(iter(table.values()))):
                if name not in self._files:
                    self._files[name] = self._open(table)
                self._files[name].add(table)

    def add(self, batch: Batch) -> None:
        """Both."""
        self.write(self.tables(batch))

    def _open(self, table: Table) -> "ParquetFile | _ArrowFile":
        return ParquetFile(self._packed, self._scratch) if can_hold(table) else _ArrowFile()

    def _packed(self, data: Any) -> bytes:
        packed: bytes = self._zstd.compress(data, asbytes=True)
        return packed

    def close(self) -> dict[str, bytes]:
        """The files, by table."""
        if "runs" in self._files:
            self.write({"codes": self._tables.codes()})
        return {name: file.close() for name, file in self._files.items()}


class _ArrowFile:
    """A file of any columns in memory, made by pyarrow."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._writer: Any = None
        self.rows = 0

    def add(self, table: Table) -> None:
        """A group of rows."""
        pa, parquet = arrow()
        batch = pa.record_batch([pa.array(column) for column in table.values()], names=list(table))
        if self._writer is None:
            self._writer = parquet.ParquetWriter(
                self._out, batch.schema, compression="zstd", compression_level=LEVEL, write_statistics=False
            )
        self._writer.write_batch(batch)
        self.rows += len(batch)

    def close(self) -> bytes:
        """The whole file."""
        if self._writer is not None:
            self._writer.close()
        return self._out.getvalue()


def write_part(folder: Path, number: int, files: Mapping[str, bytes]) -> int:
    """Put a part in its place, all of its tables or, where that is interrupted, none; bytes written."""
    places = {folder / name / f"{number:05d}.unfinished": data for name, data in files.items()}
    try:
        for unfinished, data in places.items():
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
        for unfinished in places:
            unfinished.replace(unfinished.with_suffix(".parquet"))
    except BaseException:
        for unfinished in places:
            unfinished.unlink(missing_ok=True)
            unfinished.with_suffix(".parquet").unlink(missing_ok=True)
        raise
    return sum(map(len, files.values()))


def begin(folder: Path) -> None:
    """Make the folder of a trace file anew. Raises `TraceError` where something else is there."""
    arrow()
    try:
        if folder.exists():
            if not folder.is_dir() or any(path.name not in MEMBERS for path in folder.iterdir()):
                raise TraceError(f"{folder} is there and no trace: give another name, or remove it")
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise TraceError(f"{folder} cannot be written: {error.strerror or error}") from None


def finish(folder: Path, told: Mapping[str, object], rows: Iterable[tuple[str, int]]) -> None:
    """Write what the trace is of."""
    document = {"format": FORMAT, **told, "rows": dict(rows)}
    (folder / "trace.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def read_memory(folder: Path) -> dict[str, Column]:
    """The columns of a trace's `memory`. Raises `TraceError`, and OSError for the files."""
    pa, parquet = arrow()
    paths = sorted((folder / "memory").glob("*.parquet"))
    if not paths:
        raise TraceError(f"{folder} is no trace with references")
    try:
        table = pa.concat_tables([_memory_part(parquet, path) for path in paths])
        found = {name: table.column(name).combine_chunks().to_numpy() for name in table.column_names}
    except TraceError:
        raise
    except (pa.ArrowException, ValueError, OverflowError, MemoryError) as error:
        first = str(error).partition("\n")[0]
        raise TraceError(f"{folder} is no trace with references, or damaged: {first}") from None
    return found


def _memory_part(parquet: Any, path: Path) -> Any:
    """One file; anybody may have made it."""
    with parquet.ParquetFile(path) as file:
        schema, told = file.schema_arrow, file.metadata
        for name, kind in MEMORY_KINDS.items():
            if name in schema.names and str(schema.field(name).type) != kind:
                raise TraceError(f"{path}: {name} is not of type {kind}")
            if name not in schema.names and name not in ("value", "linear"):
                raise TraceError(f"{path}: there is no column {name}")
        if told.num_rows > path.stat().st_size * MOST_ROWS:
            raise TraceError(f"{path}: {told.num_rows} rows cannot be in a file of that size")
        table = file.read(columns=[name for name in MEMORY_KINDS if name in schema.names])
    if any(table.column(name).null_count for name in table.column_names):
        raise TraceError(f"{path}: values are missing where none may be")
    return table
