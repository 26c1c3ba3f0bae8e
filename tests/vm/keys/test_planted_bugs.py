"""Units with a bug each: what the comparison with the reference is worth."""

from dataclasses import replace

import pytest

from labkit.vm.keys import KeyVirtualizer
from labkit.vm.keys.programs import Program, run
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


DANGEROUS = [Stale, Lazy, Generous, NoPurge, FirstInsertOnly, WriteEnabled, ToTheTop, LettingReturn]
FEW = Program(seed=3, keys=24, accesses=5000, loaded=True)


def small(way):
    return way(registers=4, entries=16, guest_registers=16, shadow_keys=6)


@pytest.mark.parametrize("wrong", DANGEROUS)
def test_a_unit_that_permits_too_much_is_found_at_that(wrong):
    mismatches = run(small(wrong), FEW).mismatches
    assert any(mismatch.permits_too_much for mismatch in mismatches)


@pytest.mark.parametrize("wrong", [NoPurge, FirstInsertOnly, WriteEnabled, ToTheTop, LettingReturn, NeverTheTop])
def test_with_room_for_all_as_well(wrong):
    assert run(wrong(), Program(seed=1, keys=8, accesses=5000)).mismatches


def test_a_unit_that_permits_too_little_is_found():
    mismatches = run(small(NeverTheTop), FEW).mismatches
    assert any(not mismatch.permits_too_much for mismatch in mismatches)


def test_a_unit_that_gives_up_is_a_mismatch():
    mismatches = run(small(Stuck), FEW).mismatches
    assert mismatches
    assert all("faults again and again" in str(mismatch.found) for mismatch in mismatches)
    assert not any(mismatch.permits_too_much for mismatch in mismatches)


def test_without_a_bug_there_is_none():
    assert not run(small(KeyVirtualizer), FEW).mismatches
