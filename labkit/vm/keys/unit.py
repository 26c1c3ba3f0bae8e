"""What every way of virtualizing the protection unit has in common: the guest's view of it, and the counts.

    guest:    insert, purge, set_register, set_level, access, probe      -- privileged operations, and accesses
    virtual:  the translations, key registers and level that the guest has set: what it would see on its own unit
    hardware: the real unit, on which the guest runs at the one level `HARDWARE_LEVEL`

The virtual TLB holds all that the guest has inserted and not purged. A fault of the hardware is *hidden* when the
guest's own unit would have let the access pass: the monitor mends the hardware and the access is tried again.
Otherwise it is *reflected*, as the fault that the guest's unit would have raised. (A missing entry is filled first,
whatever the guest's unit says to what it holds: the next try tells.)
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from labkit.vm.machine.access_rights import Access, allowed
from labkit.vm.machine.protection_keys import KeyRegister, KeyRegisters
from labkit.vm.machine.tlb import Entry, Fault, ProtectionUnit, UnitState, Verdict, check

__all__ = ["HARDWARE_LEVEL", "Counts", "VirtualState", "VirtualUnit"]

HARDWARE_LEVEL = 3
"""The one real level that all four of the guest's run on; the monitor has 0 for itself."""
MOST_TRIES = 4


@dataclass(slots=True)
class Counts:
    """What has happened so far; `key_writes` and `rewritten` count what holds another value afterwards.

    `purges`, `entry_purges` and `rewritten` are the count of the hardware's TLB itself.
    """

    accesses: int = 0
    level_changes: int = 0
    refills: int = 0  # entries put into the hardware's TLB for an access that found none
    key_misses: int = 0  # hidden: the guest holds the key, its shadow was in no register
    key_writes: int = 0  # hardware key registers written
    purges: int = 0  # of the whole hardware TLB
    entry_purges: int = 0  # of single entries
    rewritten: int = 0  # hardware entries changed in place
    recycled: int = 0  # shadow keys taken from one use and given to another
    hidden: int = 0  # faults of the hardware that the guest never sees
    reflected: int = 0  # faults that it sees


@dataclass(frozen=True, slots=True)
class VirtualState:
    """All that a virtual unit holds, its hardware included: what a checkpoint keeps of it.

    `own` is what only some way to virtualize has.
    """

    translations: tuple[Entry, ...]
    keys: tuple[KeyRegister, ...]
    level: int
    keys_on: bool
    hardware: UnitState
    counts: Counts
    own: Any = None


class VirtualUnit(ABC):
    """The guest's protection unit, on a real one of `registers` key registers and `entries` translations.

    `guest_registers` is the number of the guest's own key registers, by default as many.
    """

    name = ""

    def __init__(self, registers: int = 16, entries: int = 128, guest_registers: int | None = None) -> None:
        self.translations: dict[int, Entry] = {}
        self.keys = KeyRegisters(registers if guest_registers is None else guest_registers)
        self.level = 0
        self.keys_on = True
        self.hardware = ProtectionUnit(registers, entries)
        self.hardware.level = HARDWARE_LEVEL
        self._counts = Counts()

    @property
    def counts(self) -> Counts:
        """What has happened so far."""
        tlb, counts = self.hardware.tlb, self._counts
        counts.purges, counts.entry_purges, counts.rewritten = tlb.purges, tlb.entry_purges, tlb.rewritten
        return counts

    def attach(self, hardware: ProtectionUnit) -> None:
        """Use this unit, as empty as the present one, from now on."""
        hardware.level, hardware.keys_on = self.hardware.level, self.hardware.keys_on
        self.hardware = hardware

    def save(self) -> VirtualState:
        """All that it holds."""
        return VirtualState(
            tuple(self.translations.values()), tuple(self.keys), self.level, self.keys_on, self.hardware.save(),
            replace(self.counts),
        )  # fmt: skip

    @property
    def state_bytes(self) -> int:
        """Memory that what `save` gives takes, in about: the guest may insert a million translations."""
        return 8 * len(self.translations)

    def load(self, saved: VirtualState) -> None:
        """Exact inverse of `save`, by a unit of the same kind and size."""
        self.translations = {entry.page: entry for entry in saved.translations}
        self.keys.load(saved.keys)
        self.level, self.keys_on = saved.level, saved.keys_on
        self.hardware.load(saved.hardware)
        tlb, counts = self.hardware.tlb, replace(saved.counts)
        tlb.purges, tlb.entry_purges, tlb.rewritten = counts.purges, counts.entry_purges, counts.rewritten
        self._counts = counts

    # --- privileged operations of the guest

    def insert(self, entry: Entry) -> None:
        """ITC: a translation takes the place of an older one of its page."""
        self.translations[entry.page] = entry
        self.forget(entry.page)

    def purge(self, page: int) -> None:
        """PTC: take a translation out."""
        self.translations.pop(page, None)
        self.forget(page)

    def set_register(self, index: int, register: KeyRegister) -> None:
        """MOV PKR: write a key register. Raises `IndexError` where there is none of that number."""
        old = self.keys[index]
        self.keys[index] = register
        self.keys_changed({known.key for known in (old, register) if known.valid})

    def set_level(self, level: int) -> None:
        """The guest's privilege level changes: an interruption, RFI, EPC or a return to less privileged code."""
        if level != self.level:
            self.counts.level_changes += 1
            self.level = level
            self.level_changed()

    def set_keys_on(self, on: bool) -> None:
        """PSR.pk: whether keys are checked at all."""
        if on != self.keys_on:
            self.keys_on = on
            self.checking_changed()

    def probe(self, page: int, access: Access, level: int) -> bool | Fault:
        """PROBE: would this access pass at that level (or the current one, if less privileged)?

        Denied by key or rights it is a plain no; without entry or key it faults. The hardware's key registers
        hold rights for the current level, so they cannot answer for another: the monitor does.
        """
        entry, registers = self.translations.get(page), self.keys if self.keys_on else None
        fault = check(entry, registers, max(level, self.level), access).fault
        if fault in (Fault.MISS, Fault.NOT_PRESENT, Fault.KEY_MISS):
            return fault
        return fault not in (Fault.KEY_PERMISSION, Fault.ACCESS_RIGHTS)

    def key_of(self, page: int) -> int | None:
        """TAK: the key of a page, as the guest set it; None where no present translation has one.

        The hardware's entry holds a shadow key, which the guest must never see.
        """
        entry = self.translations.get(page)
        return entry.key if entry is not None and entry.present else None

    def promote(self, page: int) -> None:
        """EPC from a page: on one with access rights 7 the guest's level becomes the page's, if more privileged.

        Without translation it becomes 0, whatever the page. (Itanium first compares PFS.ppl with the level and may
        raise an illegal operation fault; this unit has no such register.)
        """
        entry = self.translations.get(page)
        if not self.hardware.translate:
            self.set_level(0)
        elif entry is not None and entry.rights == 7:
            self.set_level(min(self.level, entry.level))

    def demote(self, level: int) -> None:
        """BR.RET: to a level as privileged as the present one or less. Raises `ValueError` for another."""
        if not self.level <= level <= 3:
            raise ValueError(f"from level {self.level} to {level}: a return gives no privilege")
        self.set_level(level)

    # --- accesses

    def expected(self, page: int, access: Access) -> Verdict:
        """What the architecture says, with the guest's own translations, keys and level."""
        registers = self.keys if self.keys_on else None
        return check(self.translations.get(page), registers, self.level, access)

    def access(self, page: int, access: Access) -> Fault:
        """An access by the guest: `Fault.NONE`, or the fault that it sees."""
        self.counts.accesses += 1
        for _ in range(MOST_TRIES):
            verdict = self.hardware.check(page, access)
            if verdict.passed:
                return Fault.NONE
            fault = self.settle(page, access, verdict)
            if fault is not Fault.NONE:
                return fault
        raise RuntimeError(
            f"{access} of page {page:x} at level {self.level} faults again and again: {verdict}"
        )

    def settle(self, page: int, access: Access, verdict: Verdict) -> Fault:
        """The hardware has faulted: mend it and say `NONE`, or say what the guest is to see."""
        seen = self.expected(page, access)
        if seen.fault is Fault.MISS or not self.mend(page, verdict):
            self.counts.reflected += 1
            return seen.fault
        self.counts.hidden += 1
        return Fault.NONE

    # --- what the ways differ in

    @abstractmethod
    def mend(self, page: int, verdict: Verdict) -> bool:
        """Make the hardware fit for another try; False where its fault is not the monitor's concern."""

    @abstractmethod
    def forget(self, page: int) -> None:
        """The guest has changed the translation of a page."""

    @abstractmethod
    def keys_changed(self, keys: set[int]) -> None:
        """The guest has changed what it may do with these keys."""

    @abstractmethod
    def level_changed(self) -> None:
        """The guest's level is another."""

    @abstractmethod
    def checking_changed(self) -> None:
        """The guest has switched its keys on or off."""

    # --- what they share

    def write_key(self, index: int, register: KeyRegister) -> None:
        """Write a hardware key register, if it holds another value."""
        if self.hardware.registers[index] != register:
            self.hardware.registers[index] = register
            self.counts.key_writes += 1

    def rights_now(self, entry: Entry) -> int:
        """What the guest's current level may do by the entry's access rights: a mask."""
        return allowed(entry.rights, entry.level, self.level)
