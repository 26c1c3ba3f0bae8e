"""The guest's segments beside their shadows, and the shadow tables, in the monitor's part of the linear space.

    FFC00000  translation cache      FFFA0000  shadow GDT   FFFB0000  shadow LDT
                                     FFFC0000  the guest's GDT and LDT as they were read last
                                     FFFFF000  the monitor's words: cached descriptors first; what GS reaches

While translated code runs the processor's segment registers, GDTR and LDTR are the monitor's; see probes/shadow.py.
"""

import ctypes
import mmap
from dataclasses import replace
from enum import IntFlag
from typing import Any

from labkit.vm.machine.descriptors import GateDescriptor, SegmentDescriptor, decode
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import shadow
from labkit.vm.machine.shadow_descriptors import compress

__all__ = ["SELECTORS", "SELECTOR_BYTES", "LeftOut", "ShadowSegments"]

SELECTORS, SELECTOR_BYTES = c.TC_WORDS, shadow.RECORD
"""Offset in GS of the six selectors that the guest has, and from one to the next."""
Descriptor = SegmentDescriptor | GateDescriptor
NAMES = ("es", "cs", "ss", "ds", "fs", "gs")
COPY_BYTES, TABLE_BYTES = 0x20000, 0x10000


def _hidden(base: int, limit: int, flags: int) -> SegmentDescriptor:
    """What a segment register holds as a descriptor; `limit` in bytes."""
    granular = bool(flags >> 23 & 1)
    return SegmentDescriptor(
        base, limit >> 12 if granular else limit, flags >> 8 & 15, system=not flags >> 12 & 1, dpl=flags >> 13 & 3,
        present=bool(flags >> 15 & 1), granular=granular, wide=bool(flags >> 22 & 1),
    )  # fmt: skip


def _text(descriptor: SegmentDescriptor) -> str:
    return str(descriptor) if descriptor.present else "null"


class LeftOut(IntFlag):
    """Safeguards that an experiment leaves out."""

    NOTHING = 0
    RELOAD = shadow.KEEP_HIDDEN
    """Segment registers keep their whole segments when translated code begins."""
    SUPERVISOR = shadow.USER_PAGES
    """The monitor's pages are open to programs."""
    CLOSE = shadow.KEEP_OPEN
    """A page stays in the TLB after the monitor's own access to it."""
    TRACE = shadow.UNTRACED
    """Writes to the guest's tables are not noticed."""
    RESERVE_GS = 0x100
    """The translator leaves gs: as it is."""


class ShadowSegments:
    """The monitor's words for one processor, at the end of the memory that the translation cache lies in."""

    def __init__(self, cells: Any, memory: mmap.mmap) -> None:
        self._cells, self._memory = cells, memory
        cells[c.SHADOW] = ctypes.addressof(ctypes.c_char.from_buffer(memory, c.TC_WORDS))

    def word(self, offset: int) -> int:
        """One of the monitor's words."""
        at = c.TC_WORDS + offset
        return int.from_bytes(self._memory[at : at + 8], "little")

    def leave_out(self, safeguards: LeftOut) -> None:
        """From now on; translations that exist stay as they are."""
        self._set(shadow.LEFT_OUT, int(safeguards) | self.word(shadow.LEFT_OUT) & shadow.CHECKED)

    def check_all(self) -> None:
        """The segmentation unit checks before each instruction: the monitor's pages may stay in the TLB of level 1."""
        self._set(shadow.LEFT_OUT, self.word(shadow.LEFT_OUT) | shadow.CHECKED)

    def _set(self, word: int, value: int) -> None:
        at = c.TC_WORDS + word
        self._memory[at : at + 8] = value.to_bytes(8, "little")

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
            "table pages shadowed": shadow.COPIED, "entries compared": shadow.COMPARED,
            "accesses through gs": shadow.GRANTED, "gs lent": shadow.LENT, "nonreversible": shadow.NONREVERSIBLE,
        }  # fmt: skip
        return {name: self.word(word) for name, word in names.items()}

    def rows(self) -> list[tuple[str, int, SegmentDescriptor, int, SegmentDescriptor]]:
        """By register what the guest has, and its shadow, when translated code last began: selector and hidden part."""
        made = []
        for number, name in enumerate(NAMES):
            at = shadow.RECORD * number
            selector, base = self.word(at) & 0xFFFFFFFF, self.word(at + 8)
            limit, flags = self.word(at + 16) & 0xFFFFFFFF, self.word(at + 16) >> 32
            guest = _hidden(base, limit, flags)
            left = int(shadow.cut(self._cells, base, limit, flags))
            cut = _hidden(base, left & 0xFFFFFFFF, left >> 32)
            if name == "gs":
                shown, cut = int(shadow.MONITOR_SELECTOR), _hidden(c.TC_BASE, c.TC_BYTES - 1, int(shadow.MONITOR_FLAGS))
            else:
                shown = selector | (1 if selector > 3 and not selector & 3 else 0)
                cut = replace(cut, dpl=compress(cut.dpl)) if not cut.system else cut
                if name == "cs":
                    cut = replace(guest, dpl=compress(guest.dpl))
            made.append((name, selector, guest, int(shown), cut))
        return made

    def __str__(self) -> str:
        lines = ["what translated code last began on:"]
        for name, selector, guest, shown, cut in self.rows():
            lines += [f"{name}  guest  {selector:04x} {_text(guest)}", f"    shadow {shown:04x} {_text(cut)}"]
        return "\n".join(lines)

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
