"""Where a run is sent: addresses as people write them, what its status says, and what typing there leaves out."""

import re
from typing import Any

import pytest

from labkit.vm.replay import Hit, Timeline
from labkit.widgets.debugger.code import linear_eip
from labkit.widgets.debugger.places import looks_like_an_address
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.words import hex32
from tests.widgets.debugger.conftest import run_out


@pytest.mark.parametrize("form", ["{0:08x}", "{0:x}h", "0x{0:x}", "{1}"])
def test_go_to_an_address_as_it_is_shown(timeline, form):
    session = Session(timeline)
    address = linear_eip(timeline.registers)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": form.format(address, hex32(address))})
    run_out(session)
    assert linear_eip(timeline.registers) == address


@pytest.mark.parametrize(
    ("text", "is_address"),
    [
        ("c126 4d49", True), ("c1264d49", True), ("1e6", True), ("0010 0000", True), ("1000h", True), ("0x10", True),
        ("1000", False), ("139 663 961", False), ("00100000", False), ("50%", False), ("somewhere", False), ("", False),
    ],
)  # fmt: skip
def test_decimal_digits_are_a_point_whatever_else_is_hexadecimal_an_address(text, is_address):
    assert looks_like_an_address(text) == is_address


def test_a_run_says_where_it_goes(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    assert session.view().status.startswith("running to paging_init (looked for forward only) · point 0 ")
    run_out(session)
    assert session.view().status.startswith("paused")
    session.do({"do": "breakpoint"})
    session.do({"do": "end"})
    session.do({"do": "previous_stop"})
    assert session.view().status.startswith("running back to a stop · point ")
    session.do({"do": "start"})
    session.do({"do": "next_stop"})
    assert session.view().status.startswith("running on to a stop · point ")
    session.do({"do": "run"})
    session.do({"do": "pause"})
    session.do({"do": "run"})
    assert session.view().status.startswith("running · point ")


def test_a_symbol_that_lies_before_is_said_to_perhaps(timeline):
    session = Session(timeline)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    told = session.view().message
    assert told.startswith("paging_init is not reached between here and the end")
    assert "it may lie before: stop at it, and [ looks back" in told


def test_typing_where_something_was_typed_takes_its_place(own_timeline):
    session, there = Session(own_timeline), own_timeline.end
    own_timeline.type(b"echo old\n")
    own_timeline.run(200_000)
    session.do({"do": "seek", "to": there})
    session.do({"do": "type", "text": "echo new\n"})
    run_out(session)
    lines = session.view().console.lines
    assert "new" in lines
    assert "old" not in lines


@pytest.fixture
def stretched() -> Timeline:
    """A history with some ten checkpoints."""
    timeline = Timeline.boot("teaching", memory=32 << 20)
    timeline._history.epoch = 10_000
    timeline.run(80_000)
    return timeline


@pytest.mark.parametrize(("begin", "command"), [("end", "previous_stop"), ("start", "next_stop")])
def test_a_long_search_goes_by_checkpoints_and_tells_how_far_it_is(stretched, monkeypatch, begin, command):
    timeline = stretched
    session, now, begun = Session(timeline), [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("labkit.widgets.debugger.running.LEAST_STRETCHES", 1)
    monkeypatch.setattr("labkit.widgets.debugger.running.SEARCH_BUDGET", 0)
    stretches, run_to = len(timeline.machine.checkpoints), timeline.run_to

    def counted(*given: Any) -> Hit | None:
        begun.append(timeline.cursor)
        return run_to(*given)

    monkeypatch.setattr(timeline, "run_to", counted)
    session.do({"do": "stop", "text": "f0000000"})
    session.do({"do": begin})
    here = timeline.cursor
    session.do({"do": command})
    said = []
    while session.state.running:
        now[0] += 1
        session.runner.tick()
        said.append(session.view().status)
    assert len(begun) <= stretches + 1, "no stretch is run twice"
    assert any(re.search(r"stop, \d+ %, \d+ s left · point", status) for status in said)
    assert " left" not in session.view().status
    assert "no breakpoint was met" in session.view().message
    assert timeline.cursor == (here if command == "previous_stop" else timeline.end)


def test_a_search_back_can_be_stopped_where_it_has_come_to(stretched):
    timeline = stretched
    session = Session(timeline)
    session.do({"do": "stop", "text": "f0000000"})
    session.do({"do": "end"})
    session.do({"do": "previous_stop"})
    session.runner.tick()
    session.do({"do": "pause"})
    assert not session.state.running
    assert timeline.start < timeline.cursor < timeline.end
