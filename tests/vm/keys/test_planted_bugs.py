"""What the comparison with the reference is worth: it finds each planted bug."""

import pytest

from labkit.vm.keys import KeyVirtualizer
from labkit.vm.keys.programs import Program, run
from tests.vm.keys.planted import (
    FirstInsertOnly,
    Generous,
    Lazy,
    LettingReturn,
    NeverTheTop,
    NoPurge,
    Stale,
    Stuck,
    ToTheTop,
    WriteEnabled,
)  # fmt: skip

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
