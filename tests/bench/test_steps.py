import pytest

from labkit.bench import keys, steps
from labkit.vm.machine.tlb import Fault


def test_each_step_says_its_share_and_the_time_left(monkeypatch):
    now, said = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    step = steps.Steps([10, 80, 110], said.append)
    step("one")
    now[0] += 30  # ten seconds more than planned: half as fast, of which a half is believed
    step("two")
    now[0] += 160
    step("three")
    step("one more")
    assert said == ["one (0 %, 3 min left)", "two (5 %, 6 min left)", "three (45 %, 4 min left)", "one more"]


@pytest.mark.parametrize(("accesses", "linux"), [(keys.SCRIPT, True), (2 * keys.SCRIPT + 5, False)])
def test_the_plan_of_keys_has_a_time_for_every_step(monkeypatch, accesses, linux):
    """Nothing is measured: what is said before each step is."""
    said = []
    for name in ("exhaustive", "sweep", "_many", "key_costs", "run", "_named"):
        monkeypatch.setattr(keys, name, lambda *_given, **_named: _Nothing())
    monkeypatch.setattr(keys, "compare", lambda script, *_units: _Nothing(script))
    monkeypatch.setattr(keys, "write", lambda _seed, part, **_named: part)
    monkeypatch.setattr(keys, "fetched", lambda _guest: linux or None)
    monkeypatch.setattr(keys, "same_end", lambda _guest, _prompt, say: [say("paging"), say("keyed paging")])
    keys.measure(accesses, said.append)
    told = [line for line in said if "left" in line and "left out" not in line]
    assert len(told) == len(keys.plan(accesses, linux=linux)) == len(said) - (not linux)


class _Nothing:
    """Any outcome, with nothing in it."""

    changes = key_misses = key_writes = 0
    mismatches = differences = keys = ()

    def __init__(self, accesses=0):
        self.accesses, self.verdicts = accesses, dict.fromkeys(Fault, 0)

    def __iter__(self):
        return iter((0, 0))

    def __getitem__(self, _place):
        return self
