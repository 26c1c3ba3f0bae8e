"""Today's x86: the same scheme on protection keys for user pages (PKU), as far as it goes.

    Itanium's key register   24 bits of key, read, write and execute disabled each; sixteen or more, loaded on demand
    x86's PKRU               sixteen keys of 4 bits, all of them always there
                             31 30                    3   2   1   0
                            | WD AD |  ...  key 15  | WD | AD | WD | AD |    AD: no data access, WD: no write
                             a fetch of an instruction is not checked at all

So three things are different. Rights to *execute* that depend on the level cannot be given to a key: they stay in the
page tables (NX), and entries are rewritten at a change of level, which Itanium's scheme never does. Sixteen keys for
all pairs of guest key and class are soon used up, and taking one back purges entries. And WRPKRU is no privileged
instruction: guest code that runs where keys are checked can give itself every right, if it is not kept from it.

The level is missing in both: PKRU knows none, as Itanium's register does not. Keys for supervisor pages, which mend
the third difference alone, are in supervisor_keys.py.
Source: Intel SDM volume 3A, section 4.6.2, and volume 2, WRPKRU.
"""

from dataclasses import replace

from labkit.vm.keys.classes import CLASSES, PLAIN, RightsClass, class_of
from labkit.vm.keys.shadow import KeyVirtualizer
from labkit.vm.keys.unit import HARDWARE_LEVEL, VirtualState
from labkit.vm.machine.access_rights import ALL, EXECUTE, LEVELS, READ, WRITE, Access, allowed
from labkit.vm.machine.protection_keys import KeyRegister, KeyRegisters
from labkit.vm.machine.tlb import Entry, Fault, ProtectionUnit, Verdict

__all__ = ["PKU_KEYS", "PkuUnit", "PkuVirtualizer", "carries_over", "expressible", "summary", "write_rights"]

PKU_KEYS = 16


def expressible(disabled: int) -> int:
    """The least that AD and WD can disable to stop these data accesses: who may not read may not write either."""
    return READ | WRITE if disabled & READ else disabled & WRITE


def carries_over(found: RightsClass) -> bool:
    """Can a PKU key do for this class, at every level, what Itanium's does?"""
    return all(expressible(found.denied(level)) & found.union == found.denied(level) for level in LEVELS)


def write_rights(registers: KeyRegisters, value: int) -> None:
    """Sixteen keys' AD and WD bits, as PKRU has them, into sixteen registers."""
    for key in range(PKU_KEYS):
        access, write = value >> 2 * key & 1, value >> 2 * key + 1 & 1
        registers[key] = KeyRegister(key, (READ | WRITE if access else 0) | (WRITE if write else 0))


class PkuUnit(ProtectionUnit):
    """Page tables and PKRU: key `k` is in register `k`, and its disable bits stop data accesses only."""

    def __init__(self, entries: int = 128) -> None:
        super().__init__(PKU_KEYS, entries)
        self.wrpkru(0)

    def wrpkru(self, value: int) -> None:
        """The instruction WRPKRU, which any code may execute: all sixteen keys at once."""
        write_rights(self.registers, value)

    def registers_for(self, entry: Entry) -> KeyRegisters:
        """Where the key of a page is looked up; it has user pages only."""
        return self.registers

    def rdpkru(self) -> int:
        """The instruction RDPKRU."""
        value = 0
        for key, register in enumerate(self.registers):
            access, write = bool(register.disabled & READ), bool(register.disabled & WRITE)
            value |= (access | write << 1) << 2 * key
        return value

    def check(self, page: int, access: Access) -> Verdict:
        """The verdict on an access: not in the TLB, or one page fault for all else, with its PK bit or without."""
        entry = self.tlb.find(page, self.space)
        if entry is None:
            return Verdict(Fault.MISS)
        register = self.registers_for(entry)[entry.key]
        if not entry.present:
            return Verdict(Fault.NOT_PRESENT, entry)
        if not allowed(entry.rights, entry.level, self.level) & access.bit:
            return Verdict(Fault.ACCESS_RIGHTS, entry, register)
        if access is not Access.EXECUTE and register.disabled & access.bit:
            return Verdict(Fault.KEY_PERMISSION, entry, register)
        return Verdict(Fault.NONE, entry, register)


class PkuVirtualizer(KeyVirtualizer):
    """The guest's four levels by PKU: data accesses by keys, execution by rewriting entries when the level changes.

    `counts.rewritten` counts those entries; `emulated` the accesses that the hardware can only forbid, because the
    guest lets a page be written and not read: the monitor makes them in its place.
    """

    name = "PKU"

    def __init__(self, entries: int = 128, guest_registers: int = 16) -> None:
        super().__init__(PKU_KEYS, entries, guest_registers, shadow_keys=PKU_KEYS)
        self.hardware: PkuUnit = self.real_unit(entries)
        self.emulated = 0

    def save(self) -> VirtualState:
        """All that it holds."""
        saved = super().save()
        return replace(saved, own=(saved.own, self.emulated))

    def load(self, saved: VirtualState) -> None:
        """Exact inverse of `save`."""
        own, self.emulated = saved.own
        super().load(replace(saved, own=own))

    def real_unit(self, entries: int) -> PkuUnit:
        """The hardware, at the level at which the guest runs: its pages are of that level, too."""
        unit = PkuUnit(entries)
        unit.level = HARDWARE_LEVEL
        return unit

    # --- the two halves of the translation

    def executable(self, entry: Entry, found: RightsClass) -> bool:
        """May the page be executed at the guest's level, by rights and by the guest's own key?"""
        return not self._disabled(entry.key, found) & EXECUTE

    def _disabled(self, key: int, found: RightsClass) -> int:
        """What is forbidden now, by class and by the guest's own key: all, where it holds none."""
        own = self.keys.get(key) if self.keys_on else KeyRegister(key)
        return ALL if own is None else ALL & ~found.vector[self.level] | own.disabled

    def shadow_entry(self, entry: Entry) -> Entry:
        """The page-table entry: absent or read-only where the guest's bits want a fault, executable if it is now."""
        found = class_of(entry.rights, entry.level)
        key = self._shadow_key((entry.key, found))
        data = READ | (found.union & WRITE if entry.dirty else 0)
        rights = PLAIN[data | (EXECUTE if self.executable(entry, found) else 0)]
        self.write_key(key, self.shadow_register(key))
        present = entry.present and entry.accessed
        return replace(entry, rights=rights, level=self.hardware.level, key=key, present=present)

    def shadow_register(self, shadow_key: int) -> KeyRegister:
        """AD and WD of a shadow key at the guest's level."""
        key, found = self.uses[shadow_key]
        return KeyRegister(shadow_key, expressible(self._disabled(key, found)))

    # --- faults of the hardware

    def access(self, page: int, access: Access) -> Fault:
        """An access by the guest; one that the hardware forbids and the guest's own unit does not is emulated."""
        self.counts.accesses += 1
        if self.hardware.tlb.find(page) is None and page in self.translations:
            self.hardware.tlb.insert(self.shadow_entry(self.translations[page]))
            self.counts.refills += 1
            self.counts.hidden += 1
        verdict = self.hardware.check(page, access)
        if verdict.passed:
            return Fault.NONE
        seen = self.expected(page, access).fault
        self.counts.reflected += seen is not Fault.NONE
        self.emulated += seen is Fault.NONE
        return seen

    # --- what the guest changes

    def _renew(self, keys: set[int] | None) -> None:
        """PKRU in one write; then each entry whose right to execute is another has to be rewritten, and flushed."""
        for key, (guest_key, _found) in self.uses.items():
            if keys is None or guest_key in keys:
                self.write_key(key, self.shadow_register(key))
        tlb = self.hardware.tlb
        for held in list(tlb.entries.values()):
            entry = self.translations[held.page]
            if keys is not None and entry.key not in keys:
                continue
            found = class_of(entry.rights, entry.level)
            if self.executable(entry, found) != bool(held.rights & 1):
                tlb.insert(self.shadow_entry(entry))


def summary() -> str:
    """Which of the 26 classes a PKU key can carry, in words."""
    lines = [f"{'class: rights at levels 0 to 3':34} carried by a PKU key?"]
    for found in CLASSES:
        missing = sorted({level for level in LEVELS if found.denied(level) & EXECUTE})
        words = "yes" if carries_over(found) else f"no: others may execute, {', '.join(map(str, missing))} may not"
        lines.append(f"{found!s:34} {words}")
    good = sum(carries_over(found) for found in CLASSES)
    return "\n".join([*lines, f"{good} of {len(CLASSES)} classes"])
