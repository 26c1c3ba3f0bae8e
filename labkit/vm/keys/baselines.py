"""Other ways to give the guest four levels on one: what keys are compared with.

    Retranslation      access rights for the present level only; all entries go when the level changes
    DuplicateEntries   an entry for each level, told apart by a tag (a region identifier): more entries, more refills
    NoVirtualization   the guest has the real unit and all its levels: what nothing costs

In all of them the guest's keys go into the hardware as they are, so that it has as many registers as the guest.
"""

from dataclasses import replace

from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine.access_rights import ALL, EXECUTE, READ, WRITE
from labkit.vm.machine.tlb import Fault, Verdict

__all__ = ["DuplicateEntries", "NoVirtualization", "Retranslation"]

EXACT = {
    0: (0, 0), READ: (0, 3), READ | EXECUTE: (1, 3), READ | WRITE: (2, 3), ALL: (3, 3), EXECUTE: (7, 3),
}  # fmt: skip
"""By what one level may do: the access rights and page level that say so at hardware level 3. An AR 7 page lets who
executes EPC there become the page's level, so the page's level is the hardware's own."""


class Retranslation(VirtualUnit):
    """Entries hold what the current level may do; the TLB is purged when it changes.

    Raises `ValueError` for more key registers of the guest than the hardware has.
    """

    name = "purge"

    def __init__(self, registers: int = 16, entries: int = 128, guest_registers: int | None = None) -> None:
        super().__init__(registers, entries, guest_registers)
        if len(self.keys) > registers:
            raise ValueError(f"{len(self.keys)} key registers of the guest on {registers}: only shadow keys share them")

    def fill(self, page: int) -> None:
        """Put the entry of a page into the hardware, with the rights of the guest's level."""
        entry = self.translations[page]
        rights, level = EXACT[self.rights_now(entry)]
        self.hardware.tlb.insert(replace(entry, rights=rights, level=level, space=self.hardware.space))
        self.counts.refills += 1

    def mend(self, page: int, verdict: Verdict) -> bool:
        """Only a missing entry is not the guest's concern."""
        if verdict.fault is not Fault.MISS:
            return False
        self.fill(page)
        return True

    def forget(self, page: int) -> None:
        """The entry goes from every space."""
        for space in {space for space, held in self.hardware.tlb.entries if held == page}:
            self.hardware.tlb.purge(page, space)

    def keys_changed(self, keys: set[int]) -> None:
        """The guest's registers are the hardware's."""
        for index in range(len(self.keys)):
            self.write_key(index, self.keys[index])

    def level_changed(self) -> None:
        """Every entry may be wrong now."""
        self.hardware.tlb.purge_all()

    def checking_changed(self) -> None:
        """The hardware checks keys when the guest's unit would."""
        self.hardware.keys_on = self.keys_on


class DuplicateEntries(Retranslation):
    """Entries of all levels side by side, each in its level's space."""

    name = "entry per level"

    def level_changed(self) -> None:
        """The other level's entries are looked at from now on."""
        self.hardware.space = self.level


class NoVirtualization(Retranslation):
    """The real unit, for the guest alone: entries as they are, and the guest's levels are real."""

    name = "none"

    def __init__(self, registers: int = 16, entries: int = 128, guest_registers: int | None = None) -> None:
        super().__init__(registers, entries, guest_registers)
        self.hardware.level = self.level

    def fill(self, page: int) -> None:
        """The guest's entry itself."""
        self.hardware.tlb.insert(self.translations[page])
        self.counts.refills += 1

    def level_changed(self) -> None:
        """A field of the processor's status register."""
        self.hardware.level = self.level
