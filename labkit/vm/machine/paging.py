"""Paging as data: the walk from a linear address, level by level, without side effects.

The processor itself uses the compiled walk (probes/walk.py); this one is for looking: debugger, pictures, the
monitor. No accessed or dirty bit is set and CR2 stays.

    32-bit   31      22 21      12 11     0     PAE   31 30 29      21 20   12 11     0
            | directory |  table  | offset |         |ptr | directory | table | offset |

Source: Intel SDM volume 3A, chapter 4.
"""

from dataclasses import dataclass

from labkit.vm.machine.memory import Memory
from labkit.vm.machine.registers import RegisterFile
from labkit.vm.machine.state import Registers

__all__ = ["Level", "Walk", "translate", "walk"]

PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL, NX = 1, 2, 4, 0x20, 0x40, 0x80, 0x100, 1 << 63
FLAG_NAMES = (
    (PRESENT, "P"), (WRITE, "W"), (USER, "U"), (ACCESSED, "A"), (DIRTY, "D"), (LARGE, "PS"), (GLOBAL, "G"),
    (NX, "NX"),
)  # fmt: skip
PG, PAE, PSE = 1 << 31, 1 << 5, 1 << 4


@dataclass(frozen=True, slots=True)
class Level:
    """One entry on the way: where it lies (physical), its index in its table, its value."""

    name: str
    index: int
    physical: int
    entry: int

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the flags that are set."""
        return tuple(name for bit, name in FLAG_NAMES if self.entry & bit)

    def __str__(self) -> str:
        flags = " ".join(self.flags)
        return f"{self.name}[{self.index:x}h] at {self.physical:08x} = {self.entry:08x} {flags}"


@dataclass(frozen=True, slots=True)
class Walk:
    """A page walk: its levels, and the physical address; None where it ends at a page that is not present."""

    linear: int
    levels: tuple[Level, ...]
    physical: int | None
    page_size: int

    def __str__(self) -> str:
        end = "not present" if self.physical is None else f"{self.physical:08x}"
        levels = (f"  {level}" for level in self.levels)
        return "\n".join([f"linear {self.linear:08x}", *levels, f"  physical {end}"])


def walk(registers: RegisterFile | Registers, memory: Memory, linear: int) -> Walk:
    """Walk the page tables for a linear address."""
    if not registers.cr0 & PG:
        return Walk(linear, (), linear, 0)
    if registers.cr4 & PAE:
        return _walk_pae(registers.cr3, memory, linear)
    return _walk32(registers.cr3, memory, linear, bool(registers.cr4 & PSE))


def _entry(memory: Memory, name: str, table: int, index: int, size: int) -> Level:
    physical = table + index * size
    return Level(name, index, physical, int.from_bytes(memory.read(physical, size), "little"))


def _walk32(cr3: int, memory: Memory, linear: int, large_pages: bool) -> Walk:
    directory = _entry(memory, "directory", cr3 & 0xFFFFF000, linear >> 22, 4)
    if not directory.entry & PRESENT:
        return Walk(linear, (directory,), None, 0)
    if directory.entry & LARGE and large_pages:
        base = (directory.entry & 0xFFC00000) | (directory.entry & 0x1E000) << 19
        return Walk(linear, (directory,), base | linear & 0x3FFFFF, 1 << 22)
    table = _entry(memory, "table", directory.entry & 0xFFFFF000, linear >> 12 & 0x3FF, 4)
    if not table.entry & PRESENT:
        return Walk(linear, (directory, table), None, 0)
    return Walk(linear, (directory, table), table.entry & 0xFFFFF000 | linear & 0xFFF, 4096)


def _walk_pae(cr3: int, memory: Memory, linear: int) -> Walk:
    frame = 0xFFFFFF000
    levels = [_entry(memory, "pointer", cr3 & 0xFFFFFFE0, linear >> 30, 8)]
    for name, shift in (("directory", 21), ("table", 12)):
        if not levels[-1].entry & PRESENT:
            return Walk(linear, tuple(levels), None, 0)
        levels.append(_entry(memory, name, levels[-1].entry & frame, linear >> shift & 0x1FF, 8))
        if name == "directory" and levels[-1].entry & (LARGE | PRESENT) == LARGE | PRESENT:
            base = levels[-1].entry & 0xFFFE00000
            return Walk(linear, tuple(levels), base | linear & 0x1FFFFF, 1 << 21)
    if not levels[-1].entry & PRESENT:
        return Walk(linear, tuple(levels), None, 0)
    return Walk(linear, tuple(levels), levels[-1].entry & frame | linear & 0xFFF, 4096)


def translate(registers: RegisterFile | Registers, memory: Memory, linear: int) -> int | None:
    """The physical address behind a linear one, None where no page is present."""
    return walk(registers, memory, linear).physical
