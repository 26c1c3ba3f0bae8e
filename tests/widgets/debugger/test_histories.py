"""Two histories: a fork, the one before it, and what the other views of it say."""

from labkit.widgets.debugger import Debugger
from labkit.widgets.debugger.session import Session
from labkit.widgets.debugger.static import as_html
from labkit.widgets.debugger.text import as_text
from labkit.widgets.notation import decimal
from tests.widgets.debugger.conftest import run_out


def tell(widget: Debugger, **command: object) -> None:
    """A message from the front-end."""
    widget._handle_custom_msg(command, [])


def test_one_history_says_nothing_of_another(timeline):
    session = Session(timeline)
    assert session.view().other == ""
    session.do({"do": "switch"})
    assert "one history only" in session.view().message


def test_a_fork_can_be_left_and_come_back_to(timeline):
    session, eax = Session(timeline), timeline.registers.eax
    session.do({"do": "edit", "name": "eax", "text": "dead beef"})
    fork = session.timeline
    assert "the first history is as it was" in session.view().other
    session.do({"do": "switch"})
    assert session.timeline is timeline
    assert session.timeline.registers.eax == eax
    assert "there is this view's fork" in session.view().other
    session.do({"do": "switch"})
    assert session.timeline is fork
    assert session.timeline.registers.eax == 0xDEADBEEF


def test_a_fork_of_a_fork_leads_back_to_the_first(timeline):
    session = Session(timeline)
    for value in "123":
        session.do({"do": "edit", "name": "eax", "text": value})
        session.do({"do": "step"})
    assert session.timeline.name.count("forked") == 1, "names do not grow"
    assert session.view().title == "teaching"
    assert session.view().subtitle.count("forked at") == 1
    session.do({"do": "switch"})
    assert session.timeline is timeline


def test_another_view_says_that_a_fork_was_made_and_can_go_over(timeline):
    one, other = Debugger(timeline), Debugger(timeline)
    tell(one, do="edit", name="ebx", text="77")
    assert one.timeline is not timeline
    assert other.timeline is timeline
    assert "another view has forked this history" in other.view["message"]
    assert "another view's fork" in other.view["other"]
    tell(other, do="step")
    assert other.view["message"] == ""
    assert "another view's fork" in other.view["other"], "it is said as long as it is so"
    tell(other, do="switch")
    assert other.timeline is one.timeline
    assert other.timeline.registers.ebx == 0x77
    tell(one, do="step")
    assert other.view["clock"] == one.view["clock"], "and from there on both are in step"


def test_going_back_and_forth_offers_nothing_twice(timeline):
    one, other = Debugger(timeline), Debugger(timeline)
    tell(one, do="edit", name="ebx", text="77")
    tell(other, do="look")
    tell(one, do="switch")
    tell(one, do="switch")
    assert other.view["message"] == ""


def test_a_run_of_ones_own_leaves_nothing_in_the_fork_of_another_view(timeline):
    one, other = Session(timeline), Session(timeline)
    timeline.seek(timeline.start)
    one.do({"do": "go", "text": "paging_init"})
    assert one.state.running
    assert one.view().stops.rows == (), "what one run aims at is nobody's breakpoint"
    other.do({"do": "edit", "name": "eax", "text": "1"})
    run_out(one)
    assert timeline.symbol(timeline.registers.eip) == "paging_init"
    assert not list(other.timeline.breakpoints)
    assert not list(timeline.breakpoints)


def test_a_second_fork_says_which_one_it_replaces(timeline):
    session = Session(timeline)
    session.do({"do": "edit", "name": "eax", "text": "1"})
    assert "takes the place" not in session.view().message
    session.do({"do": "switch"})
    session.do({"do": "step"})
    session.do({"do": "edit", "name": "eax", "text": "2"})
    assert f"takes the place of the fork that began at {decimal(timeline.cursor - 1)}" in session.view().message
    session.do({"do": "type", "text": "x"})
    run_out(session)
    assert "takes the place" not in session.view().message, "typing at the end of a fork goes on in it"
    session.do({"do": "back"})
    session.do({"do": "type", "text": "x"})
    assert f"takes the place of the fork that began at {decimal(timeline.cursor)}" in session.view().message


def test_every_face_says_it(timeline):
    session = Session(timeline)
    session.do({"do": "edit", "name": "eax", "text": "1"})
    view = session.view()
    assert view.other in as_text(view)
    assert view.other in as_html(view)


def test_bytes_can_be_edited(timeline):
    session, esp = Session(timeline), timeline.registers.esp
    before = timeline.read(esp, 4)
    session.do({"do": "edit", "to": esp, "text": "de ad be ef"})
    assert session.timeline.read(esp, 4) == bytes.fromhex("deadbeef")
    assert timeline.read(esp, 4) == before
    assert "holds de ad be ef" in session.view().message
    session.do({"do": "edit", "to": esp, "text": "'ab'"})
    assert session.timeline.read(esp, 2) == b"ab"


def test_what_are_no_bytes_is_said(timeline):
    session = Session(timeline)
    for text in ("", "xyz", "1", "00" * 257, "'€'"):
        session.do({"do": "edit", "to": timeline.registers.esp, "text": text})
        assert "in hexadecimal" in session.view().message
    session.do({"do": "edit", "to": 0xF0000000, "text": "00"})
    assert "is not mapped" in session.view().message
    assert session.timeline is timeline


def test_a_fork_of_a_fork_leaves_others_the_way_to_the_first_history(timeline):
    one, other = Debugger(timeline), Debugger(timeline)
    tell(one, do="edit", name="eax", text="1", seq=1)
    tell(other, do="switch", seq=1)  # goes over to the fork, too
    assert other.session.timeline is one.session.timeline
    tell(one, do="edit", name="eax", text="2", seq=2)
    assert other.session.histories.other is timeline
    tell(other, do="switch", seq=2)
    assert other.session.timeline is timeline
