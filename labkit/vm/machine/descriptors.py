"""Segment and gate descriptors: the eight bytes of a GDT, LDT or IDT entry as two words, decoded and encoded.

Source: Intel SDM volume 3A, 3.4.5 (segments), 3.5 (system), 6.11 (gates). Any 64 bits decode: a guest may
write anything there, and what makes no sense is said by `kind`.
"""

from dataclasses import dataclass

__all__ = [
    "CALL_GATE_FIELDS", "GATE_FIELDS", "SEGMENT_FIELDS", "TASK_GATE_FIELDS", "BitField", "GateDescriptor",
    "SegmentDescriptor", "decode", "fields_of", "from_bytes",
]  # fmt: skip

SYSTEM_KINDS = {
    1: "16-bit TSS", 2: "LDT", 3: "16-bit TSS, busy", 4: "16-bit call gate", 5: "task gate",
    6: "16-bit interrupt gate", 7: "16-bit trap gate", 9: "32-bit TSS", 11: "32-bit TSS, busy",
    12: "32-bit call gate", 14: "32-bit interrupt gate", 15: "32-bit trap gate",
}  # fmt: skip
GATES = frozenset({4, 5, 6, 7, 12, 14, 15})
TASK_GATE = 5
CALL_GATES = (4, 12)


@dataclass(frozen=True, slots=True)
class BitField:
    """Bits `high` to `low` of a descriptor's word: 0 is the word at the lower address, 1 the upper one."""

    name: str
    word: int
    high: int
    low: int

    def of(self, low: int, high: int) -> int:
        """The field's value in a descriptor of two words."""
        return (high if self.word else low) >> self.low & (1 << self.high - self.low + 1) - 1


# word 1   31      24 23 22  21 20  19     16 15 14 13 12 11   8 7       0
#         | base 31-24| G|D/B| L|AVL|limit 19-| P| DPL | S| type |base 23-16|
# word 0   31                              16 15                         0
#         |            base 15-0             |         limit 15-0        |
SEGMENT_FIELDS = (
    BitField("base 31..24", 1, 31, 24), BitField("G", 1, 23, 23), BitField("D", 1, 22, 22),
    BitField("L", 1, 21, 21), BitField("A", 1, 20, 20), BitField("limit", 1, 19, 16),
    BitField("P", 1, 15, 15), BitField("DPL", 1, 14, 13), BitField("S", 1, 12, 12),
    BitField("type", 1, 11, 8), BitField("base 23..16", 1, 7, 0), BitField("base 15..0", 0, 31, 16),
    BitField("limit 15..0", 0, 15, 0),
)  # fmt: skip

# word 1   31                 16 15 14 13 12 11   8 7   5 4       0
#         |    offset 31-16     | P| DPL | 0| type | 0 0 0| words  |     `words` only in a call gate
# word 0   31                 16 15                               0
#         |      selector       |           offset 15-0            |
GATE_FIELDS = (
    BitField("offset 31..16", 1, 31, 16), BitField("P", 1, 15, 15), BitField("DPL", 1, 14, 13),
    BitField("S", 1, 12, 12), BitField("type", 1, 11, 8), BitField("reserved", 1, 7, 0),
    BitField("selector", 0, 31, 16), BitField("offset 15..0", 0, 15, 0),
)  # fmt: skip
CALL_GATE_FIELDS = (
    *GATE_FIELDS[:5], BitField("reserved", 1, 7, 5), BitField("words", 1, 4, 0), *GATE_FIELDS[6:],
)  # fmt: skip
TASK_GATE_FIELDS = (
    BitField("reserved", 1, 31, 16), *GATE_FIELDS[1:7], BitField("reserved", 0, 15, 0),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SegmentDescriptor:
    """A code, data or system segment. `limit` is the 20-bit field; `last` is the last offset it allows."""

    base: int
    limit: int
    type: int
    system: bool
    dpl: int
    present: bool
    granular: bool
    wide: bool
    long: bool = False
    available: bool = False

    @property
    def code(self) -> bool:
        return not self.system and bool(self.type & 8)

    @property
    def expands_down(self) -> bool:
        return not self.system and self.type & 12 == 4

    @property
    def last(self) -> int:
        """The highest offset that `limit` names, in bytes; an expand-down segment begins after it."""
        return self.limit << 12 | 0xFFF if self.granular else self.limit

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if self.system:
            return SYSTEM_KINDS.get(self.type, f"reserved type {self.type}")
        if self.code:
            access = "readable" if self.type & 2 else "execute only"
            return f"code, {access}" + ", conforming" * bool(self.type & 4)
        access = "writable" if self.type & 2 else "read only"
        return f"data, {access}" + ", expands down" * bool(self.type & 4)

    def encode(self) -> tuple[int, int]:
        """The two words, the one at the lower address first."""
        high = self.base & 0xFF000000 | self.base >> 16 & 0xFF | self.limit & 0xF0000
        high |= self.granular << 23 | self.wide << 22 | self.long << 21 | self.available << 20
        high |= self.present << 15 | self.dpl << 13 | (not self.system) << 12 | self.type << 8
        return (self.base & 0xFFFF) << 16 | self.limit & 0xFFFF, high

    def __str__(self) -> str:
        here = "" if self.present else ", not present"
        return f"{self.kind}: base {self.base:08x}, limit {self.last:08x}, DPL {self.dpl}{here}"


@dataclass(frozen=True, slots=True)
class GateDescriptor:
    """A call, interrupt, trap or task gate; `words` is how many a call gate copies between stacks."""

    selector: int
    offset: int
    type: int
    dpl: int
    present: bool
    words: int = 0

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return SYSTEM_KINDS[self.type]

    def encode(self) -> tuple[int, int]:
        """The two words, the one at the lower address first; reserved bits are zero."""
        high = self.offset & 0xFFFF0000 | self.present << 15 | self.dpl << 13 | self.type << 8 | self.words
        return self.selector << 16 | self.offset & 0xFFFF, high

    def __str__(self) -> str:
        here = "" if self.present else ", not present"
        target = f"{self.selector:04x}" + ("" if self.type == TASK_GATE else f":{self.offset:08x}")
        words = f", {self.words} words" if self.words else ""
        return f"{self.kind}: to {target}, DPL {self.dpl}{words}{here}"


def decode(low: int, high: int) -> SegmentDescriptor | GateDescriptor:
    """What the processor reads in these two words; `low` is the word at the lower address."""
    kind, system = high >> 8 & 15, not high >> 12 & 1
    dpl, present = high >> 13 & 3, bool(high >> 15 & 1)
    if system and kind in GATES:
        offset = 0 if kind == TASK_GATE else high & 0xFFFF0000 | low & 0xFFFF
        words = high & 31 if kind in CALL_GATES else 0
        return GateDescriptor(low >> 16, offset, kind, dpl, present, words)
    return SegmentDescriptor(
        base=high & 0xFF000000 | (high & 0xFF) << 16 | low >> 16, limit=high & 0xF0000 | low & 0xFFFF,
        type=kind, system=system, dpl=dpl, present=present, granular=bool(high >> 23 & 1),
        wide=bool(high >> 22 & 1), long=bool(high >> 21 & 1), available=bool(high >> 20 & 1),
    )  # fmt: skip


def from_bytes(entry: bytes) -> SegmentDescriptor | GateDescriptor:
    """Decode a table's entry as it lies in memory. Raises `ValueError` unless it has eight bytes."""
    if len(entry) != 8:
        raise ValueError(f"a descriptor has 8 bytes, not {len(entry)}")
    return decode(int.from_bytes(entry[:4], "little"), int.from_bytes(entry[4:], "little"))


def fields_of(low: int, high: int) -> tuple[BitField, ...]:
    """The fields that these two words have, from the highest bit of the upper word down."""
    decoded = decode(low, high)
    if isinstance(decoded, SegmentDescriptor):
        return SEGMENT_FIELDS
    if decoded.type == TASK_GATE:
        return TASK_GATE_FIELDS
    return CALL_GATE_FIELDS if decoded.type in CALL_GATES else GATE_FIELDS
