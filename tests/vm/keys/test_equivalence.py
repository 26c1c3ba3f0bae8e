"""Every way of virtualizing gives each access the architecture's verdict: exhaustively, then on random programs."""

from itertools import product

import pytest

from labkit.vm.keys import (
    CLASSES,
    DuplicateEntries,
    KeyVirtualizer,
    NoVirtualization,
    Retranslation,
    class_of,
)
from labkit.vm.keys.programs import Program, run
from labkit.vm.keys.reference import Reference
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

WAYS = [KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization]
WHOLE, PART = 1_000_000, 5_000
"""Random accesses of each program, with LABKIT_FULL=1 and without."""


DONE = {
    "access", "probe", "promote", "demote", "set_level", "set_register", "insert", "purge", "set_keys_on",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_all_combinations(way):
    cases = 0
    for ar, pl, key, keys_on in product(range(8), range(4), [None, *range(8)], (True, False)):
        unit, reference = both = way(), Reference(16)
        for one in both:
            one.set_keys_on(keys_on)
            one.insert(Entry(1, 1, ar, pl, key=7))
            if key is not None:
                one.set_register(3, KeyRegister(7, key))
        for g, access in product(range(4), Access):
            unit.set_level(g)
            reference.set_level(g)
            assert unit.access(1, access) is reference.access(1, access), (ar, pl, key, keys_on, g, access)
            cases += 1
    assert cases == 8 * 4 * 9 * 2 * 4 * 3


@pytest.mark.parametrize("way", WAYS)
def test_the_bits_behind_rights_are_looked_at_last(way):
    for ar, pl, g, access in product(range(8), range(4), range(4), Access):
        for bits in product((False, True), repeat=3):
            unit, reference = both = way(), Reference(16)
            for one in both:
                one.set_register(0, KeyRegister(2))
                one.insert(Entry(1, 1, ar, pl, 2, *bits))
                one.set_level(g)
            assert unit.access(1, access) is reference.access(1, access)


def test_from_every_level_to_every_level_with_the_key_loaded():
    """The registers are made for one level and rewritten for another, rather than loaded there."""
    for ar, pl, before, after in product(range(8), range(4), range(4), range(4)):
        unit, reference = both = KeyVirtualizer(), Reference(16)
        for one in both:
            one.set_register(0, KeyRegister(2))
            one.insert(Entry(1, 1, ar, pl, 2))
        unit.set_level(before)
        for access in Access:
            unit.access(1, access)
        unit.set_level(after)
        reference.set_level(after)
        for access in Access:
            assert unit.access(1, access) is reference.access(1, access)


def test_the_hardware_never_has_rights_that_depend_on_the_level():
    for ar, pl in product(range(8), range(4)):
        shadow = KeyVirtualizer().shadow_entry(Entry(1, 1, ar, pl))
        assert shadow.rights < 4
        assert shadow.level == 3


def test_there_are_26_classes():
    assert len(CLASSES) == 26
    assert class_of(2, 0) == class_of(4, 0) == class_of(6, 0)
    assert len({class_of(7, pl) for pl in range(4)}) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("keys", [8, 64, 1024])  # half, four and sixty-four times the sixteen registers
def test_random_programs(way, keys, full):
    program = Program(seed=keys, keys=keys, accesses=WHOLE if full else PART)
    outcome = run(way(), program)
    assert not outcome.mismatches, outcome.mismatches[0]
    assert outcome.accesses == program.accesses
    assert set(outcome.faults) == set(Fault), "not every kind of fault was met"
    assert outcome.operations.keys() == DONE


@pytest.mark.parametrize("times", [4, 64])
def test_more_keys_than_the_hardware_has_registers(times, full):
    """The guest has registers for all of its keys, the hardware for some: the rest are hidden misses."""
    keys = 16 * times
    unit = KeyVirtualizer(registers=16, guest_registers=keys)
    accesses = WHOLE if full else 2 * PART
    outcome = run(unit, Program(seed=times, pages=4 * keys, keys=keys, accesses=accesses, loaded=True))
    assert not outcome.mismatches
    assert len(outcome.keys) > 0.85 * keys
    assert unit.counts.key_misses > 100


def test_random_programs_with_few_shadow_keys():
    """Shadow keys are recycled all the time."""
    unit = KeyVirtualizer(registers=4, entries=16, guest_registers=16, shadow_keys=6)
    outcome = run(unit, Program(seed=3, keys=24, accesses=5000))
    assert not outcome.mismatches
    assert unit.counts.recycled > 100


def test_recycling_purges_only_what_held_the_key():
    unit = KeyVirtualizer(shadow_keys=2)
    for page, key in ((1, 1), (2, 2), (3, 3)):
        unit.set_register(key, KeyRegister(key))
        unit.insert(Entry(page, page, 2, 3, key))
        assert unit.access(page, Access.READ) is Fault.NONE
    assert (unit.counts.recycled, unit.counts.entry_purges) == (1, 1)
    assert unit.hardware.tlb.find(1) is None
    assert unit.hardware.tlb.find(2)


@pytest.mark.parametrize("way", [Retranslation, DuplicateEntries, NoVirtualization])
def test_only_shadow_keys_share_registers(way):
    """The guest's registers go into the hardware's as they are: a write to one that it lacks would be half done."""
    with pytest.raises(ValueError, match="16 key registers of the guest on 8"):
        way(registers=8, guest_registers=16)
    assert len(KeyVirtualizer(registers=8, guest_registers=16).keys) == 16
    with pytest.raises(ValueError, match="0 key registers"):
        way(guest_registers=0)
