"""PROBE asks and changes nothing: denied by key or rights is a plain no, without entry or key it faults."""

from itertools import product

import pytest

from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.machine.access_rights import Access, allowed
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

WAYS = [KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization, PkuVirtualizer]


@pytest.mark.parametrize("way", WAYS)
def test_every_combination_by_the_rules_and_without_a_trace(way):
    for ar, pl, key in product(range(8), range(4), [None, *range(8)]):
        unit = way()
        unit.insert(Entry(1, 1, ar, pl, key=7, dirty=False, accessed=False))  # which PROBE does not look at
        if key is not None:
            unit.set_register(3, KeyRegister(7, key))
        for now, asked, access in product(range(4), range(4), Access):
            unit.set_level(now)
            before = unit.save()
            answer = unit.probe(1, access, asked)
            assert unit.save() == before
            if key is None:
                assert answer is Fault.KEY_MISS
            else:  # at the less privileged of the two levels
                assert answer is bool(allowed(ar, pl, max(now, asked)) & ~key & access.bit)


@pytest.mark.parametrize("way", WAYS)
def test_without_an_entry_or_one_that_is_present_it_faults(way):
    unit = way()
    unit.insert(Entry(1, 1, 3, 3, key=7, present=False))
    assert unit.probe(1, Access.READ, 0) is Fault.NOT_PRESENT
    assert unit.probe(2, Access.READ, 0) is Fault.MISS
    unit.insert(Entry(1, 1, 3, 3, key=7))
    unit.set_keys_on(False)
    assert unit.probe(1, Access.WRITE, 3) is True


def test_an_answer_for_another_level_is_not_that_of_the_hardwares_registers():
    """They hold the present level's rights: asked at level 0 about level 3, the monitor has to answer."""
    unit = KeyVirtualizer()
    unit.set_register(0, KeyRegister(7))
    unit.insert(Entry(1, 1, rights=2, level=0, key=7))
    assert unit.access(1, Access.WRITE) is Fault.NONE
    assert unit.hardware.check(1, Access.WRITE).passed
    assert unit.probe(1, Access.WRITE, 3) is False
