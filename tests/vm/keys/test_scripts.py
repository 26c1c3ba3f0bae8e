"""Random scripts of guest code on the processor: as the rules foretell, and the same on the real unit.

`labkit bench keys` does a million accesses.
"""

from itertools import product

import pytest

from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.acts import ACROSS, KINDS, UPDATES, Act, do, fresh_frames
from labkit.vm.keys.comparison import compare
from labkit.vm.keys.operations import Operation
from labkit.vm.keys.scripts import write
from labkit.vm.machine.tlb import Fault
from tests.vm.keys import planted

PLANTED = [
    kind for kind in vars(planted).values() if isinstance(kind, type) and kind.__module__ == planted.__name__
]


def small(way):
    return way(registers=8, entries=24, guest_registers=16, shadow_keys=12)


def test_the_real_unit_and_shadow_keys_do_what_is_foretold():
    script = write(1, 3000)
    compared = compare(script, NoVirtualization(), KeyVirtualizer(), small(KeyVirtualizer))
    assert not compared.differences
    assert set(compared.verdicts) == set(Fault)
    assert compared.verdicts[Fault.NONE] > 300
    assert compared.accesses == compared.verdicts.total() >= 3000


@pytest.mark.parametrize("times", [4, 64])
def test_with_more_keys_than_registers(times):
    registers, unit = 16 * times, KeyVirtualizer(16, guest_registers=16 * times)
    compared = compare(write(times, 2000, registers - 3, registers, 256), unit)
    assert not compared.differences
    assert unit.counts.key_misses > 300


@pytest.mark.parametrize("way", [Retranslation, DuplicateEntries])
def test_the_other_ways(way):
    assert not compare(write(2, 1000), way()).differences


@pytest.mark.parametrize("wrong", PLANTED)
def test_a_unit_with_a_bug_is_found(wrong):
    assert compare(write(3, 2500), small(wrong)).differences


def test_one_that_differs_in_nothing_is_not():
    assert not compare(write(3, 2500), small(KeyVirtualizer)).differences


def test_a_script_covers_what_it_should():
    script = write(4, 3000)
    whats = {act.what for act in script.acts}
    assert {*KINDS, *Operation} - whats == {
        Operation.RETURN,
        Operation.READ,
        Operation.WRITE,
    }  # the handler's
    causes = {note[0] for note in script.notes}
    assert {0, 16, 17, 18} <= causes
    assert {note[3] for note in script.notes if note[0]} == {0, 1, 2, 3}


def test_of_accesses_across_two_pages_each_page_says_no_in_every_way():
    script, page = write(4, 6000), 0xFFF
    acts = [pair for pair in zip(script.acts, script.notes, strict=False) if pair[0].what in KINDS]
    across = [(act, note) for act, note in acts if act.b & page >= ACROSS - 1]
    assert {act.what for act, note in across if note[0] == 0} == {*KINDS}
    stopped = {(act.what, note[1] & page == 0, Fault(note[0] & 0xFF)) for act, note in across if note[0]}
    for second in (False, True):
        faults = {fault for _, at_second, fault in stopped if at_second == second}
        assert faults >= {*Fault} - {Fault.NONE, Fault.DIRTY_BIT}  # which only a write can meet
        for what, fault in product(KINDS, (Fault.KEY_MISS, Fault.KEY_PERMISSION, Fault.ACCESS_RIGHTS)):
            assert (what, second, fault) in stopped
    updates = {note[0] >> 8 for act, note in acts if act.what == UPDATES and note[0]}
    assert updates == {1, 2}, "stopped at reading, and at writing what may be read"


def test_a_script_is_a_function_of_its_seed():
    assert write(5, 200).acts == write(5, 200).acts != write(6, 200).acts


def test_too_much_is_refused():
    with pytest.raises(ValueError, match="300 pages"):
        write(1, 10, pages=300)
    with pytest.raises(ValueError, match="at most"):
        do([Act(Operation.STOP)] * 70_000, fresh_frames(1, 1), KeyVirtualizer())
