"""A TLB whose entries carry access rights, a level and a key; and the check that it makes of each access.

    miss -> not present -> key miss -> key permission -> access rights -> dirty -> access bit -> allowed

The first gate that is shut raises the fault; those behind it are not looked at. (Itanium has one more, the
NaT page, between the second and the third: a page of no value, for speculative loads. This unit does not have it: its
guests are x86 code, which has no such loads, and it is the same for every level and key, so nothing to virtualize.)
Source: Itanium architecture manual, volume 2, sections 4.1.1 and 5.5; the order also in HP's Ski simulator.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from labkit.vm.machine.access_rights import NAMES, WRITE, Access, allowed
from labkit.vm.machine.protection_keys import KeyRegister, KeyRegisters

__all__ = ["Entry", "Fault", "ProtectionUnit", "Tlb", "UnitState", "Verdict", "check"]


class Fault(IntEnum):
    """The gates, in the order in which they are passed; `NONE` is behind the last."""

    NONE = 0
    MISS = 1
    NOT_PRESENT = 2
    KEY_MISS = 3
    KEY_PERMISSION = 4
    ACCESS_RIGHTS = 5
    DIRTY_BIT = 6
    ACCESS_BIT = 7

    def __str__(self) -> str:
        return "allowed" if self is Fault.NONE else self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One translation: virtual page and physical frame by number, access rights 0..7, page level 0..3, key.

    `space` is a tag (a region identifier): the TLB holds one entry for each page in each space.
    """

    page: int
    frame: int
    rights: int
    level: int
    key: int = 0
    present: bool = True
    dirty: bool = True
    accessed: bool = True
    space: int = 0

    def __str__(self) -> str:
        flags = "".join(
            letter if on else "-"
            for letter, on in zip("pda", (self.present, self.dirty, self.accessed), strict=True)
        )
        kind = f"{self.rights} {NAMES[self.rights]}"
        return f"{self.page:05x}→{self.frame:05x} {kind:<8} level {self.level} key {self.key:03x} {flags}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the unit says to an access: the fault (or `NONE`), the entry and the key register it found."""

    fault: Fault
    entry: Entry | None = None
    register: KeyRegister | None = None

    @property
    def passed(self) -> bool:
        """Is the access allowed?"""
        return self.fault is Fault.NONE

    def __str__(self) -> str:
        return str(self.fault)


def check(entry: Entry | None, registers: KeyRegisters | None, level: int, access: Access) -> Verdict:
    """The verdict on an access at a privilege level; without `registers` keys are not checked (PSR.pk = 0)."""
    if entry is None:
        return Verdict(Fault.MISS)
    if not entry.present:
        return Verdict(Fault.NOT_PRESENT, entry)
    bit, register = access.bit, None
    if registers is not None:
        register = registers.get(entry.key)
        if register is None:
            return Verdict(Fault.KEY_MISS, entry)
        if register.disabled & bit:
            return Verdict(Fault.KEY_PERMISSION, entry, register)
    if not allowed(entry.rights, entry.level, level) & bit:
        return Verdict(Fault.ACCESS_RIGHTS, entry, register)
    if bit == WRITE and not entry.dirty:
        return Verdict(Fault.DIRTY_BIT, entry, register)
    if not entry.accessed:
        return Verdict(Fault.ACCESS_BIT, entry, register)
    return Verdict(Fault.NONE, entry, register)


class Tlb:
    """Up to `size` translations; a new one takes the place of the oldest. Raises `ValueError` below one.

    It counts what has been done to it, whoever did it: `purges` of all, `entry_purges` of one that was there, and
    `rewritten`, those that another value of the same page and space has replaced.
    """

    def __init__(self, size: int = 128) -> None:
        if size < 1:
            raise ValueError(f"a TLB of {size} entries: at least one")
        self.size = size
        self.entries: dict[tuple[int, int], Entry] = {}
        self.purges = self.entry_purges = self.rewritten = 0

    def find(self, page: int, space: int = 0) -> Entry | None:
        """The translation of a page."""
        return self.entries.get((space, page))

    def insert(self, entry: Entry) -> Entry | None:
        """Put a translation in; the one of another page that had to go, if any."""
        old = self.entries.pop((entry.space, entry.page), None)
        self.rewritten += old is not None and old != entry
        gone = None
        if len(self.entries) >= self.size:
            gone = self.entries.pop(next(iter(self.entries)))
        self.entries[entry.space, entry.page] = entry
        return gone

    def purge(self, page: int, space: int = 0) -> bool:
        """Take the translation of a page out; whether there was one."""
        there = self.entries.pop((space, page), None) is not None
        self.entry_purges += there
        return there

    def purge_all(self) -> None:
        """Take all out."""
        self.purges += 1
        self.entries.clear()

    def load(self, entries: Iterable[Entry]) -> None:
        """Hold these, the oldest first; nothing is counted."""
        counted = self.purges, self.entry_purges, self.rewritten
        self.purge_all()
        for entry in entries:
            self.insert(entry)
        self.purges, self.entry_purges, self.rewritten = counted


@dataclass(frozen=True, slots=True)
class UnitState:
    """All that a unit holds, as a value: what a checkpoint keeps of it. The oldest entry comes first."""

    level: int
    space: int
    keys_on: bool
    translate: bool
    entries: tuple[Entry, ...]
    registers: tuple[KeyRegister, ...]


class ProtectionUnit:
    """TLB, key registers, current level: the part of the processor that says yes or no.

    `translate` is for who drives it: with it off addresses are physical and nobody asks `check`.
    """

    def __init__(self, registers: int = 16, entries: int = 128) -> None:
        self.tlb = Tlb(entries)
        self.registers = KeyRegisters(registers)
        self.level = 0
        self.space = 0
        self.keys_on = True
        self.translate = True

    def check(self, page: int, access: Access) -> Verdict:
        """The verdict on an access to a page, by number, at the current level."""
        registers = self.registers if self.keys_on else None
        return check(self.tlb.find(page, self.space), registers, self.level, access)

    def save(self) -> UnitState:
        """All that it holds."""
        entries, registers = tuple(self.tlb.entries.values()), tuple(self.registers)
        return UnitState(self.level, self.space, self.keys_on, self.translate, entries, registers)

    def load(self, saved: UnitState) -> None:
        """Exact inverse of `save`, by a unit of the same size."""
        self.level, self.space = saved.level, saved.space
        self.keys_on, self.translate = saved.keys_on, saved.translate
        self.tlb.load(saved.entries)
        self.registers.load(saved.registers)
