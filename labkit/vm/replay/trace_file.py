"""Trace files: a folder of Parquet tables, each in parts that can be written apart from each other.

    OUT.parquet/runs/00000.parquet       part int32, point int64, code uint32
    OUT.parquet/codes/00000.parquet      part, code, linear uint32, physical uint32, count int32, cpl uint8
    OUT.parquet/branches/...             point, linear, cpl
    OUT.parquet/memory/...               point, physical uint32, access uint8, value uint64 or null, linear uint32
    OUT.parquet/registers/...            point, eax ecx edx ebx esp ebp esi edi uint32
    OUT.parquet/walks/...                point, linear, physical, rights uint16, fault bool, access
    OUT.parquet/events/...               point, eip, kind, number, value, linear, note
    OUT.parquet/spaces/...               point, cr3 uint32
    OUT.parquet/trace.json               version, guest, parameters, counts

`point` is a clock: instructions retired before. A row of `runs` says that the instructions of that `code` of the
same `part` ran: `count` instructions that follow each other in memory and in time, from `linear` (and `physical`)
on, at one privilege level and on one page. A row of `memory` is an access by the instruction at `point`: `access`
is its bytes, with 80h for a store; `value` is null where it is the value of the row before of the same physical
address and bytes (most loads find what was there): `read_memory` fills it in, and so do

    DuckDB   last_value(value IGNORE NULLS) OVER (PARTITION BY physical, access & 127 ORDER BY file_row_number ...)
    polars   pl.col("value").forward_fill().over("physical", pl.col("access") & 127)

`registers` are those before the instruction. A row of `walks` is a walk of the page tables that the guest's TLB
did not spare it, by the instruction at `point`: `rights` are 1 read, 2 write, 4 execute (now), 8 large page,
16 user, 32 writable, 64 dirty, or the page fault's error code. `events` carry what labkit.vm.monitor.events.Event
says. A table is read as one: pandas.read_parquet("OUT.parquet/runs").

Column by column the encoding is what has measured best: bytes apart for most, differences
for points. A table without rows has no files. All is compressed with zstd, level 1.
"""

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.trace_batch import Batch, Column
from labkit.vm.replay.trace_tables import Missing, Table, Tables

__all__ = ["FORMAT", "PartWriter", "begin", "finish", "read_memory", "write_part"]

FORMAT = 2
APART = frozenset((
    "part", "code", "linear", "physical", "count", "cpl", "access", "eip",
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi",
))  # fmt: skip
DIFFERENCES = frozenset(("point",))
MEMORY_KINDS = {
    "point": "int64", "physical": "uint32", "access": "uint8", "value": "uint64", "linear": "uint32",
}  # fmt: skip
MOST_ROWS = 4096
"""Rows for a byte of a file, at most."""
MEMBERS = ("trace.json", "runs", "codes", "branches", "memory", "registers", "walks", "events", "spaces")


def arrow() -> tuple[Any, Any]:
    """Pyarrow and its Parquet part. Raises `TraceError` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise TraceError("trace files need pyarrow: run `pip install 'labkit[trace]'`") from None


class PartWriter:
    """One part of a trace file in memory: a Parquet file per table."""

    def __init__(self, parameters: ExpansionParameters, number: int = 0) -> None:
        self._arrow, self._parquet = arrow()
        self._tables = Tables(parameters.what, number)
        self._files: dict[str, tuple[io.BytesIO, Any]] = {}
        self.rows: dict[str, int] = {}

    def tables(self, batch: Batch) -> dict[str, Table]:
        """The tables of the next batch, for `write`."""
        return self._tables.of(batch)

    def write(self, tables: Mapping[str, Table]) -> None:
        """A batch is a group of rows of each table."""
        for name, table in tables.items():
            self._write(name, table)

    def add(self, batch: Batch) -> None:
        """Both."""
        self.write(self.tables(batch))

    def _write(self, name: str, table: Table) -> None:
        if not len(next(iter(table.values()))):
            return
        pa = self._arrow
        arrays = [self._array(column) for column in table.values()]
        batch = pa.record_batch(arrays, names=list(table))
        if name not in self._files:
            self._files[name] = self._open(batch.schema)
        self._files[name][1].write_batch(batch)
        self.rows[name] = self.rows.get(name, 0) + len(batch)

    def _array(self, column: Column | Missing) -> Any:
        pa = self._arrow
        if not isinstance(column, Missing):
            return pa.array(column)
        buffers = [pa.py_buffer(column.valid), pa.py_buffer(column.values)]
        return pa.Array.from_buffers(pa.uint64(), len(column), buffers)

    def _open(self, schema: Any) -> tuple[io.BytesIO, Any]:
        out = io.BytesIO()
        encodings = {n: "BYTE_STREAM_SPLIT" for n in schema.names if n in APART and _is_number(schema, n)}
        encodings |= dict.fromkeys((n for n in schema.names if n in DIFFERENCES), "DELTA_BINARY_PACKED")
        encodings |= dict.fromkeys((n for n in schema.names if str(schema.field(n).type) == "uint64"), "PLAIN")
        few = [n for n in schema.names if n not in encodings]
        writer = self._parquet.ParquetWriter(
            out, schema, compression="zstd", compression_level=1, write_statistics=False,
            use_dictionary=few, column_encoding=encodings or None,
        )  # fmt: skip
        return out, writer

    def close(self) -> dict[str, bytes]:
        """The files, by table."""
        if "runs" in self._files:
            self._write("codes", self._tables.codes())
        found: dict[str, bytes] = {}
        for name, (out, writer) in self._files.items():
            writer.close()
            found[name] = out.getvalue()
        return found


def _is_number(schema: Any, name: str) -> bool:
    return str(schema.field(name).type) in {"uint8", "uint32", "int32"}


def write_part(folder: Path, number: int, files: Mapping[str, bytes]) -> int:
    """Put a part in its place; bytes written."""
    for name, data in files.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        unfinished = place / f"{number:05d}.unfinished"
        unfinished.write_bytes(data)
        unfinished.replace(place / f"{number:05d}.parquet")
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
    """The columns of a trace's `memory`, with all values. Raises `TraceError`, and OSError for the files."""
    pa, parquet = arrow()
    paths = sorted((folder / "memory").glob("*.parquet"))
    if not paths:
        raise TraceError(f"{folder} is no trace with references")
    try:
        table = pa.concat_tables([_memory_part(parquet, path) for path in paths])
        found = {n: table.column(n).combine_chunks().to_numpy() for n in table.column_names if n != "value"}
        if "value" in table.column_names:
            found["value"] = _filled(table.column("value").combine_chunks(), found["physical"], found["access"])
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
    if any(table.column(name).null_count for name in table.column_names if name != "value"):
        raise TraceError(f"{path}: values are missing where none may be")
    return table


def _filled(column: Any, physical: Column, access: Column) -> Column:
    values, there = column.fill_null(0).to_numpy(), column.is_valid().to_numpy(zero_copy_only=False)
    key = physical.astype(np.uint64) | ((access & 0x7F).astype(np.uint64) << np.uint64(32))
    order = np.argsort(key, kind="stable")
    last = np.maximum.accumulate(np.where(there[order], np.arange(len(order)), 0))
    found: Column = np.empty_like(values)
    found[order] = values[order[last]] if len(order) else values
    return found
