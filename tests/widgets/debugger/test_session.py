"""Commands in, views out: what each does, that none can break the session, and that the three faces agree."""

import html
import json
import os
import random
import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.vm.replay import Breakpoint
from labkit.widgets.debugger.code import linear_eip
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.static import as_html
from labkit.widgets.debugger.text import as_text
from labkit.widgets.debugger.view import as_json

CLICKS = int(os.environ.get("LABKIT_CLICKS", "300"))


def run_out(session: Session, seconds: float = 30) -> None:
    """Drive the runner as the widget's task does, without waiting."""
    deadline = time.monotonic() + seconds
    while session.state.running:
        assert time.monotonic() < deadline, "the run did not end"
        session.runner.tick()


def next_row(session: Session):
    return next(row for row in session.view().code.rows if row.mark in {"next", "again"})


# --- moving


def test_step_and_back_meet(timeline):
    session = Session(timeline)
    here, shown = timeline.cursor, session.view()
    for _ in range(50):
        session.do({"do": "step"})
    assert timeline.cursor == here + 50
    for _ in range(50):
        session.do({"do": "back"})
    assert timeline.cursor == here
    again = session.view()
    assert [row.value for row in again.registers.general] == [row.value for row in shown.registers.general]
    assert again.stack == shown.stack


def test_the_next_instruction_is_the_one_at_eip_and_done_is_the_one_before(timeline):
    session = Session(timeline)
    before = linear_eip(timeline.registers)
    session.do({"do": "step"})
    view = session.view()
    marks = {row.mark: row.linear for row in view.code.rows if row.mark}
    assert marks["next"] == linear_eip(timeline.registers)
    assert marks["done"] == before


def test_changed_registers_have_their_former_value(timeline):
    session = Session(timeline)
    for _ in range(20):
        before = timeline.registers
        session.do({"do": "step"})
        after = timeline.registers
        for row in session.view().registers.general:
            name = row.name.replace("flags", "eflags")
            old, new = getattr(before, name), getattr(after, name)
            assert int(row.value.replace(" ", ""), 16) == new
            assert bool(row.was) == (old != new)
            if row.was:
                assert int(row.was.replace(" ", ""), 16) == old


def test_written_bytes_are_marked_where_they_changed(timeline):
    session, seen = Session(timeline), 0
    for _ in range(60):
        session.do({"do": "step"})
        view = session.view()
        writes = [a for a in session.state.accesses if a.write]
        for row in view.memory.rows:
            for i, mark in enumerate(row.marks):
                inside = any(a.linear <= row.linear + i < a.linear + a.size for a in writes)
                assert (mark == "w") == inside
                seen += inside
    assert seen, "no step of the sixty wrote"


def test_the_listing_stays_while_the_cursor_moves_within_it(timeline):
    session = Session(timeline)
    first = [row.linear for row in session.view().code.rows]
    session.do({"do": "step"})
    second = session.view().code.rows
    assert next_row(session).linear in first
    assert [row.linear for row in second] == first


def test_events_by_step_are_those_of_the_log(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    for event in timeline.events[:10]:
        if event.point.instructions == timeline.cursor:
            continue
        session.do({"do": "event"})
        assert timeline.cursor == event.point.instructions
        assert any(row.mark == "here" for row in session.view().events.rows)


@pytest.mark.parametrize(
    ("text", "share"), [("50%", 0.5), ("0%", 0.0), ("100%", 1.0)]
)  # fmt: skip
def test_go_to_a_share(timeline, text, share):
    session = Session(timeline)
    session.do({"do": "go", "text": text})
    assert timeline.cursor == timeline.start + int((timeline.end - timeline.start) * share)


def test_go_to_a_point_an_event_a_name_and_an_address(timeline):
    session = Session(timeline, places={"a place": 1234})
    session.do({"do": "go", "text": "2 345"})
    assert timeline.cursor == 2345
    session.do({"do": "go", "text": "interrupt"})
    assert str(timeline.events.around(timeline.cursor, 1, 0)[0].kind) == "interrupt"
    session.do({"do": "go", "text": "A place"})
    assert timeline.cursor == 1234
    timeline.seek(timeline.end // 2)
    address = linear_eip(timeline.registers)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": f"{address:x}h"})
    run_out(session)
    assert linear_eip(timeline.registers) == address
    assert not list(timeline.breakpoints), "the way there leaves nothing behind"


# --- what cannot be done is said


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ({"do": "seek", "to": 10**12}, "is not in this history"),
        ({"do": "seek", "to": -5}, "is not in this history"),
        ({"do": "seek"}, "a point is missing"),
        ({"do": "go", "text": "somewhere"}, "Write a point"),
        ({"do": "go", "text": "nan%"}, "Write a point"),
        ({"do": "go", "text": "1e999%"}, "Write a point"),
        ({"do": "memory", "text": "xyz"}, "hexadecimal"),
        ({"do": "memory", "text": "1"}, ""),
        ({"do": "memory", "text": "f000 0000"}, "not mapped"),
        ({"do": "writer", "to": 0xF0000000}, "not mapped"),
        ({"do": "register_writer", "name": "cr3"}, "is not kept"),
        ({"do": "edit", "name": "eax", "text": "123456789"}, "eight hexadecimal digits"),
        ({"do": "edit", "name": "cs", "text": "1"}, "cannot be changed"),
        ({"do": "next_stop"}, "no breakpoint yet"),
        ({"do": "speed", "to": 9}, "there are 1 to 5"),
        ({"do": "filter", "name": "earthquake"}, "no event of the kind"),
        ({"do": "dance"}, "no command"),
        ({"do": 5}, "not a command"),
        ({"do": "step", "evil": 1}, "not a command"),
        ({"do": "type", "text": "x" * 5000}, "not a command"),
        ("step", "not a command"),
        (None, "not a command"),
    ],
)
def test_what_cannot_be_done_is_said(timeline, command, told):
    session = Session(timeline)
    here = timeline.cursor
    session.do(command)
    view = session.view()
    assert told in view.message
    assert (view.message_kind != "") == (told != "")
    assert timeline.cursor == here


def test_the_history_has_two_ends(timeline):
    session = Session(timeline)
    session.do({"do": "start"})
    session.do({"do": "back"})
    assert "begins here" in session.view().message
    session.do({"do": "previous_event"})
    assert "no event before" in session.view().message
    session.do({"do": "end"})
    session.do({"do": "event"})
    assert "no event after" in session.view().message


def test_a_breakpoint_that_is_never_reached(timeline):
    session = Session(timeline)
    timeline.breakpoints.add(Breakpoint.at(0xDEAD0000))
    session.do({"do": "next_stop"})
    run_out(session)
    view = session.view()
    assert "no breakpoint was met" in view.message
    assert timeline.cursor == timeline.end
    session.do({"do": "previous_stop"})
    assert "no breakpoint was met before" in session.view().message
    assert timeline.cursor == timeline.end


def test_an_exception_in_the_timeline_is_a_message(timeline, monkeypatch):
    session = Session(timeline)
    monkeypatch.setattr(timeline, "step", lambda n=1: 1 / 0)
    session.do({"do": "step"})
    assert "division" in session.view().message
    monkeypatch.undo()
    session.do({"do": "step"})
    assert session.view().message == ""


# --- breakpoints, runs, changes


def test_a_run_stops_at_a_breakpoint_both_ways(timeline):
    session = Session(timeline)
    for _ in range(30):
        session.do({"do": "step"})
    address = linear_eip(timeline.registers)
    session.do({"do": "breakpoint"})
    assert next_row(session).breakpoint
    session.do({"do": "seek", "to": timeline.end // 2})
    session.do({"do": "next_stop"})
    run_out(session)
    assert linear_eip(timeline.registers) == address
    assert "stopped" in session.view().message
    there = timeline.cursor
    session.do({"do": "step"})
    session.do({"do": "previous_stop"})
    assert timeline.cursor == there
    session.do({"do": "breakpoint"})
    assert not list(timeline.breakpoints)


@pytest.mark.parametrize("speed", [1, 2, 3, 4, 5])
def test_every_speed_moves_on_and_can_be_paused(timeline, speed):
    session = Session(timeline)
    here = timeline.cursor
    session.do({"do": "speed", "to": speed})
    session.do({"do": "run"})
    assert session.view().running
    session.runner.tick()
    assert timeline.cursor > here
    session.do({"do": "pause"})
    assert not session.view().running


def test_a_run_along_the_history_ends_with_it_and_the_next_lengthens_it(own_timeline):
    session, end = Session(own_timeline), own_timeline.end
    own_timeline.seek(end - 1000)
    session.do({"do": "speed", "to": 5})
    session.do({"do": "run"})
    run_out(session)
    assert own_timeline.cursor == end == own_timeline.end
    assert "run again" in session.view().message
    session.do({"do": "run"})
    session.runner.tick()
    session.do({"do": "pause"})
    assert own_timeline.end > end


def test_a_step_at_the_end_lengthens_the_history(own_timeline):
    session, end = Session(own_timeline), own_timeline.end
    session.do({"do": "end"})
    session.do({"do": "step"})
    assert (own_timeline.cursor, own_timeline.end) == (end + 1, end + 1)
    assert [row.mark for row in session.view().code.rows].count("next") == 1


def test_typing_at_the_end_is_answered(own_timeline):
    session = Session(own_timeline)
    session.do({"do": "end"})
    session.do({"do": "type", "text": "echo hello\n"})
    run_out(session)
    assert session.timeline is own_timeline
    assert "hello" in session.view().console.lines


def test_typing_in_the_past_forks(own_timeline):
    session, end = Session(own_timeline), own_timeline.end
    session.do({"do": "seek", "to": end - 500})
    session.do({"do": "type", "text": "echo hello\n"})
    assert session.timeline is not own_timeline
    assert own_timeline.end == end
    run_out(session)
    assert "hello" in session.view().console.lines


def test_an_edit_forks_and_leaves_the_past_alone(timeline):
    session, eax = Session(timeline), timeline.registers.eax
    session.do({"do": "edit", "name": "eax", "text": "dead beef"})
    assert session.timeline.registers.eax == 0xDEADBEEF
    assert timeline.registers.eax == eax
    assert "forked" in session.view().message


def test_the_last_writer_is_told_and_can_be_gone_to(timeline):
    session = Session(timeline)
    for _ in range(60):
        session.do({"do": "step"})
        written = [access.linear for access in session.state.accesses if access.write]
        if written:
            break
    wrote = timeline.cursor
    for _ in range(3):
        session.do({"do": "step"})
    session.do({"do": "writer", "to": written[0]})
    answer = session.view().answer
    assert answer is not None
    assert answer.clock is not None
    assert answer.clock <= timeline.cursor
    assert wrote - 1 <= answer.clock


def test_a_kind_of_event_can_be_chosen(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "filter", "name": "interrupt"})
    session.do({"do": "event"})
    rows = session.view().events.rows
    assert rows
    assert {row.kind for row in rows} == {"interrupt"}


def test_screen_and_console(timeline):
    session = Session(timeline)
    session.do({"do": "end"})
    assert "$ " in session.view().console.lines[-1]
    session.do({"do": "screen"})
    console = session.view().console
    assert console.name == "VGA screen"
    assert len(console.lines) == 25


# --- the three faces


def facts(view):
    """What every face has to say."""
    yield from (view.title, view.status, view.code.where)
    for row in view.code.rows:
        yield from (row.address, row.mnemonic, row.operands)
    for row in (*view.registers.general, *view.registers.system):
        yield from (row.value, row.was)
    for row in view.memory.rows:
        yield row.address
    for row in view.stack.rows:
        yield from (row.address, row.value, row.note)
    for row in view.events.rows:
        yield from (row.point, row.kind, row.what)
    yield from view.console.lines
    yield view.message
    if view.answer:
        yield view.answer.text


def plain(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", markup))


def leaves(value):
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def agree(view) -> None:
    text, picture = as_text(view), plain(as_html(view))
    live = set(leaves(json.loads(json.dumps(as_json(view)))))
    for fact in filter(None, facts(view)):
        assert fact.rstrip() in text, fact
        assert fact.rstrip() in picture, fact
        assert fact in live, fact


def test_the_three_faces_agree(timeline):
    session = Session(timeline)
    for command in ("step", "event", "back", "breakpoint", "next_stop", "screen"):
        session.do({"do": command})
        run_out(session)
        agree(session.view())
    session.do({"do": "dance"})
    agree(session.view())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2**34)), max_size=6))
@settings(max_examples=25, deadline=None)
def test_views_are_bounded_wherever_one_goes(shared_timeline, moves):
    session = Session(shared_timeline)
    for move, number in moves:
        session.do([
            {"do": "seek", "to": number % (shared_timeline.end + 1)}, {"do": "memory", "text": f"{number:x}"},
            {"do": "step"}, {"do": "back"},
        ][move])  # fmt: skip
        view = session.view()
        assert len(json.dumps(as_json(view))) < 20_000
        assert len(view.memory.rows) == 8
        agree(view)


# --- clicks at random


def click(rng: random.Random, session: Session) -> dict[str, object]:
    """A click on any control, with what a hand could give it."""
    timeline = session.timeline
    what = rng.choice(sorted(session._commands))
    end, rows = timeline.end, session.view().code.rows
    more: dict[str, dict[str, Any]] = {
        "seek": {"to": rng.randint(-10, end + 10)},
        "speed": {"to": rng.randint(1, 5)},
        "go": {"text": rng.choice(["50%", "", "0", "9" * 30, "interrupt", "c0100000h", "user mode", "%"])},
        "breakpoint": rng.choice([{}, *({"to": row.linear} for row in rows)]),
        "memory": {"text": rng.choice(["", "esp", "eip", "0", "ffffffff", "c0100000", "?"])},
        "writer": {"to": rng.choice([timeline.registers.esp, 0, 0xFFFFFFFF])},
        "register_writer": {"name": rng.choice(["eax", "flags", "esp", "cs"])},
        "type": {"text": rng.choice(["\n", "help\n"])},
        "edit": {"name": rng.choice(["eax", "ebx", "flags", "eip"]), "text": rng.choice(["0", "1", "z"])},
        "filter": {"name": rng.choice(["", "interrupt", "port out", "no such"])},
    }  # fmt: skip
    return {"do": what, **more.get(what, {})}


def test_clicks_at_random_leave_a_live_session(own_timeline):
    rng, session, origin = random.Random(20), Session(own_timeline), own_timeline
    for n in range(CLICKS):
        command = click(rng, session)
        session.do(command)
        for _ in range(rng.randint(0, 3)):
            if session.state.running:
                session.runner.tick()
        view = session.view()
        assert "Error" not in view.message, (n, command, view.message)
        if session.timeline is not origin and rng.random() < 0.3:
            session.do({"do": "pause"})
            session = Session(origin)  # forks use memory: back to the first history now and then
    session.do({"do": "pause"})
    agree(session.view())
