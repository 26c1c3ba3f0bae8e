"""Who may do what, by literal tables: PROMOTE and DEMOTE from every level, each privileged operation at every level."""

from itertools import product

import pytest

from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.operations import Cause, Operation
from labkit.vm.keys.reference import RULES, Reference
from labkit.vm.keys.rings import Rings
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

WAYS = [KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization]
PROMOTED = ((0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 2, 2), (0, 1, 2, 3))
"""By the level of a page with access rights 7, the level that 0, 1, 2, 3 get there; other rights leave the level."""
DEMOTED = {(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)}
"""From where to where."""
PRIVILEGED = {
    "INSERT", "PURGE", "WRITE_KEY", "READ_KEY", "KEY_OF", "MODE", "VECTOR", "RETURN", "READ", "WRITE", "STOP",
}  # fmt: skip
VECTOR, STACK, CODE, NOTHING = 0x9000, 0xA000, 0x8000, 0xDEAD


@pytest.fixture
def rings():
    """The guest's machine before its first instruction: addresses are physical."""
    made = Rings(KeyVirtualizer())
    yield made
    made.machine.processor.close()


def call(rings, level, operation, operand=0, second=0, third=0, translate=False):
    """INT 60h at a level; the cause of the interruption that came, or `NOTHING`."""
    registers = rings.machine.processor.registers
    rings.engine.physical.translate = translate  # MODE may have changed it
    rings.unit.set_level(level)
    rings.engine.vector, rings.engine.handler_stack = VECTOR, STACK
    rings.engine.saved[0] = NOTHING
    rings.machine.processor.write_physical(CODE, b"\xcd\x60\xf4")
    registers.eip = CODE
    registers.general[0], registers.general[3] = operation, operand
    registers.general[1], registers.general[2] = second, third
    rings.monitor.run(1)
    return rings.engine.saved[0]


@pytest.mark.parametrize("way", WAYS)
def test_promote(way):
    for rights, page_level, level in product(range(8), range(4), range(4)):
        wanted = PROMOTED[page_level][level] if rights == 7 else level
        unit, reference = way(), Reference(16)
        for one in (unit, reference):
            one.insert(Entry(1, 1, rights, page_level))
            one.set_level(level)
            one.promote(1)
            assert one.level == wanted, (rights, page_level, level)


@pytest.mark.parametrize("way", WAYS)
def test_promote_without_an_entry(way):
    unit = way()
    unit.set_level(2)
    unit.promote(1)
    assert unit.level == 2


@pytest.mark.parametrize("way", WAYS)
def test_demote(way):
    for level, to in product(range(4), range(5)):
        unit, reference = way(), Reference(16)
        unit.set_level(level)
        reference.set_level(level)
        if (level, to) in DEMOTED:
            unit.demote(to)
            assert unit.level == reference.demote(to) == to
        else:
            with pytest.raises(ValueError, match="gives no privilege"):
                unit.demote(to)
            assert unit.level == level
            assert to == 4 or reference.demote(to) == level


@pytest.mark.parametrize("way", WAYS)
def test_promote_without_translation(way):
    for rights, page_level, level in product(range(8), range(4), range(4)):
        unit, reference = way(), Reference(16)
        unit.hardware.translate = reference.translate = False
        for one in (unit, reference):
            one.insert(Entry(1, 1, rights, page_level))
            one.set_level(level)
            one.promote(1)
            assert one.level == 0


def test_promote_on_the_processor(rings):
    rings.unit.set_register(0, KeyRegister(0))
    rings.unit.insert(Entry(VECTOR >> 12, VECTOR >> 12, 1, 0))  # a handler that does nothing
    rings.machine.processor.write_physical(VECTOR, b"\x90" * 4)
    for rights, page_level, level in product(range(8), range(4), range(4)):
        rings.unit.insert(Entry(CODE >> 12, CODE >> 12, rights, page_level))
        assert call(rings, level, Operation.PROMOTE) == NOTHING
        assert rings.unit.level == rings.machine.processor.registers.general[0] == 0  # not translated
        cause = call(rings, level, Operation.PROMOTE, translate=True)
        if "x" not in RULES[rights][page_level][level]:
            assert cause == Fault.ACCESS_RIGHTS | Access.EXECUTE.bit << 8
            continue
        assert cause == NOTHING
        wanted = PROMOTED[page_level][level] if rights == 7 else level
        assert rings.unit.level == rings.machine.processor.registers.general[0] == wanted, (rights, page_level, level)


def test_demote_on_the_processor(rings):
    for level, to in product(range(4), range(5)):
        cause = call(rings, level, Operation.DEMOTE, to)
        if (level, to) in DEMOTED:
            assert (cause, rings.unit.level) == (NOTHING, to)
        else:
            assert (cause, rings.unit.level) == (Cause.OPERAND, 0)  # in its handler
            assert rings.engine.saved[3] == level


def test_privileged_operations_at_every_level(rings):
    for operation, level in sorted(product(Operation, (3, 2, 1, 0)), key=lambda case: case == (Operation.STOP, 0)):
        cause = call(rings, level, operation, 1, 1, 1)
        refused = operation.name in PRIVILEGED and level > 0
        assert (cause == Cause.PRIVILEGED) == refused, (operation, level, cause)
        if refused:
            assert (rings.unit.level, rings.machine.processor.registers.eip) == (0, VECTOR)
            assert rings.engine.saved[3] == level
