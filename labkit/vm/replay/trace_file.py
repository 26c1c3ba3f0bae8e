"""Trace files: a folder of Parquet tables, each in parts that can be written apart from each other.

    OUT.parquet/runs/00000.parquet       point int64, linear uint32, physical uint32, count int32, cpl uint8
    OUT.parquet/branches/...             point, linear, cpl
    OUT.parquet/memory/...               point, physical uint32, access uint8, value uint32, value_high uint32
    OUT.parquet/events/...               point, eip, kind, number, value, linear, note
    OUT.parquet/spaces/...               point, cr3 uint32
    OUT.parquet/trace.json               version, guest, parameters, counts

`point` is a clock: instructions retired before. A row of `runs` is `count` instructions that follow each other
in memory and in time, from `linear` (and `physical`) on, at one privilege level and on one page. A row of
`memory` is an access by the instruction at `point`: `access` is its bytes, with 80h for a store. `events`
carry what labkit.vm.monitor.events.Event says. A table is read as one: pandas.read_parquet("OUT.parquet/runs").

Column by column the encoding is what has measured best: bytes apart for addresses, differences for points,
a dictionary for what has few values; a table without rows has no files; all compressed with zstd, level 1.
"""

import io
import json
import shutil
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError
from labkit.vm.replay.trace_batch import Batch
from labkit.vm.replay.trace_tables import Table, tables

__all__ = ["FORMAT", "PartWriter", "begin", "finish", "write_part"]

FORMAT = 1
APART = frozenset(("linear", "physical", "eip", "value"))
DIFFERENCES = frozenset(("point",))
MEMBERS = ("trace.json", "runs", "branches", "memory", "events", "spaces")


def arrow() -> tuple[Any, Any]:
    """Pyarrow and its Parquet part. Raises `TraceError` where it is not installed."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise TraceError("trace files need pyarrow: run `pip install 'labkit[trace]'`") from None


class PartWriter:
    """One part of a trace file in memory: a Parquet file per table."""

    def __init__(self, parameters: ExpansionParameters) -> None:
        self._arrow, self._parquet = arrow()
        self._what = parameters.what
        self._files: dict[str, tuple[io.BytesIO, Any]] = {}
        self.rows: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        """A batch is a group of rows of each table."""
        for name, table in tables(batch, self._what).items():
            self._write(name, table)

    def _write(self, name: str, table: Table) -> None:
        if not len(next(iter(table.values()))):
            return
        pa = self._arrow
        arrays = [pa.array(column) for column in table.values()]
        batch = pa.record_batch(arrays, names=list(table))
        if name not in self._files:
            self._files[name] = self._open(batch.schema)
        self._files[name][1].write_batch(batch)
        self.rows[name] = self.rows.get(name, 0) + len(batch)

    def _open(self, schema: Any) -> tuple[io.BytesIO, Any]:
        out = io.BytesIO()
        encodings = {n: "BYTE_STREAM_SPLIT" for n in schema.names if n in APART and _is_number(schema, n)}
        encodings |= dict.fromkeys((n for n in schema.names if n in DIFFERENCES), "DELTA_BINARY_PACKED")
        few = [n for n in schema.names if n not in encodings]
        writer = self._parquet.ParquetWriter(
            out, schema, compression="zstd", compression_level=1, write_statistics=["point"],
            use_dictionary=few, column_encoding=encodings or None,
        )  # fmt: skip
        return out, writer

    def close(self) -> dict[str, bytes]:
        """The files, by table."""
        found: dict[str, bytes] = {}
        for name, (out, writer) in self._files.items():
            writer.close()
            found[name] = out.getvalue()
        return found


def _is_number(schema: Any, name: str) -> bool:
    return str(schema.field(name).type) in {"uint32", "int32", "uint64", "int64"}


def write_part(folder: Path, number: int, files: Mapping[str, bytes]) -> int:
    """Put a part in its place; bytes written."""
    for name, data in files.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.parquet").write_bytes(data)
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
