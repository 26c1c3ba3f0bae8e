"""The guest's segments beside their shadows, and the shadow tables, in the monitor's part of the linear space.

    FFC00000  translation cache      FFFA0000  shadow GDT   FFFB0000  shadow LDT
                                     FFFC0000  the guest's GDT and LDT as they were read last
                                     FFFFF000  the monitor's words: cached descriptors first; what GS reaches

While translated code runs the processor's segment registers, GDTR and LDTR are the monitor's; see probes/shadow.py.
"""

import ctypes
import mmap
from enum import IntFlag
from typing import Any

from labkit.vm.machine.descriptors import GateDescriptor, SegmentDescriptor, decode
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import shadow

__all__ = ["SELECTORS", "SELECTOR_BYTES", "LeftOut", "ShadowSegments"]

SELECTORS, SELECTOR_BYTES = c.TC_WORDS, shadow.RECORD
"""Offset in GS of the six selectors that the guest has, and from one to the next."""
Descriptor = SegmentDescriptor | GateDescriptor
COPY_BYTES, TABLE_BYTES = 0x20000, 0x10000


class LeftOut(IntFlag):
    """Safeguards that an experiment leaves out."""

    RELOAD = shadow.KEEP_HIDDEN
    SUPERVISOR = shadow.USER_PAGES
    CLOSE = shadow.KEEP_OPEN
    TRACE = shadow.UNTRACED
    RESERVE_GS = 0x100
    """The translator's: gs: stays gs:."""


class ShadowSegments:
    """The monitor's words for one processor, at the end of the memory that the translation cache lies in."""

    def __init__(self, cells: Any, memory: mmap.mmap) -> None:
        self._cells, self._memory = cells, memory
        cells[c.SHADOW] = ctypes.addressof(ctypes.c_char.from_buffer(memory, c.TC_WORDS))

    def word(self, offset: int) -> int:
        """One of the monitor's words."""
        return int.from_bytes(self._memory[c.TC_WORDS + offset : c.TC_WORDS + offset + 8], "little")

    def leave_out(self, safeguards: LeftOut) -> None:
        """From now on; translations that exist stay as they are."""
        at = c.TC_WORDS + shadow.LEFT_OUT
        self._memory[at : at + 8] = int(safeguards).to_bytes(8, "little")

    @property
    def leaves_gs(self) -> bool:
        """Is GS not reserved: does the guest's own gs: stay what it is?"""
        return bool(self.word(shadow.LEFT_OUT) & LeftOut.RESERVE_GS)

    def enter(self) -> None:
        """Translated code is about to run."""
        shadow.enter_translated(self._cells)

    def leave(self) -> None:
        """It has stopped."""
        shadow.leave_translated(self._cells)

    def is_reversible(self) -> bool:
        """Would loads of the data selectors that the guest has give what the registers hold? Between two runs."""
        return bool(shadow.may_run_directly(self._cells))

    @property
    def counts(self) -> dict[str, int]:
        """What was done with descriptors."""
        names = {
            "segment reloads": shadow.ENTERED, "descriptors loaded": shadow.LOADED,
            "table pages shadowed": shadow.COPIED,
            "accesses through gs": shadow.GRANTED, "gs lent": shadow.LENT, "nonreversible": shadow.NONREVERSIBLE,
        }  # fmt: skip
        return {name: self.word(word) for name, word in names.items()}

    def entry(self, selector: int) -> tuple[Descriptor, Descriptor] | None:
        """A descriptor of the guest's as it was read last, and its shadow; None outside the table."""
        ldt, offset = bool(selector & 4), selector & 0xFFF8
        record = shadow.LDT if ldt else shadow.GDT
        base, limit = self.word(record + 8), self.word(record + 16) & 0xFFFFFFFF
        if offset + 7 > limit:
            return None
        copy = c.TC_COPIES + COPY_BYTES * ldt + (base & 0xFFF) + offset
        shown = c.TC_SHADOWS + TABLE_BYTES * ldt + offset
        return self._descriptor(copy), self._descriptor(shown)

    def _descriptor(self, at: int) -> Descriptor:
        low, high = (int.from_bytes(self._memory[place : place + 4], "little") for place in (at, at + 4))
        return decode(low, high)
