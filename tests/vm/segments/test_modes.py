"""The protection modes: no way in while all safeguards are in force, and a way in for each that is left out."""


import pytest

from labkit.vm.segments.modes import DATA_REGISTERS, Mode, Protection, ProtectionError, Safeguard

GUEST = (Mode.TRANSLATED, Mode.DIRECT_TRUNCATED, Mode.DIRECT_DETRUNCATED)


def journeys(start, length):
    """All states on all ways of that many changes from the monitor."""
    states = [start]
    for _ in range(length):
        after = []
        for state in states:
            for mode in Mode:
                try:
                    after.append(state.to(mode))
                except ProtectionError:
                    continue
        yield from after
        states = after


def test_with_all_safeguards_nothing_leaks_on_any_way():
    states = list(journeys(Protection(), 6))
    assert {state.mode for state in states} == set(Mode)
    assert all(state.leaks() == () for state in states)


@pytest.mark.parametrize("safeguard", Safeguard)
def test_each_safeguard_left_out_leaks(safeguard):
    leaks = [leak for state in journeys(Protection().without(safeguard), 4) for leak in state.leaks()]
    assert leaks


def test_hidden_parts_keep_the_old_limit_without_the_reload():
    state = Protection().to(Mode.DIRECT_DETRUNCATED).without(Safeguard.RELOAD).to(Mode.MONITOR).to(Mode.TRANSLATED)
    assert {leak.through for leak in state.leaks()} >= {"ds", "es", "ss"}
    assert "leak" in str(state)


def test_lazily_whole_segments_are_cut_on_the_way_out():
    state = Protection().to(Mode.DIRECT_TRUNCATED).detruncate("gs")
    assert state.leaks() == ()
    assert state.to(Mode.MONITOR).to(Mode.TRANSLATED).leaks() == ()


def test_forbidden_changes():
    direct = Protection().to(Mode.DIRECT_TRUNCATED)
    with pytest.raises(ProtectionError, match="go through the monitor"):
        direct.to(Mode.TRANSLATED)
    with pytest.raises(ProtectionError, match="nonreversible"):
        Protection().to(Mode.DIRECT_TRUNCATED, reversible=False)
    with pytest.raises(ProtectionError, match="supervisor"):
        Protection(supervisor=False).to(Mode.DIRECT_DETRUNCATED)
    with pytest.raises(ProtectionError, match="direct execution only"):
        Protection().to(Mode.TRANSLATED).detruncate("ds")


def test_without_supervisor_pages_only_whole_segments_leak():
    bare = Protection().without(Safeguard.SUPERVISOR)
    for mode, count in zip(GUEST, (0, 0, len(DATA_REGISTERS)), strict=True):
        assert len(bare.to(mode).leaks()) == count
