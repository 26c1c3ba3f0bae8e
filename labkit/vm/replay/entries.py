"""Entries of a recording's log: what came from outside, each with its point, and what is compared on replay.

    01 anchor   clock+ ticks+ rate branches± eip registers    guest time was drawn to the host's
    02 serial   clock+ length bytes                           typed on the serial console
    03 keys     clock+ length bytes                           scancodes of the PS/2 keyboard
    04 vector   clock+ vector branches± eip                   an interrupt was delivered (compared only)
    05 read     port*4+size/2 value                           an IN (compared only; its place is its order)
    06 packet   clock+ length bytes                           a frame from the network

Numbers are LEB128; `+` counts from the entry before (ticks: from where the last anchor's line leads), `±` the
same in zigzag; `eip` and `registers` (CRC-32 of the general registers, EIP and EFLAGS) are four bytes.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

__all__ = ["LARGEST", "Anchor", "Coder", "Decoder", "Entry", "EntryError", "Given", "Read", "Vector", "coded_read"]

LARGEST = 1 << 60
"""No clock reaches this."""
LONGEST_JUMP = 1 << 48  # 16 days in ticks
ANCHOR, SERIAL, KEYS, VECTOR, READ, PACKET = 1, 2, 3, 4, 5, 6
KINDS = {SERIAL: "serial", KEYS: "keys", PACKET: "packet"}
CODES = {name: code for code, name in KINDS.items()}
TWO_WORDS = struct.Struct("<II")


class EntryError(ValueError):
    """A log that nobody can have written; the message says what and at which byte of the chunk."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Guest time was drawn to the host's: `ticks` (5 ns) now, `rate` ticks per 65536 instructions from here."""

    clock: int
    ticks: int
    rate: int
    branches: int
    eip: int
    registers: int

    def __str__(self) -> str:
        where = f"instruction {self.clock}, branch {self.branches}, eip {self.eip:08x}"
        return f"{where}, registers {self.registers:08x}"


@dataclass(frozen=True, slots=True)
class Given:
    """Input: "serial" bytes, "keys" scancodes, or a "packet", a frame of the network."""

    clock: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Vector:
    """An interrupt was delivered there."""

    clock: int
    vector: int
    branches: int
    eip: int

    def __str__(self) -> str:
        where = f"instruction {self.clock}, branch {self.branches}, eip {self.eip:08x}"
        return f"interrupt {self.vector:02x}h at {where}"


@dataclass(frozen=True, slots=True)
class Read:
    """What an IN of `size` bytes has given."""

    port: int
    size: int
    value: int

    def __str__(self) -> str:
        return f"IN of {self.size} from port {self.port:x}h gives {self.value:x}h"


Entry: TypeAlias = Anchor | Given | Vector | Read


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _signed(value: int) -> bytes:
    return _number(value << 1 if value >= 0 else (-value << 1) - 1)


@lru_cache(maxsize=1 << 16)
def coded_read(port: int, size: int, value: int) -> bytes:
    """A `Read`, coded: it depends on no entry before it, and few are different."""
    return bytes((READ,)) + _number(port << 2 | size >> 1) + _number(value)


class _Line:
    """What deltas count from; the same on both sides."""

    def __init__(self) -> None:
        self.clock = self.branches = self.ticks = self.anchor = 0
        self.rate = 1 << 16

    def expected(self, clock: int) -> int:
        """Ticks to which the last anchor's line leads."""
        return self.ticks + ((clock - self.anchor) * self.rate >> 16)

    def drawn(self, entry: Anchor) -> None:
        """Goes on from an anchor."""
        self.ticks, self.rate, self.anchor = entry.ticks, entry.rate, entry.clock


class Coder:
    """Entries to bytes, in order, over all chunks of a recording."""

    def __init__(self) -> None:
        self._line = _Line()

    def code(self, entries: Iterable[Entry | bytes]) -> bytes:
        """The bytes of the next entries; reads may be coded already."""
        return b"".join(map(self._code, entries))

    def _code(self, entry: Entry | bytes) -> bytes:
        if isinstance(entry, bytes):
            return entry
        if isinstance(entry, Read):
            return coded_read(entry.port, entry.size, entry.value)
        line = self._line
        passed = _number(entry.clock - line.clock)
        line.clock = entry.clock
        if isinstance(entry, Given):
            return bytes((CODES[entry.kind],)) + passed + _number(len(entry.data)) + entry.data
        branches = _signed(entry.branches - line.branches)
        line.branches = entry.branches
        if isinstance(entry, Vector):
            return bytes((VECTOR,)) + passed + _number(entry.vector) + branches + struct.pack("<I", entry.eip)
        jump = _number(entry.ticks - line.expected(entry.clock))
        line.drawn(entry)
        parts = bytes((ANCHOR,)), passed, jump, _number(entry.rate), branches
        return b"".join(parts) + TWO_WORDS.pack(entry.eip, entry.registers)


class Decoder:
    """The inverse of `Coder`, for bytes that anybody may have made. Raises EntryError."""

    def __init__(self) -> None:
        self._line = _Line()
        self._data = b""
        self._at = 0

    @property
    def clock(self) -> int:
        """That of the last entry."""
        return self._line.clock

    def decode(self, data: bytes) -> list[Entry]:
        """All entries of the next chunk."""
        self._data, self._at = data, 0
        entries: list[Entry] = []
        while self._at < len(data):
            entries.append(self._entry())
        return entries

    def _entry(self) -> Entry:
        start, code = self._at, self._take(1)[0]
        line = self._line
        if code == READ:
            place, value = self._number(1 << 18), self._number(1 << 32)
            if place & 3 == 3:
                raise EntryError(f"byte {start}: an IN of a size that does not exist")
            return Read(place >> 2, (1, 2, 4)[place & 3], value)
        if code not in (ANCHOR, VECTOR, *KINDS):
            raise EntryError(f"byte {start}: there is no entry of kind {code}")
        clock = line.clock = self._bounded(line.clock + self._number(LARGEST), start)
        if code in KINDS:
            return Given(clock, KINDS[code], self._take(self._number(1 << 24)))
        if code == VECTOR:
            vector, branches = self._number(256), self._branches(start)
            return Vector(clock, vector, branches, int.from_bytes(self._take(4), "little"))
        ticks = self._bounded(line.expected(clock) + self._number(LONGEST_JUMP), start)
        rate, branches = self._number(1 << 32), self._branches(start)
        if not rate:
            raise EntryError(f"byte {start}: a time that stands still")
        made = Anchor(clock, ticks, rate, branches, *TWO_WORDS.unpack(self._take(8)))
        line.drawn(made)
        return made

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise EntryError(f"byte {self._at}: the chunk ends inside an entry")
        self._at += count
        return taken

    def _number(self, limit: int) -> int:
        start, value = self._at, 0
        for shift in range(0, 70, 7):
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
        else:
            raise EntryError(f"byte {start}: a number without end")
        if value >= limit:
            raise EntryError(f"byte {start}: {value} is too large here")
        return value

    def _branches(self, start: int) -> int:
        folded = self._number(LARGEST)
        moved = self._line.branches + ((folded >> 1) ^ -(folded & 1))
        self._line.branches = self._bounded(moved, start)
        return moved

    def _bounded(self, value: int, start: int) -> int:
        """A place that a difference has led to: a clock, a time, a number of branches."""
        if not 0 <= value < LARGEST:
            raise EntryError(f"byte {start}: {value} is a place that no recording reaches")
        return value
