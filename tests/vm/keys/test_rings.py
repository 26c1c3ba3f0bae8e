"""A guest in four rings on the processor: the same image on the real unit and on every virtual one."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.baselines import EXACT
from labkit.vm.keys.costs import cost
from labkit.vm.keys.operations import PRIVILEGED, Operation
from labkit.vm.keys.rings import RINGS, Rings
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.machine.tlb import Fault
from labkit.vm.monitor.stop import StopReason

ENDS = (StopReason.HALTED, StopReason.SHUTDOWN, StopReason.INSTRUCTIONS, StopReason.STUCK, StopReason.NOWHERE)
RIGHT = "rings: 3822 trials, 0 wrong\nrings: 20 calls, the end\n"


@pytest.mark.parametrize("way", [KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization])
def test_the_guest_finds_its_rules_kept(way):
    rings = Rings(way())
    stop = rings.monitor.run(50_000_000)
    assert stop.reason is StopReason.HALTED
    assert rings.text == RIGHT


def test_every_way_ends_in_the_same_state():
    states = set()
    for unit in (KeyVirtualizer(), KeyVirtualizer(registers=8, entries=8, guest_registers=16), NoVirtualization()):
        rings = Rings(unit)
        rings.run()
        states.add((rings.machine.processor.clock, rings.machine.ram_sha256(), rings.machine.registers.sha256()))
    assert len(states) == 1


def test_what_the_compiled_unit_refuses_is_what_the_model_says():
    rings, seen = Rings(KeyVirtualizer()), set()

    def note(address, access, refused, reflected):
        verdict = rings.engine.physical.check(address >> 12, access).fault
        seen.add((refused, reflected))
        if reflected is not Fault.NONE:
            assert verdict is refused
            assert reflected is rings.unit.expected(address >> 12, access).fault

    rings.engine.on_fault = note
    rings.run()
    assert {reflected for _, reflected in seen} == set(Fault)
    assert (Fault.KEY_PERMISSION, Fault.ACCESS_RIGHTS) in seen  # the hardware's fault is not the guest's


class Lazy(KeyVirtualizer):
    """Leaves the key registers as they are when the level changes."""

    def level_changed(self):
        pass


def test_a_unit_with_a_bug_is_found_by_the_guest():
    rings = Rings(Lazy())
    rings.monitor.run(5_000_000)
    assert rings.text != RIGHT


def changes(way):
    """What became of the TLB while levels changed: (times it was another afterwards, purges, entries rewritten)."""
    rings = Rings(way(), rounds=500, turns=20, skip_trials=1)
    unit, changed = rings.unit, []

    def set_level(level, change=unit.set_level):
        before = list(unit.hardware.tlb.entries.items())
        change(level)
        changed.append(list(unit.hardware.tlb.entries.items()) != before)

    with patch.object(unit, "set_level", set_level):
        rings.run()
    assert min(unit.counts.level_changes, len(changed)) > 900
    return sum(changed), unit.counts.purges, unit.counts.rewritten


def test_a_change_of_level_touches_key_registers_only():
    assert changes(KeyVirtualizer) == (0, 0, 0)
    rings = Rings(KeyVirtualizer())
    rings.run()
    counts = rings.unit.counts
    assert (counts.purges, counts.rewritten, counts.recycled) == (0, 0, 0)
    assert counts.entry_purges == 40  # by the guest's own doing: it inserts its tried page anew


class Purging(KeyVirtualizer):
    """Throws all out as well."""

    def level_changed(self):
        super().level_changed()
        self.hardware.tlb.purge_all()


class Rewriting(KeyVirtualizer):
    """Makes the entries exact for the level, in place."""

    def level_changed(self):
        super().level_changed()
        for held in list(self.hardware.tlb.entries.values()):
            rights, level = EXACT[self.rights_now(self.translations[held.page])]
            self.hardware.tlb.insert(replace(held, rights=rights, level=level))


class Dropping(KeyVirtualizer):
    """Takes entries out one by one, where the level changes what they permit."""

    def level_changed(self):
        super().level_changed()
        for held in list(self.hardware.tlb.entries.values()):
            self.hardware.tlb.purge(held.page)


def test_one_that_touches_the_tlb_as_well_is_counted():
    """Their guest sees no difference: only what was done to the TLB tells."""
    told = {Purging: (True, True, False), Rewriting: (True, False, True), Dropping: (True, False, False)}
    for way, which in told.items():
        assert tuple(map(bool, changes(way))) == which, way
        measured = cost(way, 1000, 50_000)
        assert measured.purges + measured.rewritten > 0, way
    measured = cost(KeyVirtualizer, 1000, 50_000)
    assert (measured.purges, measured.rewritten) == (0, 0)


@pytest.mark.parametrize("registers", [1, 2, 7])
def test_too_few_key_registers_are_refused(registers):
    with pytest.raises(ValueError, match=f"^{registers} key registers: .* give 8 or more"):
        Rings(KeyVirtualizer(registers=registers, guest_registers=16))


@pytest.mark.parametrize("entries", [1, 7])
def test_too_small_a_tlb_is_refused(entries):
    with pytest.raises(ValueError, match=f"^{entries} TLB entries: .* give 8 or more"):
        Rings(KeyVirtualizer(entries=entries))


def test_a_unit_of_x86s_keys_is_refused():
    with pytest.raises(TypeError, match="give a KeyVirtualizer"):
        Rings(PkuVirtualizer())


@pytest.mark.parametrize("word", [0xABC0E, 0xABC0F, 0, 0xFFFFFF00])
def test_a_key_register_reads_back_as_written(word):
    engine = Rings(KeyVirtualizer()).engine
    engine._write_key(3, word, 0)
    engine._read_key(3, 0, 0)
    assert engine._processor.registers.general[0] == word
    assert engine.unit.keys[3].valid == bool(word & 1)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValueError, match="turns"):
        Rings(KeyVirtualizer(), speed=3)


def test_operations_are_those_of_the_header():
    header = RINGS.with_name("unit.h").read_text()
    for operation in Operation:
        assert f"OP_{operation.name} = {operation.value}," in header
    assert Operation.INSERT in PRIVILEGED
    assert Operation.CALL not in PRIVILEGED


def test_hostile_operands_do_not_end_the_run():
    """Every operation with operands of all sizes, before the guest has a handler: it ends in a `Stop`."""
    for operation in [*range(16), 99, 0xFFFFFFFF]:
        for operand in (0, 5, 0xFFFFF, 0xFFFFFFFF):
            rings = Rings(KeyVirtualizer())
            code = b"".join(
                bytes([0xB8 + register]) + value.to_bytes(4, "little")
                for register, value in ((0, operation), (3, operand), (1, operand), (2, operand))
            )
            start = rings.machine.registers.eip
            rings.machine.processor.write_physical(start, code + b"\xcd\x60\xf4")
            stop = rings.monitor.run(2000)
            assert stop.reason in ENDS, (operation, operand, stop)
            rings.machine.processor.close()


ENDLESS = {
    "undefined": b"\x0f\x0b", "HLT, in ring 3": b"\xf4", "a far call to nowhere": b"\x9a\0\0\0\0\x08\0",
    "not mapped": b"", "no such operation": b"\xb8\x63\0\0\0\xcd\x60", "INT 80h": b"\xcd\x80",
    "division by 0": b"\x31\xc9\xf7\xf1", "RETURN to itself": b"\xb8\x07\0\0\0\xcd\x60",
    "single steps": b"\x9c\x58\x80\xcc\x01\x50\x9d\x90",
}  # fmt: skip


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS.keys())
@pytest.mark.timeout(60)
def test_a_handler_that_faults_at_once_does_not_hang_the_host(code):
    rings = Rings(KeyVirtualizer())
    start = rings.machine.registers.eip
    rings.machine.processor.write_physical(start, code)
    rings.engine.vector, rings.engine.handler_stack, rings.engine.saved[2] = start, 0x9000, start
    rings.engine.physical.translate = not code
    stop = rings.monitor.run(2000)
    assert stop.reason is (StopReason.INSTRUCTIONS if rings.machine.processor.clock else StopReason.STUCK), stop
    if stop.reason is StopReason.STUCK:
        assert "256 faults and not one instruction" in stop.message
    rings.machine.processor.close()
