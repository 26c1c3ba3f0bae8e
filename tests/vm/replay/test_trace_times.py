"""Guest time as a place: the clock that is found is the first one with that time, by the machine's own clock."""

from pathlib import Path

import pytest

from labkit.vm.replay.expansion_parameters import ExpansionParameters, TraceError, parse_time
from labkit.vm.replay.session import record
from labkit.vm.replay.trace_parts import GuestRecipe, RecordingRecipe
from labkit.vm.replay.trace_windows import windows


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, GuestRecipe | RecordingRecipe]:
    path: Path = tmp_path_factory.mktemp("times") / "session.rec"
    record("teaching", path, (b"sleep 30\n", b"forks 2\n"), memory=8 << 20)
    return {"virtual": GuestRecipe("ping", 8 << 20), "live": RecordingRecipe(str(path))}


@pytest.mark.parametrize("which", ["virtual", "live"])
def test_the_first_clock_with_that_time(recipes, which: str):
    recipe = recipes[which]
    source = recipe.source()
    source.goto(1 << 59)
    last = source.machine.clock.now()
    found = []
    for part in (1, 3, 4, 7, 9):
        wanted = last * part // 10
        (window,) = windows(recipe.source(), ExpansionParameters(times=((wanted, 1 << 60),)))
        source = recipe.source()
        source.goto(window.start - 1)
        assert source.machine.clock.now() < wanted
        source.goto(window.start + 1)  # where the guest was idle the time has passed when it goes on
        assert source.machine.clock.now() >= wanted
        found.append(window.start)
    assert found == sorted(found)
    (window,) = windows(recipe.source(), ExpansionParameters(times=((last // 10, last * 9 // 10),)))
    assert (window.start, window.end) == (found[0], found[-1])


def test_times_as_people_type_them():
    assert parse_time("1.5:2") == (1_500_000_000, 2_000_000_000)
    assert parse_time("20ms+500us") == (20_000_000, 20_500_000)
    assert parse_time(":80ns") == (0, 80)
    for wrong in ("", "5", "a:b", "1:xms", "1:inf"):
        with pytest.raises(TraceError):
            parse_time(wrong)
    with pytest.raises(TraceError, match="times"):
        ExpansionParameters(times=((5, 5),))
