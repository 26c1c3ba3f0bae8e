"""The protection unit of a machine whose mmu is "keys": what is written here, the compiled TLB fill goes by.

`ProtectionUnit` (tlb.py) says what the unit is; this one also packs its entries and registers into the words that
probes/unit_fill.py reads. Before the processor runs on, `settle` lets it forget what it remembers of older ones.
"""

import ctypes
from itertools import product

import numpy as np
import numpy.typing as npt

from labkit.vm.machine.access_rights import LEVELS, RIGHTS, Access, allowed
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes import unit_fill as words
from labkit.vm.machine.processor import Processor
from labkit.vm.machine.protection_keys import KeyRegister, KeyRegisters
from labkit.vm.machine.tlb import Entry, Fault, ProtectionUnit, Tlb, UnitState

__all__ = ["PhysicalUnit", "packed"]

SPACES, PAGES = 4, 1 << 20


def packed(entry: Entry) -> int:
    """An entry as the word that the compiled fill reads (drawn in probes/unit_fill.py)."""
    bits = entry.present << 5 | entry.dirty << 6 | entry.accessed << 7 | 1 << 19
    return entry.frame << 44 | entry.key << 20 | bits | entry.level << 3 | entry.rights


class _Tlb(Tlb):
    """A TLB that keeps its entries' words up to date."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.words = np.zeros(SPACES * PAGES, np.uint64)
        self.changed = True

    def insert(self, entry: Entry) -> Entry | None:
        """Put a translation in; the one that had to go."""
        gone = super().insert(entry)
        if gone is not None:
            self.words[gone.space * PAGES + gone.page] = 0
        self.words[entry.space * PAGES + entry.page] = packed(entry)
        self.changed = True
        return gone

    def purge(self, page: int, space: int = 0) -> bool:
        """Take a translation out."""
        self.words[space * PAGES + page] = 0
        self.changed = True
        return super().purge(page, space)

    def purge_all(self) -> None:
        """Take all out."""
        for space, page in self.entries:
            self.words[space * PAGES + page] = 0
        self.changed = True
        super().purge_all()


class _Registers(KeyRegisters):
    """Key registers that keep their words up to date."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.words = np.zeros(size, np.uint32)
        self.changed = True

    def __setitem__(self, index: int, register: KeyRegister) -> None:
        twin = self.find(register.key) if register.valid else None
        super().__setitem__(index, register)
        if twin is not None:
            self.words[twin] = 0
        self.words[index] = register.word if register.valid else 0
        self.changed = True


class PhysicalUnit(ProtectionUnit):
    """A protection unit that decides what guest code on a processor may do.

    `translate` off means physical addresses and no checks, as after a reset. Pages are below 2^20, spaces below 4.
    Raises `ValueError` for a processor with another mmu.
    """

    def __init__(self, processor: Processor, registers: int = 16, entries: int = 128) -> None:
        if processor.mmu != "keys":
            raise ValueError(f"this machine's mmu is {processor.mmu!r}: make one with mmu='keys'")
        super().__init__(registers, entries)
        self._processor = processor
        self.translate = False
        self.tlb: _Tlb = _Tlb(entries)
        self.registers: _Registers = _Registers(registers)
        self._rights: npt.NDArray[np.uint8] = np.array(
            [allowed(*case) for case in product(RIGHTS, LEVELS, LEVELS)], np.uint8
        )
        address = int(processor.cells[c.PROTECTION])
        self._words = (ctypes.c_uint64 * words.SIZE).from_address(address)
        self._words[words.TLB] = self.tlb.words.ctypes.data
        self._words[words.REGISTERS] = self.registers.words.ctypes.data
        self._words[words.COUNT] = registers
        self._words[words.RIGHTS] = self._rights.ctypes.data
        self.settle()

    def settle(self) -> None:
        """Let what has changed take effect: to be called before the processor runs on."""
        now = (self.level, int(self.keys_on), int(self.translate), self.space)
        if self.tlb.changed or self.registers.changed or now != tuple(self._words[: len(now)]):
            self._words[: len(now)] = list(now)
            self.tlb.changed = self.registers.changed = False
            self._processor.flush_tlb()

    def load(self, saved: UnitState) -> None:
        """Exact inverse of `save`, at once in effect."""
        super().load(saved)
        self.settle()

    def compiled_fault(self, page: int, access: Access) -> Fault:
        """What the compiled fill says to an access: the same as `check`, as tests show."""
        self.settle()
        answer = words.verdict(self._processor.array.ctypes.data, page, access.bit)
        return Fault(0 if answer & 256 else answer)
