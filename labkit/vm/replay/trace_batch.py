"""A stretch of a trace as columns: numpy arrays, a row per instruction and a row per memory reference.

    instructions   point linear physical size kind cpl space refs          rows in order of execution
                                                        |
    references     owner address write width value  <---+   the first `refs[0]` rows belong to instruction 0, ...

`point` is the execution point as a clock: how many instructions had retired before this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.probes.trace_columns import KIND_BRANCH, KIND_IO, KIND_REP
from labkit.vm.monitor.events import Event, Row, from_row

__all__ = ["KIND_BRANCH", "KIND_IO", "KIND_REP", "Batch"]

Column = npt.NDArray[Any]
WRITE_BIT = 0x80


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns of the instructions from clock `start` up to `end`, or of those that were asked for."""

    start: int
    end: int
    linear: Column
    """u32: address by which it was fetched."""
    physical: Column
    """u32: where it lies in memory."""
    size: Column
    """u8: bytes."""
    kind: Column
    """u8: KIND_BRANCH 1 control transfer, KIND_REP 2 repeated string instruction, KIND_IO 4 port access."""
    cpl: Column
    """u8: privilege level."""
    refs: Column
    """u8: how many of the references are this instruction's."""
    address: Column
    """u32, by reference: physical address; FFFFFxxx where there is no memory."""
    meta: Column
    """u8, by reference: bytes, and 80h for a store."""
    value: Column | None
    """u64, by reference: what was read or written; None where values were not asked for."""
    spaces: Column
    """Rows of (index of the instruction in the whole stretch, CR3): address space from there on."""
    kept: Column | None = None
    """Index in the whole stretch of each instruction; None: all are there."""
    rows: Sequence[Row] = field(default=())
    """Events with start <= clock, as the monitor told them."""
    target: Column | None = None
    """u32, by reference: linear address; None where it was not asked for."""
    registers: Column | None = None
    """u32, rows of EAX ECX EDX EBX ESP EBP ESI EDI EFLAGS before each instruction; None where not asked for."""
    starts: Column | None = None
    """u32: index of the first instruction of each block that ran; None where not all of the stretch is there."""
    walks: Column | None = None
    """u64, rows of (point, linear page, physical page | rights or fault, 0 read 1 write 2 fetch 3 INVLPG 4 flush)."""
    code: Column | None = None
    """u64, two for each instruction: its bytes, the first one lowest; None where not asked for."""

    def __len__(self) -> int:
        return len(self.linear)

    @property
    def point(self) -> Column:
        """u64: clock of each instruction."""
        if self.kept is None:
            return np.arange(self.start, self.start + len(self.linear), dtype=np.uint64)
        return self.kept.astype(np.uint64) + np.uint64(self.start)

    @property
    def space(self) -> Column:
        """u32: CR3 of each instruction."""
        at = self.kept if self.kept is not None else np.arange(len(self.linear), dtype=np.int64)
        if not len(self.spaces):
            return np.zeros(len(at), np.uint32)
        row = np.searchsorted(self.spaces[:, 0], at.astype(np.uint64), side="right") - 1
        found: Column = self.spaces[np.maximum(row, 0), 1].astype(np.uint32)
        return found

    @property
    def owner(self) -> Column:
        """Index in this batch of the instruction that each reference belongs to."""
        return np.repeat(np.arange(len(self.refs), dtype=np.int64), self.refs)

    @property
    def write(self) -> Column:
        """bool, by reference: is it a store?"""
        found: Column = (self.meta & WRITE_BIT) != 0
        return found

    @property
    def width(self) -> Column:
        """u8, by reference: bytes."""
        found: Column = self.meta & (WRITE_BIT - 1)
        return found

    @property
    def events(self) -> list[Event]:
        """What happened meanwhile: interrupts, exceptions, device accesses."""
        return [from_row(row) for row in self.rows]

    def select(self, instructions: Column, references: Column | None = None) -> "Batch":
        """Only instructions, and of theirs only references, for which a mask is true."""
        owner = self.owner
        mask = instructions[owner]
        if references is not None:
            mask &= references
        counts = np.bincount(owner[mask], minlength=len(self.refs)).astype(np.uint8)
        at = np.flatnonzero(instructions)
        return Batch(
            self.start, self.end, self.linear[at], self.physical[at], self.size[at], self.kind[at],
            self.cpl[at], counts[at], self.address[mask], self.meta[mask],
            None if self.value is None else self.value[mask], self.spaces,
            at if self.kept is None else self.kept[at], self.rows,
            None if self.target is None else self.target[mask],
            None if self.registers is None else self.registers[at], None, self.walks,
            None if self.code is None else self.code[at],
        )  # fmt: skip

    def with_walks(self, walks: Column) -> "Batch":
        """The same with other walks of the page tables."""
        return replace(self, walks=walks)

    def with_rows(self, rows: Sequence[Row]) -> "Batch":
        """The same with other events."""
        return replace(self, rows=rows)
