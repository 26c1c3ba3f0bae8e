"""Strategies: their faults on known episodes, and where one becomes cheaper than the next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.segments.strategies import Costs, Strategy, compare, run

EPISODES = st.lists(st.dictionaries(st.sampled_from(("ds", "gs", "fs")), st.integers(0, 50)), max_size=40)
STORM = [{"gs": 1000}] * 50
QUIET = [{"ds": 0}] * 50


@given(EPISODES)
def test_faults(episodes):
    outcomes = {strategy: run(strategy, episodes) for strategy in Strategy}
    uses = sum(sum(1 for n in episode.values() if n) for episode in episodes)
    assert outcomes[Strategy.NEVER].faults == sum(sum(episode.values()) for episode in episodes)
    assert outcomes[Strategy.TWO_TABLES].faults == 0
    assert outcomes[Strategy.LAZY].faults == uses
    assert outcomes[Strategy.COUNTING].faults <= uses


def test_a_storm_of_thread_local_accesses():
    assert [outcome.strategy for outcome in compare(STORM)][-1] is Strategy.NEVER
    assert run(Strategy.COUNTING, STORM).faults == 3
    assert run(Strategy.LAZY, STORM).faults == 50


def test_nothing_used_costs_nothing_but_with_two_tables():
    assert {o.strategy for o in compare(QUIET) if o.cost == 0} == set(Strategy) - {Strategy.TWO_TABLES}


def test_the_heuristic_forgets():
    assert run(Strategy.COUNTING, [*STORM[:5], *QUIET, *STORM[:5]]).detruncations == 6


def test_crossover_between_lazy_and_two_tables():
    """Two tables cost the same each time: lazy is better while few episodes use the cut part."""
    lazy, tables = (
        [run(s, [{"gs": i % 10 < used} for i in range(100)], Costs()).cost for used in range(11)]
        for s in (Strategy.LAZY, Strategy.TWO_TABLES)
    )
    assert lazy[0] < tables[0]
    assert lazy[10] > tables[10]


def test_unknown_register():
    with pytest.raises(ValueError, match="cs"):
        run(Strategy.LAZY, [{"cs": 1}])
