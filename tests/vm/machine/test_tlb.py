"""The protection unit against an independent statement of its rules: a literal table, and the order of gates."""

from itertools import product

import pytest

from labkit.vm.keys.reference import RULES
from labkit.vm.machine.access_rights import Access, allowed, letters
from labkit.vm.machine.protection_keys import KeyRegister, KeyRegisters
from labkit.vm.machine.tlb import Entry, Fault, ProtectionUnit, Tlb, check

LETTER = {Access.READ: "r", Access.WRITE: "w", Access.EXECUTE: "x"}
STATES = [None, *product((False, True), repeat=3)]  # of the key: in no register, or read, write, execute disabled


def independent(rights: int, page_level: int, level: int, access: Access, key, bits) -> str:
    """The rules once more, by another way: all gates that are shut, then the first of them."""
    present, dirty, accessed = bits
    shut = {
        "1 not present": not present,
        "2 key miss": key is None,
        "3 key permission": key is not None and key["rwx".index(LETTER[access])],
        "4 access rights": LETTER[access] not in RULES[rights][page_level][level],
        "5 dirty bit": access == "write" and not dirty,
        "6 access bit": not accessed,
    }
    return min((name for name, is_shut in shut.items() if is_shut), default="7 allowed")[2:]


def test_rights_are_those_of_the_table():
    found = [[[letters(allowed(ar, pl, g)) for g in range(4)] for pl in range(4)] for ar in range(8)]
    assert found == RULES


def test_every_access_gets_the_verdict_of_the_rules():
    cases = 0
    for ar, pl, g, access, key in product(range(8), range(4), range(4), Access, STATES):
        registers = KeyRegisters(2)
        if key is not None:
            registers[1] = KeyRegister(5, sum(1 << i for i in range(3) if key[i]))
        for bits in product((False, True), repeat=3):
            entry = Entry(9, 9, ar, pl, 5, *bits)
            expected = independent(ar, pl, g, access, key, bits)
            assert str(check(entry, registers, g, access)) == expected, (ar, pl, g, access, key, bits)
            cases += 1
    assert cases == 8 * 4 * 4 * 3 * 9 * 8


def test_with_keys_off_they_are_not_looked_at():
    entry = Entry(1, 1, 2, 3, key=77)
    assert check(entry, KeyRegisters(), 3, Access.WRITE).fault is Fault.KEY_MISS
    assert check(entry, None, 3, Access.WRITE).passed


def test_a_miss_comes_before_all():
    unit = ProtectionUnit()
    assert unit.check(4, Access.READ).fault is Fault.MISS
    unit.tlb.insert(Entry(4, 4, 0, 3, present=False))
    assert unit.check(4, Access.READ).fault is Fault.NOT_PRESENT


@pytest.mark.parametrize("disabled", range(8))
def test_a_register_is_its_word(disabled: int):
    register = KeyRegister(0xABCDEF, disabled)
    assert KeyRegister.from_word(register.word) == register
    assert register.word & 0xF1 == 1


def test_bits_of_the_word():
    assert KeyRegister(1, 2).word == 0x103  # wd
    assert KeyRegister(1, 1).word == 0x105  # rd
    assert KeyRegister(1, 4).word == 0x109  # xd


def test_a_key_is_in_one_valid_register():
    registers = KeyRegisters(3)
    registers[0] = KeyRegister(5, 4)
    registers[2] = KeyRegister(5, 2)
    assert registers[0] == KeyRegister(5, 4, valid=False)  # only the valid bit went
    assert registers.find(5) == 2
    registers[2] = KeyRegister(6)
    assert registers.get(5) is None
    assert registers.free == 0


def test_the_oldest_translation_makes_room():
    tlb = Tlb(2)
    first, second, third = (Entry(page, 0, 0, 0) for page in range(3))
    assert tlb.insert(first) is None
    tlb.insert(second)
    assert tlb.insert(third) == first
    assert tlb.find(0) is None
    assert tlb.insert(third) is None
    assert tlb.purge(2)
    assert not tlb.purge(2)


def test_a_tlb_counts_what_is_done_to_it():
    tlb = Tlb(2)
    for entry in (Entry(1, 1, 0, 0), Entry(1, 1, 0, 0), Entry(1, 1, 2, 0), Entry(1, 1, 2, 0, space=1)):
        tlb.insert(entry)
    assert (tlb.purges, tlb.entry_purges, tlb.rewritten) == (0, 0, 1)  # the same again is no other value
    assert [tlb.purge(1), tlb.purge(1)] == [True, False]
    tlb.purge_all()
    tlb.load((Entry(1, 1, 0, 0), Entry(2, 2, 0, 0)))
    assert len(tlb.entries) == 2
    assert (tlb.purges, tlb.entry_purges, tlb.rewritten) == (1, 1, 1)


@pytest.mark.parametrize("make", [lambda: Tlb(0), lambda: KeyRegisters(0), lambda: allowed(8, 0, 0)])
def test_wrong_sizes_are_refused(make):
    with pytest.raises(ValueError):
        make()
