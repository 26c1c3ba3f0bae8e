"""Over a call and back over it, as if it were one instruction."""

from labkit.vm.machine import Machine
from labkit.vm.replay import Breakpoint, Timeline
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


def before_paging_init(timeline: Timeline) -> tuple[Session, int]:
    """A session before the call of that function, and the address behind the call."""
    session = Session(timeline)
    timeline.seek(timeline.start)
    session.do({"do": "go", "text": "paging_init"})
    run_out(session)
    session.do({"do": "back"})
    (call,) = timeline.disassemble(before=0, after=1)
    return session, call.address + len(call.bytes)


def test_over_a_call_and_back(timeline):
    session, behind = before_paging_init(timeline)
    here, esp = timeline.cursor, timeline.registers.esp
    session.do({"do": "over"})
    run_out(session)
    assert timeline.registers.eip == behind
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


# mov ecx, 3; call f; jmp to it        f: dec ecx; jz out; call f; nop; out: ret
RECURSION = bytes.fromhex("b9 03 00 00 00  e8 02 00 00 00  eb fe  49 74 06 e8 f8 ff ff ff 90 c3")
AFTER = 0x1014


def at_the_inner_call() -> Timeline:
    """The end of a history, before the outermost of the calls of itself; its return is instruction 14."""
    machine = Machine(1 << 20)
    machine.processor.write_physical(0x1000, RECURSION)
    registers = machine.processor.registers
    registers.set_flat(8, 16)
    registers.eip, registers.general[4] = 0x1000, 0x8000
    timeline = Timeline(machine)
    timeline.run(instructions=4)
    return timeline


def test_a_call_of_itself_at_the_end_of_history_is_passed_with_its_own_return():
    timeline = at_the_inner_call()
    session = Session(timeline)
    session.do({"do": "over"})
    run_out(session)
    assert timeline.registers.eip == AFTER
    assert timeline.registers.esp == 0x8000 - 4


def test_back_over_a_call_of_itself_finds_the_one_that_has_returned():
    timeline = at_the_inner_call()
    timeline.run(instructions=14)
    session = Session(timeline)
    for behind, call in ((15, 1), (13, 4), (11, 7)):  # instructions retired behind the return, and before its call
        timeline.seek(behind)
        session.do({"do": "back_over"})
        run_out(session)
        assert (timeline.cursor, at(timeline)) == (call, "call")


def test_a_breakpoint_at_the_return_holds_in_the_deeper_call():
    timeline = at_the_inner_call()
    timeline.breakpoints.add(Breakpoint.at(AFTER))
    session = Session(timeline)
    session.do({"do": "over"})
    run_out(session)
    assert timeline.registers.eip == AFTER
    assert timeline.registers.esp == 0x8000 - 8, "the inner one returns first"


def test_out_of_a_function_and_back_to_its_call(timeline):
    session, behind = before_paging_init(timeline)
    before, esp = timeline.cursor, timeline.registers.esp
    timeline.step(3)
    inside = timeline.cursor
    session.do({"do": "out"})
    assert "running out of the function" in session.view().status
    run_out(session)
    assert timeline.registers.eip == behind
    assert timeline.registers.esp == esp
    assert session.view().message == ""
    session.do({"do": "seek", "to": inside})
    session.do({"do": "back_out"})
    run_out(session)
    assert timeline.cursor == before
    assert not list(timeline.breakpoints)


def test_out_agrees_with_over_wherever_a_call_is(timeline):
    session = Session(timeline)
    timeline.seek(timeline.end - 4000)
    for _ in range(4):
        to_a_call(session)
        here = timeline.cursor
        session.do({"do": "over"})
        run_out(session)
        behind = timeline.cursor
        session.do({"do": "seek", "to": here + 3})
        session.do({"do": "out"})
        run_out(session)
        if behind == here:  # it does not return
            return
        assert timeline.cursor == behind
        session.do({"do": "seek", "to": here + 3})
        session.do({"do": "back_out"})
        run_out(session)
        assert timeline.cursor == here
        timeline.seek(behind)


def test_out_of_a_call_of_itself_is_out_of_that_one():
    timeline = at_the_inner_call()
    session = Session(timeline)
    timeline.run(instructions=9)
    session.do({"do": "seek", "to": 5})  # in the second call
    esp = timeline.registers.esp
    session.do({"do": "out"})
    run_out(session)
    assert timeline.registers.eip == AFTER
    assert timeline.registers.esp == esp + 4


def test_where_the_stack_shows_no_caller_it_is_said(timeline):
    session = Session(timeline)
    session.do({"do": "start"})
    session.do({"do": "out"})
    assert "no return address" in session.view().message
    assert not session.state.running
