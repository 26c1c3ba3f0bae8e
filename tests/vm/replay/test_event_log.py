from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.monitor import EventKind
from labkit.vm.replay import EventLog

KINDS = st.sampled_from(list(EventKind))
LOGS = st.lists(st.tuples(st.integers(0, 40), KINDS)).map(lambda rows: sorted(rows, key=lambda row: row[0]))


def log_of(rows) -> EventLog:
    log = EventLog()
    log.rows += [(clock, 0, 0, kind, 0, 0, 0, "") for clock, kind in rows]
    return log


@given(LOGS, st.integers(-1, 41), st.integers(-1, 41), st.integers(0, 5), st.integers(0, 5))
def test_against_plain_lists(rows, a, b, before, after):
    log, clocks = log_of(rows), [clock for clock, _ in rows]
    assert [e.point.instructions for e in log] == clocks
    assert [e.point.instructions for e in log.between(a, b)] == [c for c in clocks if a <= c < b]
    behind = [c for c in clocks if c > a]
    until = [c for c in clocks if c <= a]
    around = [e.point.instructions for e in log.around(a, before, after)]
    assert around == until[len(until) - min(before, len(until)) :] + behind[:after]
    assert sum(log.kinds().values()) == len(log) == len(rows)
    for kind in EventKind:
        assert log.clocks(kind) == [clock for clock, k in rows if k is kind]


def test_it_is_a_sequence(recorded):
    log = recorded.events
    assert log[0] == next(iter(log))
    assert log[-1] == list(log)[-1]
    assert log[2:5] == list(log)[2:5]
    assert str(log).splitlines()[-1].split(maxsplit=1)[1] in log.kinds()
