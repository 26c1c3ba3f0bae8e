"""What runs stop at, written down: parsed, shown in words, met forward and back, taken away."""

import pytest

from labkit.vm.replay import Breakpoint, Watchpoint
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.static import as_html
from labkit.widgets.debugger.stops import SHOWN
from labkit.widgets.debugger.text import as_text
from tests.widgets.debugger.conftest import run_out


@pytest.mark.parametrize(
    ("text", "what", "words"),
    [
        ("eax", Watchpoint.of_register("eax"), "when eax changes"),
        (" Page fault ", Breakpoint.event("page fault"), "at page fault"),
        ("c010 1aa9", Breakpoint.at(0xC0101AA9), "before c010 1aa9"),
        ("c0100000 - c010ffff", Breakpoint.range(0xC0100000, 0xC010FFFF), "in c010 0000 to c010 ffff"),
        ("write c011 c000", Watchpoint.memory(0xC011C000, 4), "when 4 bytes at c011 c000 are written"),
        ("write 1 at c011c000", Watchpoint.memory(0xC011C000, 1), "when c011 c000 is written"),
        ("writes 16 bytes at c011 c000h", Watchpoint.memory(0xC011C000, 16), "when 16 bytes at c011 c000 are written"),
    ],
)  # fmt: skip
def test_a_stop_is_written_shown_and_taken_away(timeline, text, what, words):
    session = Session(timeline)
    session.do({"do": "stop", "text": text})
    assert list(timeline.breakpoints) == [what]
    view = session.view()
    (row,) = view.stops.rows
    assert row.words == words
    assert view.message == f"runs stop {words}"
    for face in (as_text(view), as_html(view)):
        assert words in face
    session.do({"do": "unstop", "text": row.key})
    assert not list(timeline.breakpoints)
    assert session.view().stops.rows == ()


@pytest.mark.parametrize("name", ["cr3", "cr2", "eip", "eflags", "flags", "cs", "AX", "ah", "dr7"])
def test_registers_without_a_history_are_no_code_and_no_watch(timeline, name):
    session = Session(timeline)
    session.do({"do": "stop", "text": name})
    can = "eax, ecx, edx, ebx, esp, ebp, esi, edi can; write an address for code"
    assert session.view().message == f"{name} cannot be watched: {can}"
    assert not list(timeline.breakpoints)


def test_a_watch_may_be_where_a_register_points(timeline):
    session = Session(timeline)
    session.do({"do": "stop", "text": "write esp"})
    assert list(timeline.breakpoints) == [Watchpoint.memory(timeline.registers.esp, 4)]


def test_a_symbol_is_a_place_to_stop_at(timeline):
    session = Session(timeline)
    session.do({"do": "stop", "text": "paging_init"})
    assert session.view().stops.rows[0].where == "paging_init"
    session.do({"do": "stop", "text": "paging_init"})
    assert not list(timeline.breakpoints), "written once more, it is taken away"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ({"do": "stop", "text": ""}, "stop at what?"),
        ({"do": "stop", "text": "c126 4d49 0"}, "stop at"),
        ({"do": "stop", "text": "nowhere"}, "stop at 'nowhere'?"),
        ({"do": "stop", "text": "write f000 0000"}, "nothing can be watched there"),
        ({"do": "stop", "text": "write 9999 at c011 c000"}, "on one page"),
        ({"do": "stop", "text": "write 0 at c011 c000"}, "on one page"),
        ({"do": "stop", "text": "c010 0000 - c000 0000"}, "is empty"),
        ({"do": "unstop", "text": "register eax"}, "there is no stop"),
        ({"do": "watch", "name": "cr3"}, "give one of"),
        ({"do": "watch", "to": 0xF0000000}, "nothing can be watched"),
        ({"do": "stop_event"}, "Choose a kind"),
        ({"do": "stop_event", "name": "earthquake"}, "no event is called"),
    ],
)
def test_what_is_no_stop_is_said(timeline, command, told):
    session = Session(timeline)
    session.do(command)
    assert told in session.view().message
    assert not list(timeline.breakpoints)


def test_what_was_asked_about_can_be_watched(timeline):
    session = Session(timeline)
    session.do({"do": "register_writer", "name": "esi"})
    session.do({"do": "watch"})
    session.do({"do": "writer", "to": timeline.registers.esp})
    assert session.view().memory.selected in {timeline.registers.esp, session.state.window}
    session.do({"do": "watch"})
    assert list(timeline.breakpoints) == [
        Watchpoint.of_register("esi"), Watchpoint.memory(timeline.registers.esp, 1),
    ]  # fmt: skip
    session.do({"do": "watch"})
    assert list(timeline.breakpoints) == [Watchpoint.of_register("esi")]


def test_a_run_stops_where_the_word_is_written_both_ways(timeline):
    session, here = Session(timeline), timeline.cursor
    esp = timeline.registers.esp
    session.do({"do": "stop", "text": f"write {esp:x}"})
    before = timeline.read(esp, 4)
    session.do({"do": "next_stop"})
    run_out(session)
    assert session.view().message.startswith("stopped when 4 bytes at")
    there = timeline.cursor
    assert there > here
    assert any(a.write and a.linear <= esp < a.linear + a.size for a in session.state.accesses)
    session.do({"do": "step"})
    session.do({"do": "previous_stop"})
    run_out(session)
    assert timeline.cursor == there
    timeline.seek(there - 1)
    assert timeline.read(esp, 4) == before


def test_a_watch_stays_on_its_memory_where_the_address_leads_elsewhere(timeline):
    session = Session(timeline)
    session.do({"do": "stop", "text": "write c011 c000"})
    timeline.seek(timeline.start)  # paging is off here: the address leads nowhere
    session.do({"do": "next_stop"})
    run_out(session)
    assert session.view().message_kind == "note"
    assert timeline.cursor > timeline.start


def test_every_speed_stops(timeline):
    session = Session(timeline)
    session.do({"do": "stop", "text": "edi"})
    for speed in (3, 4, 5):
        session.do({"do": "seek", "to": timeline.end // 2})
        session.do({"do": "speed", "to": speed})
        session.do({"do": "run"})
        run_out(session)
        assert session.view().message == "stopped when edi changes"


def test_the_chosen_kind_of_event_stops_runs(timeline):
    session = Session(timeline)
    session.do({"do": "filter", "name": "interrupt"})
    session.do({"do": "stop_event"})
    session.do({"do": "next_stop"})
    run_out(session)
    assert timeline.cursor in timeline.events.clocks("interrupt")
    session.do({"do": "stop_event"})
    assert not list(timeline.breakpoints)


def test_many_stops_are_bounded_in_the_view(timeline):
    session = Session(timeline)
    for i in range(SHOWN + 5):
        timeline.breakpoints.add(Breakpoint.at(i))
    shown = session.view().stops
    assert len(shown.rows) == SHOWN
    assert shown.more == "and 5 more"
    assert "and 5 more" in as_text(session.view())
