"""A recording: one file from which a run can be had again, on any computer.

    LABKITR1 | chunk | chunk | ...
    chunk:  kind 1 | stored length 4 | raw length 4 | CRC-32 4 | payload (zstd)     little-endian
            the CRC covers kind, lengths and payload

    H  header: how the machine is made, and the recipe for its first state (MessagePack, `Header`)
    I  that state itself, when it is small: the boot image (MessagePack, `Image`)
    D  a disk image, when it is small, in order
    L  entries of the log (entries.py); the last one of a chunk is an anchor
    E  how it ended: point and fingerprints of registers and RAM (MessagePack, `End`)

Chunks are written while the guest runs. A file that was cut or damaged is good up to its last whole chunk;
what is wrong after that is `damage`. Everything here reads files that anybody may have made: lengths are
bounded before anything is allocated, and a wrong header is a RecordingError.
"""

import os
import struct
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import zstandard

from labkit.vm.replay.entries import LARGEST, Anchor, Decoder, Entry, EntryError
from labkit.vm.replay.errors import TimelineError

__all__ = ["MAGIC", "DiskImage", "End", "Header", "Image", "Recording", "RecordingError", "chunk"]

MAGIC = b"LABKITR1"
VERSION = 1
HEAD = struct.Struct("<cIII")
LIMITS = {b"H": 1 << 20, b"I": 256 << 20, b"D": 256 << 20, b"L": 16 << 20, b"E": 1 << 16}
"""Raw bytes of one chunk of a kind, at most."""
MOST = 512 << 20
"""Raw bytes of all chunks together."""


class RecordingError(TimelineError):
    """A file that is no recording, or of which not even the first state can be had."""


class DiskImage(msgspec.Struct, frozen=True):
    """A disk: where its image was, and its fingerprint; embedded when it is small."""

    path: str
    sha256: str
    embedded: bool


class Header(msgspec.Struct, frozen=True):
    """How the machine was made: what goes to `Machine` and to the guests' loaders."""

    version: int
    guest: str
    """Name in the catalog; empty for files."""
    kernel: str
    initrd: str
    append: str
    at: int | None
    firmware_path: bool
    memory: int
    start_time: int
    image_sha256: str
    disks: tuple[DiskImage, ...]


class Image(msgspec.Struct, frozen=True):
    """A boot image: (address, bytes) of each placement, and the start state by register."""

    name: str
    placements: tuple[tuple[int, bytes], ...]
    start: dict[str, int]


class End(msgspec.Struct, frozen=True):
    """The last point, and what the machine was there."""

    clock: int
    branches: int
    eip: int
    registers_sha256: str
    ram_sha256: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as read: header, what is embedded, entries, and the end if it has one."""

    header: Header
    entries: list[Entry]
    end: End | None = None
    image: Image | None = None
    disks: list[bytes] = field(default_factory=list)
    damage: str = ""
    """Why the rest could not be read, with its offset; empty for a whole recording."""
    size: int = 0
    """Bytes of the file."""
    log_bytes: int = 0
    """Bytes of the chunks that grow with the run."""

    @property
    def clock(self) -> int:
        """The last clock that it leads to."""
        if self.end is not None:
            return self.end.clock
        return max((entry.clock for entry in self.entries if isinstance(entry, Anchor)), default=0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Recording":
        """Read a file. Raises RecordingError, or OSError where it cannot be opened."""
        with Path(path).open("rb") as file:
            return _Reader(file, str(path)).read()


def chunk(kind: bytes, raw: bytes) -> bytes:
    """One chunk, ready to be written. Raises ValueError for one that could not be read again."""
    if len(raw) > LIMITS[kind]:
        raise ValueError(f"{len(raw)} bytes are too many for a chunk {kind.decode()}")
    payload = zstandard.ZstdCompressor(level=3).compress(raw)
    start = kind + struct.pack("<II", len(payload), len(raw))
    return start + struct.pack("<I", zlib.crc32(payload, zlib.crc32(start))) + payload


Decoded = TypeVar("Decoded", Header, Image, End)


class DamageError(ValueError):
    """What ends the readable part."""


class _Reader:
    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self._size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._room = MOST

    def read(self) -> Recording:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise RecordingError(f"{self._name} is no recording: it does not begin with {MAGIC.decode()}")
        try:
            header = self._header()
        except DamageError as error:
            raise RecordingError(f"{self._name}: {error}") from None
        if header.version != VERSION:
            raise RecordingError(f"{self._name}: version {header.version} of the format; this reads {VERSION}")
        return self._rest(header)

    def _header(self) -> Header:
        first = self._chunk()
        if first is None or first[0] != b"H":
            raise DamageError(f"offset {len(MAGIC)}: no header")
        return _decode(first[1], Header, len(MAGIC))

    def _rest(self, header: Header) -> Recording:
        found = Recording(header, [], size=self._size)
        decoder, damage = Decoder(), ""
        try:
            while found.end is None and (next_chunk := self._chunk()) is not None:
                found = self._with(found, decoder, *next_chunk)
            if found.end is None:
                damage = "it has no end: the recorder was stopped before it was done"
        except DamageError as error:
            damage = str(error)
        return replace(found, damage=damage)

    def _with(self, found: Recording, decoder: Decoder, kind: bytes, raw: bytes, at: int) -> Recording:
        if kind == b"L":
            found.entries.extend(_entries(decoder, raw, at))
            return replace(found, log_bytes=found.log_bytes + self._file.tell() - at)
        if kind == b"I":
            return replace(found, image=_decode(raw, Image, at))
        if kind == b"D":
            found.disks.append(raw)
            return found
        if kind == b"H":
            raise DamageError(f"offset {at}: a second header")
        end = _decode(raw, End, at)
        if not decoder.clock <= end.clock < LARGEST:
            raise DamageError(f"offset {at}: the end lies before the last entry")
        return replace(found, end=end)

    def _chunk(self) -> tuple[bytes, bytes, int] | None:
        """Kind, raw bytes and offset of the next chunk; None at the file's end."""
        at = self._file.tell()
        head = self._file.read(HEAD.size)
        if not head:
            return None
        if len(head) < HEAD.size:
            raise DamageError(f"offset {at}: the file ends inside a chunk")
        kind, stored, raw_size, checksum = HEAD.unpack(head)
        if kind not in LIMITS:
            raise DamageError(f"offset {at}: there is no chunk of kind {kind!r}")
        if raw_size > min(LIMITS[kind], self._room) or stored > self._size - at - HEAD.size:
            raise DamageError(f"offset {at}: a chunk of {stored} bytes, unpacked {raw_size}, does not fit")
        payload = self._file.read(stored)
        if zlib.crc32(payload, zlib.crc32(head[:9])) != checksum:
            raise DamageError(f"offset {at}: the checksum of this chunk is wrong")
        self._room -= raw_size
        return kind, _unpack(payload, raw_size, at), at


def _unpack(payload: bytes, size: int, at: int) -> bytes:
    try:
        if zstandard.frame_content_size(payload) == size:
            return zstandard.ZstdDecompressor(max_window_size=1 << 27).decompress(payload) if size else b""
    except zstandard.ZstdError as error:
        raise DamageError(f"offset {at}: the chunk does not unpack ({error})") from None
    raise DamageError(f"offset {at}: the chunk does not unpack to the length it gives")


def _decode(raw: bytes, kind: type[Decoded], at: int) -> Decoded:
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamageError(f"offset {at}: no {kind.__name__.lower()} ({error})") from None


def _entries(decoder: Decoder, raw: bytes, at: int) -> list[Entry]:
    try:
        return decoder.decode(raw)
    except EntryError as error:
        raise DamageError(f"offset {at}: in this chunk, {error}") from None
