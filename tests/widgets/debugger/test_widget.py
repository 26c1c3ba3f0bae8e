"""The widget around a session: messages in, one trait out, a run that can be paused, two views in step."""

import asyncio
import json

import pytest

from labkit.widgets.debugger import Debugger
from labkit.widgets.debugger.widget import refresh_stale


def tell(widget: Debugger, **command: object) -> None:
    """A message from the front-end."""
    widget._handle_custom_msg(command, [])


def test_a_command_changes_the_view_and_is_answered_by_its_number(timeline):
    widget, here = Debugger(timeline), timeline.cursor
    tell(widget, do="step", seq=7)
    assert widget.view["clock"] == here + 1
    assert widget.view["seq"] == 7
    json.dumps(widget.view)


def test_what_is_no_command_is_said_in_the_view(timeline):
    widget = Debugger(timeline)
    tell(widget, nonsense=True)
    assert "not a command" in widget.view["message"]
    widget._handle_custom_msg("rubbish", [])
    assert "not a command" in widget.view["message"]


def test_a_view_that_cannot_be_made_leaves_the_last_one_with_a_message(timeline, monkeypatch):
    widget = Debugger(timeline)
    rows = widget.view["code"]["rows"]
    monkeypatch.setattr(timeline, "disassemble", lambda *_: 1 / 0)
    tell(widget, do="look", seq=3)
    assert widget.view["code"]["rows"] == rows
    assert "division" in widget.view["message"]
    assert widget.view["seq"] == 3
    monkeypatch.undo()
    tell(widget, do="look", seq=4)
    assert widget.view["message"] == ""


def test_two_views_of_one_timeline_stay_in_step(timeline):
    one, other = Debugger(timeline), Debugger(timeline)
    tell(one, do="step")
    assert other.view["clock"] == one.view["clock"] == timeline.cursor


def test_what_a_cell_does_to_the_timeline_is_shown_after_the_cell(timeline):
    widget = Debugger(timeline)
    timeline.seek(17)
    assert widget.stale
    refresh_stale()
    assert widget.view["clock"] == 17


def test_a_run_is_a_task_that_hears_the_pause(timeline):
    async def scene() -> tuple[int, int, int]:
        widget = Debugger(timeline)
        tell(widget, do="start")
        tell(widget, do="speed", to=4)
        tell(widget, do="run")
        running = widget.view["running"]
        await asyncio.sleep(0.12)
        tell(widget, do="pause")
        there = timeline.cursor
        await asyncio.sleep(0.12)
        assert running
        assert not widget.view["running"]
        return timeline.start, there, timeline.cursor

    start, there, later = asyncio.run(scene())
    assert start < there == later


def test_a_run_goes_on_to_the_end_and_says_so(timeline):
    async def scene() -> Debugger:
        widget = Debugger(timeline)
        tell(widget, do="speed", to=5)
        tell(widget, do="run")
        assert widget._task is not None
        await asyncio.wait_for(widget._task, 20)
        return widget

    widget = asyncio.run(scene())
    assert widget.view["clock"] == timeline.end
    assert "history ends here" in widget.view["message"]


def test_three_faces_in_one_bundle(timeline):
    widget = Debugger(timeline)
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == str(widget)
    assert widget.view["code"]["where"] in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<script" not in data["text/html"]
    assert " at 0x" not in repr(widget), "an address of the host would differ from run to run"


def test_what_takes_long_is_told_on_the_way(timeline, monkeypatch):
    widget, told = Debugger(timeline), []

    def slow(*_: object) -> None:
        widget.session.on_busy("the index of writes is made: 42 %, 3 s left")
        told.append((widget.view["message"], widget.view["seq"]))

    monkeypatch.setattr(timeline, "last_writer", slow)
    tell(widget, do="writer", seq=9)
    assert told == [("the index of writes is made: 42 %, 3 s left", 0)], "not yet the answer to the command"
    assert widget.view["message"] == ""
    assert widget.view["seq"] == 9


@pytest.mark.parametrize("name", ["text", "HTML"])
def test_copy_sends_a_face(timeline, name):
    widget, sent = Debugger(timeline), []
    widget.send = lambda content, buffers=None: sent.append(content)
    tell(widget, do="copy", name=name, seq=1)
    assert widget.view["code"]["where"] in sent[0]["copy"]
    assert widget.view["seq"] == 1


def test_what_is_no_timeline_is_refused():
    with pytest.raises(TypeError, match=r"give one, such as Timeline\.boot"):
        Debugger("linux")  # type: ignore[arg-type]
