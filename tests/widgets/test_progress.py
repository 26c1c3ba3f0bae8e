"""Progress: nothing while it is early, then a share and the time left, and at the end a line."""

import pytest

from labkit.widgets import progress
from labkit.widgets.progress import Progress, busy


@pytest.fixture
def clock(monkeypatch):
    """The time as the test says."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_it_is_silent_at_first_and_then_tells_share_and_time_left(clock):
    told: list[str] = []
    show = busy("looking", 100, told.append)
    show(0)
    clock[0] += 0.1
    show(10)
    assert told == []
    clock[0] += 0.9
    show(25)
    assert told == ["looking: 25 %, 3 s left"]
    clock[0] += 0.01
    show(26)
    assert len(told) == 1, "not too often"


def test_what_takes_longer_than_expected_is_said(clock):
    told: list[str] = []
    show = busy("booting", 5_000_000, told.append)
    show(0)
    clock[0] += 5
    show(7_000_000)
    assert told == ["booting: 5 s so far"]


def test_a_bar_is_shown_changed_and_ended_with_a_line(clock, monkeypatch):
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    with Progress("Linux boots", 100) as bar:
        bar._handle = Handle()
        monkeypatch.setattr(progress, "in_notebook", lambda: True)
        bar(0)
        clock[0] += 1
        bar(50)
        clock[0] += 1
    assert 'value="0.500"' in shown[0]["text/html"]
    assert shown[0]["text/plain"] == "Linux boots: 50 %, 1 s left"
    assert shown[-1]["text/plain"] == "Linux boots: done in 2 s"


def test_parts_have_their_own_names_and_shares(clock, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(Progress, "_show", lambda _, bundle: shown.append(bundle["text/plain"]))
    bar = Progress()
    for name in ("package lists", "linux-image"):
        bar.part(name, 0, 100 * (name != "package lists"))
        clock[0] += 1
        bar.part(name, 50, 100 * (name != "package lists"))
    assert shown == ["package lists: 1 s so far", "linux-image: 50 %, 1 s left"]


def test_outside_a_notebook_nothing_is_shown(clock, capsys):
    with Progress("Linux boots", 100) as bar:
        bar(0)
        clock[0] += 9
        bar(50)
    assert capsys.readouterr().out == ""


def test_what_was_interrupted_is_not_said_to_be_done(clock, monkeypatch):
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    def boot():
        with Progress("Linux boots", 100) as bar:
            bar._handle = Handle()
            clock[0] += 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        boot()
    assert shown[-1]["text/plain"] == "Linux boots: stopped after 2 s"


def test_the_share_is_of_what_is_left_from_where_it_began(clock):
    told: list[str] = []
    show = busy("looking", 210, told.append)
    show(200)
    clock[0] += 2
    show(201)
    assert told == ["looking: 10 %, 18 s left"]
