"""Over a call and back over it, as if it were one instruction."""

from labkit.widgets.debugger.session import Session
from tests.widgets.debugger.conftest import run_out


def at(timeline) -> str:
    return timeline.disassemble(before=0, after=1)[0].mnemonic


def to_a_call(session: Session) -> None:
    """To the next call that takes more than ten instructions."""
    timeline = session.timeline
    while True:
        while at(timeline) != "call":
            timeline.step()
        (line,) = timeline.disassemble(before=0, after=1)
        here, behind = timeline.cursor, line.address + len(line.bytes)
        for _ in range(10):
            timeline.step()
            if timeline.registers.eip == behind:
                break
        else:
            timeline.seek(here)
            return


def test_over_a_call_and_back(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    session.do({"do": "back"})
    (call,) = timeline.disassemble(before=0, after=1)
    here, esp = timeline.cursor, timeline.registers.esp
    session.do({"do": "over"})
    run_out(session)
    assert timeline.registers.eip == call.address + len(call.bytes)
    assert timeline.registers.esp == esp
    assert timeline.cursor > here + 1000
    assert session.view().message == ""
    session.do({"do": "back_over"})
    run_out(session)
    assert timeline.cursor == here
    assert not list(timeline.breakpoints), "the way leaves nothing behind"


def test_where_no_call_is_over_is_a_step(timeline):
    session = Session(timeline)
    timeline.seek(timeline.end // 2)
    assert at(timeline) != "call"
    here = timeline.cursor
    session.do({"do": "over"})
    assert timeline.cursor == here + 1
    session.do({"do": "back_over"})
    assert timeline.cursor == here


def test_every_call_of_a_stretch_is_passed_in_step_with_its_stack(timeline):
    session = Session(timeline)
    timeline.seek(timeline.end - 4000)
    for _ in range(5):
        to_a_call(session)
        here, esp = timeline.cursor, timeline.registers.esp
        session.do({"do": "over"})
        run_out(session)
        if timeline.cursor == here:
            assert "does not return" in session.view().message
            return
        assert timeline.registers.esp >= esp
        session.do({"do": "back_over"})
        run_out(session)
        assert timeline.cursor == here
        timeline.step()


def test_a_call_that_does_not_return_leaves_the_cursor(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "kernel_main"})
    run_out(session)
    session.do({"do": "back"})
    here = timeline.cursor
    session.do({"do": "over"})
    run_out(session)
    assert "does not return" in session.view().message
    assert timeline.cursor == here


def test_breakpoints_hold_within_the_call(timeline):
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    session.do({"do": "back"})
    session.do({"do": "stop", "text": "paging_init"})
    session.do({"do": "over"})
    run_out(session)
    assert timeline.symbol(timeline.registers.eip) == "paging_init"
    assert session.view().message.startswith("stopped before")
