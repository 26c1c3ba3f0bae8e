"""States of a run that was gone through: a source that resumes there goes on as the run did, with the same parts."""

import pickle
from pathlib import Path

import pytest

from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.session import record
from labkit.vm.replay.trace_parts import GuestRecipe, Recipe, RecordingRecipe, expand_parts
from labkit.vm.replay.trace_spans import Window
from labkit.vm.replay.trace_states import resume, run_through

EVERY, END = 20_000, 88_000
TEACHING = GuestRecipe("teaching", 8 << 20)


@pytest.fixture(scope="module", params=["guest", "recording"])
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    if request.param == "guest":
        return TEACHING
    path: Path = tmp_path_factory.mktemp("recording") / "run.rec"
    record("teaching", path, [b"help\n"], memory=8 << 20)
    return RecordingRecipe(str(path))


def test_a_source_goes_on_from_a_state(recipe: Recipe):
    source = recipe.source()
    states = run_through(source, END, EVERY)
    assert states.end == END
    plain = recipe.source()
    for clock in (60_000, 20_000):
        assert states.before(clock + 19_999) == clock
        sent = pickle.loads(pickle.dumps(states.state(clock)))
        there = recipe.source()
        resume(there, sent)
        for goal in (clock, clock + 1, clock + 12_321, END):
            plain.goto(goal)
            there.forward(goal)
            for machine in (there.machine, plain.machine):
                assert machine.processor.clock == goal
            assert there.machine.ram_sha256() == plain.machine.ram_sha256(), goal
            assert there.machine.registers_sha256() == plain.machine.registers_sha256(), goal


def test_parts_from_a_state_are_those_from_the_start(recipe: Recipe):
    what = frozenset(("instructions", "values", "linear", "walks", "events", "spaces"))
    parameters = ExpansionParameters(what=what)
    wanted = [Window(40_000, 83_000)]
    states = run_through(recipe.source(), END, EVERY)
    there = recipe.source()
    resume(there, states.state(states.before(wanted[0].start)))
    parts = list(expand_parts(there, wanted, parameters, turns=True))
    assert parts == list(expand_parts(recipe.source(), wanted, parameters))
    assert parts[0].rows["events"] > 0


def test_edges_share_what_is_left():
    states = run_through(TEACHING.source(), END, EVERY)
    assert states.before(EVERY - 1) == 0
    (middle,) = states.edges(Window(0, END), 2, 1000.0)  # what a stretch took plainly counts for little
    assert middle == 40_000
    assert states.edges(Window(45_000, END), 2, 1000.0) == [60_000]
    assert len(states.edges(Window(0, END), 4, 4.0)) == 3
    assert states.edges(Window(0, END), 1, 4.0) == []
    with pytest.raises(ValueError, match="not in list"):
        states.state(123)
