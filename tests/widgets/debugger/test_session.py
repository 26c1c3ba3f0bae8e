"""Commands in, views out: what each does, and that none can break the session."""


import pytest

from labkit.vm.monitor import EventKind
from labkit.vm.replay import Breakpoint, EventLog
from labkit.widgets.debugger.code import linear_eip
from labkit.widgets.debugger.events import Marks
from labkit.widgets.debugger.session import Session
from tests.widgets.debugger.conftest import run_out


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


def test_go_to_a_symbol_and_look_at_one(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    assert timeline.symbol(linear_eip(timeline.registers)) == "paging_init"
    session.do({"do": "memory", "text": "boot_stack"})
    assert session.view().memory.selected == timeline.address_of("boot_stack")


def test_an_address_that_is_not_ahead_leaves_the_cursor_where_it_was(timeline):
    session = Session(timeline)
    timeline.seek(timeline.end // 2)
    here = timeline.cursor
    session.do({"do": "go", "text": "f0000000h"})
    run_out(session)
    assert "is not reached" in session.view().message
    assert timeline.cursor == here
    assert not list(timeline.breakpoints)


def test_a_call_says_whom_it_calls(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    session.do({"do": "back"})
    row = next_row(session)
    assert row.mnemonic == "call"
    assert row.note == "paging_init"


# --- what cannot be done is said


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ({"do": "seek", "to": 10**12}, "is not in this history"),
        ({"do": "seek", "to": -5}, "is not in this history"),
        ({"do": "seek"}, "a point is missing"),
        ({"do": "go", "text": "somewhere"}, "Write a point"),
        ({"do": "go", "text": "rom write"}, "no event of the kind"),
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
    run_out(session)
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
    run_out(session)
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


def test_a_blank_screen_is_said_to_be_blank(timeline, monkeypatch):
    session = Session(timeline)
    session.do({"do": "screen"})
    monkeypatch.setattr(timeline, "screen", lambda: [" " * 80] * 25)
    console = session.view().console
    assert (console.name, console.lines) == ("VGA screen, blank", ())


def test_a_rare_kind_is_shown_however_far_its_events_are(timeline):
    session = Session(timeline)
    rare = min(timeline.events.kinds().items(), key=lambda kind: kind[1])[0]
    session.do({"do": "filter", "name": rare})
    clocks = timeline.events.clocks(rare)
    for clock in (timeline.start, timeline.end):
        session.do({"do": "seek", "to": clock})
        shown = [row.clock for row in session.view().events.rows]
        assert shown == (clocks[-5:] if clock == timeline.end else clocks[:3])


def test_marks_begin_anew_when_a_run_was_torn_off(timeline):
    marks, log = Marks(), EventLog()
    log.rows += timeline.events.rows
    before = marks.kinds(log)
    del log.rows[1:]
    log.rows += [(*row[:3], EventKind.EDIT, *row[4:]) for row in timeline.events.rows]
    assert marks.kinds(log) != before
    assert [lane.count for lane in marks.lanes(log, 0, 1)] == [1]
