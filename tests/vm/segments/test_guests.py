"""Three guests under four strategies, on the processor."""

import pytest

from labkit.vm.segments.guests import GUESTS, MIX, THREAD_LOCAL, TOP_OF_MEMORY, outcome
from labkit.vm.segments.strategies import Strategy, run


@pytest.mark.parametrize("guest", GUESTS, ids=lambda guest: guest.name)
def test_never_emulates_every_access(guest):
    assert outcome(guest, Strategy.NEVER, 10, 4, share=50).emulated == 5 * 4 * guest.accesses


def test_lazy_costs_one_fault_for_each_episode_that_uses_the_cut_part():
    found = outcome(THREAD_LOCAL, Strategy.LAZY, 20, 5, share=25)
    assert (found.emulated, found.detruncations) == (0, 5)
    assert found == run(Strategy.LAZY, ([{}] * 3 + [{"gs": 10}]) * 5)


def test_data_in_the_monitors_range_are_emulated_by_all_strategies():
    found = {strategy: outcome(TOP_OF_MEMORY, strategy, 6, 4) for strategy in Strategy}
    assert {one.emulated for one in found.values()} == {24}
    assert min(found.values(), key=lambda one: one.cost).strategy is Strategy.NEVER


def test_a_mix_has_both_kinds():
    found = outcome(MIX, Strategy.TWO_TABLES, 6, 4)
    assert (found.emulated, found.detruncations) == (24, 0)
    with pytest.raises(ValueError, match="101"):
        outcome(MIX, Strategy.LAZY, 1, 1, share=101)
