"""Where things lie in a PC's physical memory: the map that firmware reports, and what loaders may use of it.

======== =================================================================
00000000 interrupt vectors and BIOS data area (the board's)
00000500 free; the boot GDT is here, by default at 8000, and the stack below it
00090000 boot parameters and command line
0009FC00 extended BIOS data area (the board's)
000A0000 VGA memory, ROMs
00100000 free, up to the end of memory
C0000000 devices
======== =================================================================
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import Placement, StartState

__all__ = [
    "BARE_CODE", "DEFAULT_MEMORY", "HIGH_MEMORY", "LINUX_CODE", "LOW_MEMORY_END", "LOW_MEMORY_START",
    "MAX_MEMORY", "Extent", "Region", "RegionKind", "bare_start", "check_extents", "check_memory",
    "extent_of", "flat_gdt", "memory_map",
]  # fmt: skip

LOW_MEMORY_START = 0x500
LOW_MEMORY_END = 0x9FC00
HIGH_MEMORY = 0x10_0000
MIN_MEMORY = 2 << 20
MAX_MEMORY = 3 << 30
DEFAULT_MEMORY = 128 << 20

BARE_CODE, LINUX_CODE = 0x08, 0x10
"""Selectors of the boot GDT's code; data is the next."""
_GDT_PLACES = (0x8000, 0x80000, 0x9F000)
_STACK = 0x1000


class RegionKind(IntEnum):
    """Kinds of memory as INT 15h, AX=E820h numbers them (ACPI specification, section 15)."""

    USABLE = 1
    RESERVED = 2


@dataclass(frozen=True, slots=True)
class Region:
    """One line of the firmware's memory map; address and size in bytes."""

    address: int
    size: int
    kind: RegionKind


@dataclass(frozen=True, slots=True)
class Extent:
    """A range of guest memory that something of a boot image occupies."""

    address: int
    size: int
    what: str

    @property
    def end(self) -> int:
        """First address after the range."""
        return self.address + self.size

    def __str__(self) -> str:
        return f"{self.what} ({self.address:08x}-{self.end - 1:08x})"


def extent_of(placement: Placement) -> Extent:
    """What a placement occupies."""
    return Extent(placement.address, len(placement.data), placement.what)


def check_memory(memory: int) -> None:
    """Raise GuestError unless `memory` (bytes) is a size that the PC can have."""
    if not MIN_MEMORY <= memory <= MAX_MEMORY or memory % 4096:
        raise GuestError(
            f"{memory:,} bytes of memory: a guest can have {MIN_MEMORY >> 20} MB to {MAX_MEMORY >> 20:,} MB"
            " (above that lie the devices), in whole pages of 4096 bytes"
        )


def memory_map(memory: int) -> tuple[Region, ...]:
    """What firmware reports for `memory` bytes of memory, in order of address."""
    return (
        Region(0, LOW_MEMORY_END, RegionKind.USABLE),
        Region(LOW_MEMORY_END, 0xA0000 - LOW_MEMORY_END, RegionKind.RESERVED),
        Region(0xF0000, HIGH_MEMORY - 0xF0000, RegionKind.RESERVED),
        Region(HIGH_MEMORY, memory - HIGH_MEMORY, RegionKind.USABLE),
    )


#  63      56 55 54 53 52 51   48 47 46 45 44 43  40 39      32 31      16 15       0
#  base 31:24  G  D  0  A  limit   P  DPL   S  type  base 23:16  base 15:0  limit 15:0
#  00          1  1  0  0  F       1  0     1  A/2   00          0000       FFFF
def flat_gdt(taken: Iterable[Extent] = (), code_selector: int = BARE_CODE) -> Placement:
    """The boot GDT: `code_selector` is flat 4 GB code and the next one flat 4 GB data, both ring 0.

    It goes where it and a stack below it meet nothing of `taken`, if there is such a place in low memory.
    No standard says which selectors a kernel finds, but many small kernels count on 08h and 10h: they never
    load CS and SS from their own GDT. Linux asks for 10h and 18h (Documentation/arch/x86/boot.rst).
    """
    occupied = tuple(taken)
    place = next((at for at in _GDT_PLACES if _free(at - _STACK, at + 4 * 8, occupied)), _GDT_PLACES[0])
    code, data = (struct.pack("<HHBBBB", 0xFFFF, 0, 0, access, 0xCF, 0) for access in (0x9A, 0x92))
    return Placement(place, bytes(code_selector) + code + data, "the boot GDT")


def bare_start(eip: int, gdt: Placement) -> StartState:
    """A start at `eip` with the boot GDT and the stack below it, all other registers 0."""
    data_selector = len(gdt.data) - 8
    return StartState(
        eip, esp=gdt.address, gdt_address=gdt.address, gdt_limit=len(gdt.data) - 1,
        code_selector=data_selector - 8, data_selector=data_selector,
    )  # fmt: skip


def _free(start: int, end: int, occupied: tuple[Extent, ...]) -> bool:
    return all(end <= extent.address or extent.end <= start for extent in occupied)


def check_extents(extents: Iterable[Extent], memory: int) -> None:
    """Raise GuestError when an extent lies outside usable memory or two of them overlap."""
    check_memory(memory)
    ordered = sorted((e for e in extents if e.size), key=lambda e: (e.address, e.end))
    for extent in ordered:
        low = extent.address >= LOW_MEMORY_START and extent.end <= LOW_MEMORY_END
        high = extent.address >= HIGH_MEMORY and extent.end <= memory
        if not low and not high:
            raise GuestError(_outside(extent, memory))
    for first, second in pairwise(ordered):
        if second.address < first.end:
            raise GuestError(f"{first} overlaps {second} in guest memory")


def _outside(extent: Extent, memory: int) -> str:
    if extent.address >= HIGH_MEMORY and extent.end <= MAX_MEMORY:
        return f"{extent} lies beyond the guest's {memory >> 20} MB of memory; give it more"
    return (
        f"{extent} lies outside usable memory, which is {LOW_MEMORY_START:08x}-{LOW_MEMORY_END - 1:08x} and"
        f" {HIGH_MEMORY:08x}-{memory - 1:08x}"
    )
