"""The scheme on keys of supervisor pages: verdicts, and that the guest cannot give itself rights."""

from itertools import product

import pytest

from labkit.vm.keys.programs import Program, run
from labkit.vm.keys.supervisor_keys import IA32_PKRS, PksUnit, PksVirtualizer
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.machine.access_rights import LEVELS, Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

# AD WD in the register that counts: what the manual lets pass on a page that may be read, written and executed
MANUAL = {0b00: "rwx", 0b10: "r-x", 0b01: "--x", 0b11: "--x"}


def passes(unit, page):
    pairs = zip("rwx", Access, strict=True)
    return "".join(letter if unit.check(page, access).passed else "-" for letter, access in pairs)


@pytest.mark.parametrize(("user", "supervisor"), list(product(MANUAL, MANUAL)))
def test_each_kind_of_page_has_its_register(user, supervisor):
    unit = PksUnit()
    unit.tlb.insert(Entry(1, 1, 3, level=3, key=5))
    unit.tlb.insert(Entry(2, 2, 3, level=1, key=5))
    unit.wrpkru(user << 10)
    unit.wrmsr(IA32_PKRS, supervisor << 10)
    for unit.level in (0, 1):
        assert (passes(unit, 1), passes(unit, 2)) == (MANUAL[user], MANUAL[supervisor])
    unit.level = 3
    assert (passes(unit, 1), passes(unit, 2)) == (MANUAL[user], "---")


@pytest.mark.parametrize("level", LEVELS)
def test_only_level_0_writes_the_msr(level):
    unit = PksUnit()
    unit.level = level
    before = unit.save()
    if level == 0:
        unit.wrmsr(IA32_PKRS, 1)
        assert unit.save() != before
    else:
        with pytest.raises(PermissionError, match="general protection"):
            unit.wrmsr(IA32_PKRS, 1)
        assert unit.save() == before


def test_another_msr_is_not_there():
    with pytest.raises(ValueError, match="MSR 10"):
        PksUnit().wrmsr(0x10, 0)


@pytest.mark.parametrize("keys", [8, 24])
def test_verdicts_are_the_architectures_and_cost_what_they_do_by_pku(keys):
    program = Program(seed=keys, keys=keys, accesses=4000, loaded=True)
    units = PksVirtualizer(), PkuVirtualizer()
    for unit in units:
        assert not run(unit, program).mismatches
    assert units[0].counts == units[1].counts
    assert units[0].counts.rewritten > 100


def test_a_guest_cannot_give_itself_rights():
    unit = PksVirtualizer()
    unit.set_register(0, KeyRegister(1))
    unit.insert(Entry(0x10, 0x10, rights=2, level=0, key=1))  # the kernel's data
    unit.set_level(3)
    assert unit.access(0x10, Access.WRITE) is Fault.ACCESS_RIGHTS
    unit.hardware.wrpkru(0)
    assert unit.access(0x10, Access.WRITE) is Fault.ACCESS_RIGHTS
    with pytest.raises(PermissionError):
        unit.hardware.wrmsr(IA32_PKRS, 0)
    unit.set_level(0)
    assert unit.access(0x10, Access.WRITE) is Fault.NONE


def test_what_it_holds_comes_back():
    unit, other = PksVirtualizer(), PksVirtualizer()
    unit.set_register(0, KeyRegister(7))
    unit.insert(Entry(1, 1, rights=2, level=1, key=7))
    assert unit.access(1, Access.WRITE) is Fault.NONE
    unit.hardware.wrpkru(4)  # the guest's own
    other.load(unit.save())
    assert tuple(other.hardware.user_registers) == tuple(unit.hardware.user_registers)
    assert other.save() == unit.save()
