"""Parquet, as much of it as tables of numbers need: a group of rows at a time, each column of it one page.

    PAR1 | group 0: column, column, ... | group 1 | ... | footer | its length, 4 bytes | PAR1
           column:  [page: the dictionary]  page: all values of the group
           page:    header | values, encoded (probes/trace_pages.py) and then compressed with zstd

    what           stored as                              encoding
    int64          INT64                                  DELTA_BINARY_PACKED, in whole bytes
    u32, i32       INT32                                  BYTE_STREAM_SPLIT
    u64            INT64                                  BYTE_STREAM_SPLIT
    u8             INT32                                  dictionary of the numbers from 0: each index is its value
    `Constant`     INT32                                  dictionary of that one

No value is null, there are no statistics. Headers and footer are structures of Thrift's compact protocol. A writer for
all of Parquet takes seven times as long for the same and makes it twice as large: its pages are small, its differences
are not in whole bytes. Source: the Parquet format (Encodings.md, parquet.thrift).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes import trace_pages as pages

__all__ = ["Constant", "ParquetFile", "Scratch", "can_hold"]

Column = npt.NDArray[Any]
MAGIC = b"PAR1"
LEVEL = 1
INT32, INT64 = 1, 2
UINT_8, UINT_32, UINT_64 = 11, 13, 14
PLAIN, RLE, DELTA_BINARY_PACKED, RLE_DICTIONARY, BYTE_STREAM_SPLIT = 0, 3, 5, 8, 9
ZSTD, REQUIRED, DATA_PAGE, DICTIONARY_PAGE = 6, 0, 0, 2


@dataclass(frozen=True, slots=True)
class Constant:
    """An int32 column of `count` times the same."""

    value: int
    count: int

    def __len__(self) -> int:
        return self.count


@dataclass(frozen=True, slots=True)
class Kind:
    """How a column is stored: the type, how it is to be understood (or None), and the encoding."""

    stored: int
    meaning: int | None
    encoding: int


KINDS = {
    "int64": Kind(INT64, None, DELTA_BINARY_PACKED), "uint64": Kind(INT64, UINT_64, BYTE_STREAM_SPLIT),
    "int32": Kind(INT32, None, BYTE_STREAM_SPLIT), "uint32": Kind(INT32, UINT_32, BYTE_STREAM_SPLIT),
    "uint8": Kind(INT32, UINT_8, RLE_DICTIONARY),
}  # fmt: skip
CONSTANT = Kind(INT32, None, RLE_DICTIONARY)


def can_hold(table: Mapping[str, object]) -> bool:
    """Are all columns of a table numbers as above?"""
    return all(
        isinstance(column, Constant) or (isinstance(column, np.ndarray) and column.dtype.name in KINDS)
        for column in table.values()
    )


def _kind(column: Column | Constant) -> Kind:
    return CONSTANT if isinstance(column, Constant) else KINDS[column.dtype.name]


class Scratch:
    """Memory to encode in, used again for each page; by one thread at a time."""

    def __init__(self) -> None:
        self._memory = np.empty(1 << 20, np.uint8)

    def room(self, size: int) -> Column:
        """So many bytes, or more, with any contents."""
        if len(self._memory) < size:
            self._memory = np.empty(size + size // 4, np.uint8)
        return self._memory


class ParquetFile:
    """One file in memory. `compress` is zstd's, of bytes in one go; all groups have the same columns."""

    def __init__(self, compress: Callable[[Any], bytes], scratch: Scratch) -> None:
        self._compress, self._scratch = compress, scratch
        self._chunks: list[bytes] = [MAGIC]
        self._size = len(MAGIC)
        self._kinds: dict[str, Kind] = {}
        self._groups: list[bytes] = []
        self.rows = 0

    def add(self, table: Mapping[str, Column | Constant]) -> None:
        """A group of rows; columns are of one length, which is not 0."""
        self._kinds = self._kinds or {name: _kind(column) for name, column in table.items()}
        start, rows = self._size, len(next(iter(table.values())))
        columns = [self._column(name, column) for name, column in table.items()]
        size = (2, I64, _int(self._size - start))
        self._groups.append(_struct((1, LIST, _list(STRUCT, columns)), size, (3, I64, _int(rows))))
        self.rows += rows

    def _column(self, name: str, column: Column | Constant) -> bytes:
        """Its pages; what the footer says of them."""
        kind, start, raw = _kind(column), self._size, 0
        if isinstance(column, Constant):
            raw += self._page(DICTIONARY_PAGE, PLAIN, 1, column.value.to_bytes(4, "little", signed=True))
            data: Any = b"\1" + _varint(column.count << 1) + b"\0"  # indices of one bit: a run of zeros
        elif kind.encoding == RLE_DICTIONARY:
            numbers = np.arange(int(column.max()) + 1, dtype="<i4")
            raw += self._page(DICTIONARY_PAGE, PLAIN, len(numbers), numbers)
            data = self._indices(column)
        elif kind.encoding == DELTA_BINARY_PACKED:
            data = self._differences(column)
        else:
            data = self._split(column)
        data_at = self._size
        raw += self._page(DATA_PAGE, kind.encoding, len(column), data)
        encodings = [kind.encoding] if data_at == start else [PLAIN, RLE, kind.encoding]
        dictionary = [] if data_at == start else [(11, I64, _int(start))]
        told = _struct(
            (1, I32, _int(kind.stored)), (2, LIST, _list(I32, map(_int, encodings))),
            (3, LIST, _list(BINARY, [_text(name)])), (4, I32, _int(ZSTD)), (5, I64, _int(len(column))),
            (6, I64, _int(raw)), (7, I64, _int(self._size - start)), (9, I64, _int(data_at)), *dictionary,
        )  # fmt: skip
        return _struct((2, I64, _int(start)), (3, STRUCT, told))

    def _page(self, kind: int, encoding: int, count: int, data: Any) -> int:
        """Bytes of it before compression."""
        packed, size = self._compress(data), memoryview(data).nbytes
        if kind == DATA_PAGE:
            levels = (3, I32, _int(RLE)), (4, I32, _int(RLE))
            more = 5, STRUCT, _struct((1, I32, _int(count)), (2, I32, _int(encoding)), *levels)
        else:
            more = 7, STRUCT, _struct((1, I32, _int(count)), (2, I32, _int(encoding)))
        header = _struct((1, I32, _int(kind)), (2, I32, _int(size)), (3, I32, _int(len(packed))), more)
        self._chunks += header, packed
        self._size += len(header) + len(packed)
        return len(header) + size

    def _indices(self, column: Column) -> Column:
        """Their width in bits | how many eights << 1 | 1 | a byte each."""
        eights = (len(column) + 7) // 8
        head = np.frombuffer(b"\x08" + _varint(eights << 1 | 1), np.uint8)
        out = self._scratch.room(len(head) + 8 * eights)
        out[: len(head)] = head
        end = len(head) + len(column)
        out[len(head) : end] = column
        out[end : len(head) + 8 * eights] = 0
        return out[: len(head) + 8 * eights]

    def _split(self, column: Column) -> Column:
        column = np.ascontiguousarray(column)
        out = self._scratch.room(column.nbytes)
        split = pages.split_4 if column.itemsize == 4 else pages.split_8
        split(out.ctypes.data, column.ctypes.data, len(column))
        return out[: column.nbytes]

    def _differences(self, column: Column) -> Column:
        column = np.ascontiguousarray(column)
        out = self._scratch.room(9 * (len(column) + pages.BLOCK) + 64)
        return out[: pages.differences(out.ctypes.data, column.ctypes.data, len(column))]

    def close(self) -> bytes:
        """The whole file."""
        schema = [_struct((4, BINARY, _text("schema")), (5, I32, _int(len(self._kinds))))]
        for name, kind in self._kinds.items():
            meaning = [] if kind.meaning is None else [(6, I32, _int(kind.meaning))]
            schema.append(
                _struct((1, I32, _int(kind.stored)), (3, I32, _int(REQUIRED)), (4, BINARY, _text(name)), *meaning)
            )
        footer = _struct(
            (1, I32, _int(2)), (2, LIST, _list(STRUCT, schema)), (3, I64, _int(self.rows)),
            (4, LIST, _list(STRUCT, self._groups)), (6, BINARY, _text("labkit")),
        )  # fmt: skip
        return b"".join((*self._chunks, footer, len(footer).to_bytes(4, "little"), MAGIC))


# --- Thrift's compact protocol

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def _int(value: int) -> bytes:
    """Not negative."""
    return _varint(value << 1)


def _text(value: str) -> bytes:
    data = value.encode()
    return _varint(len(data)) + data


def _list(kind: int, items: Iterable[bytes]) -> bytes:
    given = list(items)
    head = bytes([len(given) << 4 | kind]) if len(given) < 15 else bytes([0xF0 | kind]) + _varint(len(given))
    return head + b"".join(given)


def _struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Fields as (number, kind, value), the numbers rising: each begins with its distance to the last one."""
    found, last = bytearray(), 0
    for number, kind, value in fields:
        found.append((number - last) << 4 | kind)
        found += value
        last = number
    return bytes(found) + b"\0"
