"""Units with a bug each, a rule of the virtualization left out: what a comparison with the architecture must find."""

from dataclasses import replace

from labkit.vm.keys import KeyVirtualizer
from labkit.vm.machine.access_rights import WRITE
from labkit.vm.machine.protection_keys import KeyRegister


class Stale(KeyVirtualizer):
    """Does not purge the entries of a recycled key."""

    def _recycle(self, key):
        del self._key_for[self.uses.pop(key)]


class Lazy(KeyVirtualizer):
    """Leaves the key registers as they are when the level changes."""

    def level_changed(self):
        pass


class Generous(KeyVirtualizer):
    """Forgets that the guest's own key may disable something."""

    def shadow_register(self, shadow_key):
        made = super().shadow_register(shadow_key)
        return made and KeyRegister(shadow_key, self.uses[shadow_key][1].denied(self.level))


class NoPurge(KeyVirtualizer):
    """Ignores PTC."""

    def purge(self, page):
        pass


class FirstInsertOnly(KeyVirtualizer):
    """Ignores the replacement of a translation."""

    def insert(self, entry):
        if entry.page not in self.translations:
            super().insert(entry)


class WriteEnabled(KeyVirtualizer):
    """Drops the write-disable bit of the guest's registers."""

    def set_register(self, index, register):
        super().set_register(index, replace(register, disabled=register.disabled & ~WRITE))


class ToTheTop(KeyVirtualizer):
    """Promotes to level 0 from whatever page."""

    def promote(self, page):
        self.set_level(0)


class LettingReturn(KeyVirtualizer):
    """Returns to any level."""

    def demote(self, level):
        self.set_level(level)


class NeverTheTop(KeyVirtualizer):
    """Level 0 is never reached: too little is permitted."""

    def set_level(self, level):
        super().set_level(max(level, 1))


class Stuck(KeyVirtualizer):
    """Mends no missing register: an access faults again and again."""

    def _load(self, register):
        pass


class Alike(KeyVirtualizer):
    """One shadow key for all classes of a guest's key: what the first one's class denies."""

    def _shadow_key(self, use):
        return next((key for key, (guest_key, _) in self.uses.items() if guest_key == use[0]), None) or (
            super()._shadow_key(use)
        )


class Unmasked(KeyVirtualizer):
    """Forgets what the class denies to the level: the shadow rights as they are."""

    def shadow_register(self, shadow_key):
        own = self.keys.get(self.uses[shadow_key][0]) if self.keys_on else KeyRegister(0)
        return own and KeyRegister(shadow_key, own.disabled)


class AlwaysChecked(KeyVirtualizer):
    """Ignores that the guest has switched its keys off."""

    def shadow_register(self, shadow_key):
        made = super().shadow_register(shadow_key)
        own = self.keys.get(self.uses[shadow_key][0])
        return made and own and replace(made, disabled=made.disabled | own.disabled)


class Deaf(KeyVirtualizer):
    """Leaves the hardware's registers as they are when the guest writes its own."""

    def keys_changed(self, keys):
        pass


class Clean(KeyVirtualizer):
    """Forgets the dirty bit."""

    def shadow_entry(self, entry):
        return replace(super().shadow_entry(entry), dirty=True)


class Plain(KeyVirtualizer):
    """The guest's access rights as they are, at the hardware's level."""

    def shadow_entry(self, entry):
        return replace(super().shadow_entry(entry), rights=entry.rights)


class Telling(KeyVirtualizer):
    """Tells the guest the hardware's key of a page."""

    def key_of(self, page):
        held = self.hardware.tlb.find(page)
        return held.key if held else super().key_of(page)


class Unmapped(KeyVirtualizer):
    """The frame of the page itself, whatever the guest's translation says."""

    def shadow_entry(self, entry):
        return replace(super().shadow_entry(entry), frame=entry.page)
