"""The compiled check of the protection unit and the one that is written to be read give the same verdicts."""

import random
from itertools import product

import pytest

from labkit.vm.machine import Machine
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.physical_unit import PhysicalUnit
from labkit.vm.machine.protection_keys import EMPTY, KeyRegister
from labkit.vm.machine.tlb import Entry


@pytest.fixture(scope="module")
def machine():
    return Machine(1 << 20, mmu="keys")


def test_every_combination(machine):
    unit = PhysicalUnit(machine.processor)
    for ar, pl, key in product(range(8), range(4), [None, *range(8)]):
        unit.registers[5] = EMPTY if key is None else KeyRegister(0xABCDEF, key)
        for bits in product((False, True), repeat=3):
            unit.tlb.insert(Entry(0xFFFFF, 0xFFFFF, ar, pl, 0xABCDEF, *bits))
            for unit.level, access in product(range(4), Access):
                assert unit.compiled_fault(0xFFFFF, access) is unit.check(0xFFFFF, access).fault


def test_random_changes(machine):
    source = random.Random(7)
    unit = PhysicalUnit(machine.processor, registers=4, entries=12)
    for _ in range(6000):
        page, key, space = source.randrange(20), source.randrange(8), source.randrange(4)
        match source.randrange(7):
            case 0 | 1:
                unit.tlb.insert(Entry(page, page, source.randrange(8), source.randrange(4), key, space=space))
            case 2:
                unit.tlb.purge(page, space)
            case 3:
                made = KeyRegister(key, source.randrange(8))
                unit.registers[source.randrange(4)] = source.choice((made, made, EMPTY))
            case 4:
                unit.level, unit.space = source.randrange(4), space
            case 5:
                unit.keys_on = source.random() < 0.7
            case _:
                if source.random() < 0.02:
                    unit.tlb.purge_all()
        for access in Access:
            assert unit.compiled_fault(page, access) is unit.check(page, access).fault


def test_only_a_machine_with_the_unit_has_one():
    with pytest.raises(ValueError, match="mmu='keys'"):
        PhysicalUnit(Machine(1 << 20).processor)
