"""The register file: direct, typed access to the processor's registers and segment caches.

Only valid between two instructions or inside a hook. EFLAGS is whole between runs; inside a hook its status
flags may be stale (Unicorn keeps them lazily), all other bits are right.
"""

import ctypes
from typing import Any

from labkit.vm.machine.probes import layout
from labkit.vm.machine.state import Registers, Segment

__all__ = ["CS", "DS", "ES", "FS", "GDT", "GS", "IDT", "LDT", "NMI_MASK", "SS", "TR", "RegisterFile"]

ES, CS, SS, DS, FS, GS, LDT, TR, GDT, IDT = range(10)
CPL, INHIBIT, CS32, SS32, ADDSEG = 3, 8, 0x10, 0x20, 0x40
VM = 0x20000
TASK_BUSY = 1 << 9  # of a task state segment's type; Unicorn never has it in TR, and ends at a call gate if it finds it
NMI_MASK = 4  # in hflags2; Unicorn's IRET clears it
BIG = 1 << 22  # D/B bit in a descriptor's second word
FLAT_CODE, FLAT_DATA = 0x00CF9B00, 0x00CF9300


class _Segment(ctypes.Structure):
    _fields_ = (
        ("selector", ctypes.c_uint32),
        ("pad", ctypes.c_uint32),
        ("base", ctypes.c_uint64),
        ("limit", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
    )


def _word(offset: int, kind: Any = ctypes.c_uint32) -> property:
    def read(self: "RegisterFile") -> int:
        return int(kind.from_address(self.address + offset).value)

    def write(self: "RegisterFile", value: int) -> None:
        kind.from_address(self.address + offset).value = value

    return property(read, write)


class RegisterFile:
    """Views of the processor's registers in place. `general` indexes EAX ECX EDX EBX ESP EBP ESI EDI."""

    def __init__(self, address: int, debug: int) -> None:
        self.address = address
        self.general: Any = (ctypes.c_uint64 * 8).from_address(address)
        self.segments: Any = (_Segment * 10).from_address(address + layout.SEGMENTS)
        self.debug: Any = (ctypes.c_uint64 * 8).from_address(debug)

    eip = _word(layout.EIP)
    eflags = _word(layout.EFLAGS, ctypes.c_uint64)
    hflags = _word(layout.HFLAGS)
    hflags2 = _word(layout.HFLAGS + 4)
    cr0 = _word(layout.CR0, ctypes.c_uint64)
    cr2 = _word(layout.CR2, ctypes.c_uint64)
    cr3 = _word(layout.CR3, ctypes.c_uint64)
    cr4 = _word(layout.CR4, ctypes.c_uint64)
    efer = _word(layout.EFER, ctypes.c_uint64)
    sysenter_cs = _word(layout.SYSENTER_CS)

    @property
    def cpl(self) -> int:
        """Current privilege level, 0..3."""
        return int(self.hflags & CPL)

    @property
    def iopl(self) -> int:
        """I/O privilege level, 0..3."""
        return int(self.eflags >> 12 & 3)

    @property
    def linear_eip(self) -> int:
        """CS base + EIP."""
        return int(self.eip + self.segments[CS].base) & 0xFFFFFFFF

    @property
    def nmi_masked(self) -> bool:
        """An NMI was delivered and no IRET has retired since: no other is taken."""
        return bool(self.hflags2 & NMI_MASK)

    @property
    def can_take_interrupt(self) -> bool:
        """IF is set and no STI or MOV SS shadow holds interrupts off for one more instruction."""
        return bool(self.eflags & 0x200) and not self.hflags & INHIBIT

    def load_segment(self, index: int, selector: int, low: int, high: int) -> None:
        """Load a segment register's hidden part from the two words of a descriptor (SDM 3A, figure 3-8).

        high   31      24 23 22 21 20 19    16 15 14 13 12 11   8 7       0
              |base 31:24|G |D |L |A |lim 19:16|P| DPL |S| type  |base 23:16|
        low   |        base 15:0            |          limit 15:0           |
        """
        segment = self.segments[index]
        limit = (low & 0xFFFF) | (high & 0xF0000)
        if high & 1 << 23:
            limit = limit << 12 | 0xFFF
        if index == TR:
            high &= ~TASK_BUSY
        segment.selector, segment.limit, segment.flags = selector, limit, high
        segment.base = (low >> 16) | (high & 0xFF) << 16 | (high & 0xFF000000)

    def load_real_segment(self, index: int, selector: int) -> None:
        """Load a segment register as in real or virtual-8086 mode: base = selector x 16."""
        segment = self.segments[index]
        segment.selector, segment.base, segment.limit = selector, selector << 4, 0xFFFF
        segment.flags = 0x9300 | (0x6000 if self.eflags & VM else 0)

    def clear_segment(self, index: int) -> None:
        """Load the null selector."""
        segment = self.segments[index]
        segment.selector = segment.base = segment.limit = segment.flags = 0

    def set_flat(self, code: int, data: int) -> None:
        """Protected mode, ring 0, flat 4 GB segments, as a boot loader leaves them."""
        self.cr0 |= 1
        self.load_segment(CS, code, 0xFFFF, FLAT_CODE)
        for index in (ES, SS, DS, FS, GS):
            self.load_segment(index, data, 0xFFFF, FLAT_DATA)
        self.hflags |= 0x80  # HF_PE
        self.derive(0)

    def derive(self, cpl: int) -> None:
        """Bring the derived state (privilege level, code and stack size) in line with the segments."""
        flags = self.hflags & ~(CPL | INHIBIT | CS32 | SS32 | ADDSEG)
        segments = self.segments
        if segments[CS].flags & BIG:
            flags |= CS32
        if segments[SS].flags & BIG:
            flags |= SS32
        simple = self.cr0 & 1 and not self.eflags & VM and flags & CS32
        if not simple or segments[DS].base or segments[ES].base or segments[SS].base:
            flags |= ADDSEG
        self.hflags = flags | cpl

    def snapshot(self) -> Registers:
        """All registers as an immutable value."""
        s = [Segment(x.selector & 0xFFFF, x.base, x.limit, x.flags) for x in self.segments]
        eax, ecx, edx, ebx, esp, ebp, esi, edi = (x & 0xFFFFFFFF for x in self.general)
        return Registers(
            eax=eax, ecx=ecx, edx=edx, ebx=ebx, esp=esp, ebp=ebp, esi=esi, edi=edi, eip=self.eip,
            eflags=self.eflags & 0xFFFFFFFF, es=s[ES], cs=s[CS], ss=s[SS], ds=s[DS], fs=s[FS], gs=s[GS],
            ldtr=s[LDT], tr=s[TR], gdtr=(s[GDT].base, s[GDT].limit), idtr=(s[IDT].base, s[IDT].limit),
            cr0=self.cr0, cr2=self.cr2, cr3=self.cr3, cr4=self.cr4, efer=self.efer, cpl=self.cpl,
            debug=tuple(int(x) for x in self.debug),
        )  # fmt: skip
