"""Where the scheme goes on today's x86, and where it does not: execution, sixteen keys, WRPKRU."""

from itertools import product

import pytest

from labkit.vm.keys import CLASSES, KeyVirtualizer, class_of
from labkit.vm.keys.programs import Program, run
from labkit.vm.keys.today import PKU_KEYS, PkuUnit, PkuVirtualizer, carries_over, expressible, summary
from labkit.vm.machine.access_rights import EXECUTE, LEVELS, READ, Access, letters
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

# AD WD of a user page's key: what the manual lets pass on a page that may be read, written and executed
MANUAL = {(0, 0): "rwx", (0, 1): "r-x", (1, 0): "--x", (1, 1): "--x"}


@pytest.mark.parametrize(("bits", "passes"), MANUAL.items())
@pytest.mark.parametrize("key", [0, 1, 15])
def test_the_unit_is_the_manuals(bits, passes, key):
    unit = PkuUnit()
    unit.level = 3
    unit.tlb.insert(Entry(1, 1, 3, 3, key))
    value = (bits[0] | bits[1] << 1) << 2 * key
    unit.wrpkru(value)
    found = "".join(
        letter if unit.check(1, access).passed else "-" for letter, access in zip("rwx", Access, strict=True)
    )
    assert found == passes
    assert unit.rdpkru() & 3 << 2 * key in (value, value | 2 << 2 * key)  # AD implies WD


def test_exactly_the_classes_whose_execution_depends_on_the_level_are_lost():
    lost = [found for found in CLASSES if not carries_over(found)]
    assert lost
    assert len(lost) < len(CLASSES)
    for found in CLASSES:
        depends = len({mask & EXECUTE for mask in found.vector}) > 1
        assert carries_over(found) != depends
    assert f"{len(CLASSES) - len(lost)} of 26 classes" in summary()
    assert summary().count("no: others") == len(lost)


def test_an_execute_only_page_is_carried():
    """AR 7 is r-x at level 0 and --x elsewhere: AD does that, as Linux does it for mmap with PROT_EXEC alone."""
    assert carries_over(class_of(7, 3))
    assert letters(7 & ~expressible(1)) == "--x"


@pytest.mark.parametrize("keys", [8, 24, 64])
def test_verdicts_are_the_architectures_but_entries_are_rewritten(keys):
    program = Program(seed=keys, keys=keys, accesses=6000, loaded=True)
    unit, ours = PkuVirtualizer(), KeyVirtualizer()
    outcome = run(unit, program)
    assert not outcome.mismatches, outcome.mismatches[0]
    assert len(outcome.faults) >= 7
    assert not run(ours, program).mismatches
    assert (ours.counts.rewritten, ours.counts.recycled) == (0, 0)
    assert unit.counts.rewritten > 100  # what the patent's scheme never does
    assert unit.counts.recycled > 100  # sixteen keys
    assert unit.emulated > 0


def test_every_combination_with_the_key_loaded_before_the_level_changes():
    for ar, pl, key, before, after in product(range(8), LEVELS, [None, *range(8)], LEVELS, LEVELS):
        unit = PkuVirtualizer()
        unit.insert(Entry(1, 1, ar, pl, key=7))
        if key is not None:
            unit.set_register(3, KeyRegister(7, key))
        unit.set_level(before)
        unit.access(1, Access.READ)
        unit.set_level(after)
        for access in Access:
            assert unit.access(1, access) is unit.expected(1, access).fault, (ar, pl, key, before, after, access)


def test_what_it_holds_comes_back():
    unit, other = PkuVirtualizer(), PkuVirtualizer()
    unit.set_register(0, KeyRegister(7, READ))
    unit.insert(Entry(1, 1, rights=2, level=3, key=7))
    assert unit.access(1, Access.WRITE) is Fault.NONE  # to be written and not read
    assert unit.emulated == 1
    other.load(unit.save())
    assert other.save() == unit.save()
    assert other.emulated == unit.emulated


class KeysOnly(PkuVirtualizer):
    """Believes that the level can be left to keys alone: the page tables hold the union, and nothing is rewritten."""

    def executable(self, entry, found):
        return bool(found.union & EXECUTE)


def test_by_keys_alone_code_runs_that_must_not():
    outcome = run(KeysOnly(), Program(seed=2, keys=8, accesses=6000, loaded=True))
    assert outcome.mismatches
    assert {wrong.access for wrong in outcome.mismatches} == {Access.EXECUTE}
    assert {wrong.found for wrong in outcome.mismatches} == {Fault.NONE}


def test_a_guest_that_executes_wrpkru_has_every_right_to_data():
    unit = PkuVirtualizer()
    unit.set_register(0, KeyRegister(1))
    unit.insert(Entry(0x10, 0x10, rights=2, level=0, key=1))  # the kernel's data
    unit.set_level(3)
    assert unit.access(0x10, Access.WRITE) is Fault.ACCESS_RIGHTS
    unit.hardware.wrpkru(0)
    assert unit.access(0x10, Access.WRITE) is Fault.NONE
    assert unit.expected(0x10, Access.WRITE).fault is Fault.ACCESS_RIGHTS


def test_more_uses_than_keys_purge_entries():
    unit = PkuVirtualizer(guest_registers=32)
    for key in range(PKU_KEYS + 1):
        unit.set_register(key, KeyRegister(key))
        unit.insert(Entry(key, key, 2, 3, key))
        assert unit.access(key, Access.READ) is Fault.NONE
    assert unit.counts.recycled == 1
    assert unit.hardware.tlb.find(0) is None
