"""The patent's way: shadow access rights that permit too much, shadow keys that take it back.

    guest's entry  {AR, level, key}  ->  hardware entry  {shadow AR(class), level 3, shadow key(key, class)}
    guest's register {key, disabled} ->  for each class in use a hardware register
                                         {shadow key, disabled | what the class denies at the guest's level}

Only the last depends on the guest's level. So a change of level rewrites key registers, and of them only those
whose class gives the two levels different rights.
"""

from dataclasses import replace

from labkit.vm.keys.classes import RightsClass, class_of, shadow_rights
from labkit.vm.keys.unit import HARDWARE_LEVEL, VirtualState, VirtualUnit
from labkit.vm.machine.protection_keys import EMPTY, KeyRegister
from labkit.vm.machine.tlb import Entry, Fault, Verdict

__all__ = ["KeyVirtualizer"]

Use = tuple[int, RightsClass]
"""What a shadow key stands for: a key of the guest, and a class of rights."""


class KeyVirtualizer(VirtualUnit):
    """Virtualizes access rights by keys.

    `shadow_keys` is how many different keys the hardware knows (2^18 at least on a real one); when all are in use
    the oldest is taken back, with the entries that hold it. Raises `ValueError` for fewer than one.
    """

    name = "shadow keys"

    def __init__(
        self,
        registers: int = 16,
        entries: int = 128,
        guest_registers: int | None = None,
        shadow_keys: int = 1 << 18,
    ) -> None:
        super().__init__(registers, entries, guest_registers)
        if shadow_keys < 1:
            raise ValueError("no shadow keys: the hardware needs at least one")
        self.shadow_keys = shadow_keys
        self.uses: dict[int, Use] = {}
        """By shadow key what it stands for, the oldest first."""
        self._key_for: dict[Use, int] = {}
        self._order: dict[int, None] = {}  # hardware registers by age, the one written longest ago first

    def save(self) -> VirtualState:
        """All that it holds, with what each shadow key stands for and the age of the registers."""
        return replace(super().save(), own=(tuple(self.uses.items()), tuple(self._order)))

    @property
    def state_bytes(self) -> int:
        """With a pair for each use of a shadow key."""
        return super().state_bytes + 64 * len(self.uses)

    def load(self, saved: VirtualState) -> None:
        """Exact inverse of `save`."""
        super().load(saved)
        uses, order = saved.own
        self.uses, self._order = dict(uses), dict.fromkeys(order)
        self._key_for = {use: key for key, use in self.uses.items()}

    # --- the two halves of the translation

    def shadow_entry(self, entry: Entry) -> Entry:
        """The hardware's entry: independent of the guest's level."""
        found = class_of(entry.rights, entry.level)
        key = self._shadow_key((entry.key, found))
        return replace(entry, rights=shadow_rights(found), level=HARDWARE_LEVEL, key=key)

    def shadow_register(self, shadow_key: int) -> KeyRegister | None:
        """The hardware's register for a shadow key at the guest's level; None where the guest lacks the key."""
        key, found = self.uses[shadow_key]
        disabled = found.denied(self.level)
        if self.keys_on:
            own = self.keys.get(key)
            if own is None:
                return None
            disabled |= own.disabled
        return KeyRegister(shadow_key, disabled)

    # --- shadow keys

    def _shadow_key(self, use: Use) -> int:
        known = self._key_for.get(use)
        if known is not None:
            return known
        if len(self.uses) < self.shadow_keys:
            key = len(self.uses)
        else:
            key = next(iter(self.uses))
            self._recycle(key)
        self.uses[key], self._key_for[use] = use, key
        return key

    def _recycle(self, key: int) -> None:
        """Take a shadow key back: an entry that still held it would get the rights of its next use."""
        del self._key_for[self.uses.pop(key)]
        self.counts.recycled += 1
        tlb = self.hardware.tlb
        for entry in [entry for entry in tlb.entries.values() if entry.key == key]:
            tlb.purge(entry.page)
        place = self.hardware.registers.find(key)
        if place is not None:
            self.write_key(place, EMPTY)

    # --- faults of the hardware

    def mend(self, page: int, verdict: Verdict) -> bool:
        """A missing entry or a missing register is put in; all other faults are the guest's."""
        if verdict.fault is Fault.MISS:
            entry = self.shadow_entry(self.translations[page])
            self.hardware.tlb.insert(entry)
            self.counts.refills += 1
            return True
        if verdict.fault is not Fault.KEY_MISS or verdict.entry is None:
            return False
        register = self.shadow_register(verdict.entry.key)
        if register is None:
            return False
        self._load(register)
        self.counts.key_misses += 1
        return True

    def _load(self, register: KeyRegister) -> None:
        """Put a shadow key into a register: a free one, or the one that was filled longest ago."""
        place = self.hardware.registers.free
        if place is None:
            place = next(iter(self._order))
        self._order.pop(place, None)
        self._order[place] = None
        self.write_key(place, register)

    # --- what the guest changes

    def forget(self, page: int) -> None:
        """Its hardware entry goes; the shadow key stays, another page may have it."""
        self.hardware.tlb.purge(page)

    def keys_changed(self, keys: set[int]) -> None:
        """The registers of these keys, in each class, are made anew or go."""
        self._renew(keys)

    def level_changed(self) -> None:
        """Key registers only."""
        self._renew(None)

    def checking_changed(self) -> None:
        """Every register's disable bits may be others."""
        self._renew(None)

    def _renew(self, keys: set[int] | None) -> None:
        """Bring the loaded registers up to date: those of the given keys of the guest, or all."""
        registers = self.hardware.registers
        for place in range(len(registers)):
            held = registers[place]
            if held.valid and (keys is None or self.uses[held.key][0] in keys):
                renewed = self.shadow_register(held.key)
                self.write_key(place, EMPTY if renewed is None else renewed)
