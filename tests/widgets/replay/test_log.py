"""The event log on a line: what its model shows is what is in the recording, and no message breaks it."""

import json
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.replay import Recording
from labkit.vm.replay.entries import Coder, Given, Read, Vector
from labkit.widgets.replay import RecordingLog
from labkit.widgets.replay.entries import LANES, placed
from labkit.widgets.replay.log import SMALLEST, LogModel


def tell(widget: RecordingLog, **command: object) -> None:
    widget._handle_custom_msg(command, [])


@pytest.fixture(scope="module")
def recording(recorded) -> Recording:
    return Recording.read(recorded)


def test_every_entry_lies_at_its_point_and_reads_between_their_neighbours(recording):
    found = placed(recording.entries, recording.clock)
    assert [one.entry for one in found] == recording.entries
    assert [one.at for one in found] == sorted(one.at for one in found)
    for one in found:
        if isinstance(one.entry, Read):
            assert one.low <= one.at <= one.high
        else:
            assert one.at == one.low == one.high == one.entry.clock
    assert b"".join(one.data for one in found) == Coder().code(recording.entries)


def test_marks_count_every_entry_once_at_every_zoom(recording):
    model = LogModel(recording)
    for window in ((0, model.end), (model.end // 3, model.end // 2), (10, 11)):
        model.zoom(*window)
        start, end = model.window
        for k in range(len(LANES)):
            inside = sum(one.lane == k and start <= one.at <= end for one in model.entries)
            assert sum(count for _column, count in model.marks(k)) == model.inside(k) == inside


@given(moves=st.lists(st.tuples(st.sampled_from(["scale", "shift", "zoom"]), st.floats(-4, 4)), max_size=12))
def test_the_window_never_leaves_the_run(recording, moves):
    model = LogModel(recording)
    for what, by in moves:
        if what == "scale":
            model.scale(abs(by) + 0.01)
        elif what == "shift":
            model.shift(by)
        else:
            model.zoom(round(by * model.end), round(by * by * model.end))
        start, end = model.window
        assert 0 <= start < end <= model.end
        assert end - start >= SMALLEST


def test_stepping_through_interrupts_meets_each_of_them(recorded, recording):
    widget = RecordingLog(recorded)
    tell(widget, do="lane", lane=4)
    met = []
    while True:
        tell(widget, do="next")
        if widget.view["message"]:
            break
        met.append(widget.selected)
    assert met == [entry for entry in recording.entries if isinstance(entry, Vector)]
    assert "last one" in widget.view["message"]
    tell(widget, do="previous")
    assert widget.selected == met[-2]


def test_a_click_selects_what_is_nearest_and_a_drag_zooms(recorded, recording):
    widget = RecordingLog(recorded)
    tell(widget, do="pick", lane=1, low=0.0, seq=4)
    assert widget.selected == next(entry for entry in recording.entries if isinstance(entry, Given))
    assert dict(widget.view["selected"]["told"])["what"] == "5 bytes: help⏎"
    assert widget.view["seq"] == 4
    tell(widget, do="range", low=0.5, high=0.75)
    assert widget.view["end"] - widget.view["start"] == pytest.approx(recording.clock / 4, abs=2)
    tell(widget, do="whole")
    assert (widget.view["start"], widget.view["end"]) == (0, recording.clock)
    tell(widget, do="pick", lane=2, low=0.1)
    assert "no entries" in widget.view["message"]


def test_a_selected_entry_outside_is_brought_into_view(recorded):
    widget = RecordingLog(recorded)
    widget.zoom(0, 1000)
    widget.select(len(widget.model.entries) - 1)
    assert widget.view["selected"]["at"] is not None
    with pytest.raises(ValueError, match="there is no entry"):
        widget.select(10**9)


@pytest.mark.parametrize(
    "message", ["rubbish", {}, {"do": "fly"}, {"do": "pick", "lane": 10**9}, {"do": "range", "low": -1}, {"do": 7}]
)
def test_what_is_no_command_is_said(recorded, message):
    widget = RecordingLog(recorded)
    widget._handle_custom_msg(message, [])
    assert "command" in widget.view["message"]
    json.dumps(widget.view)


def test_text_and_picture_say_the_same(recorded):
    widget = RecordingLog(recorded)
    widget.select(5)
    data, _ = widget._repr_mimebundle_()
    drawn = ET.fromstring(data["image/svg+xml"])
    words = " ".join(node.text or "" for node in drawn.iter() if node.tag.endswith("text"))
    for name, value in widget.model.told():
        assert name in data["text/plain"]
        assert value in data["text/plain"]
        assert value in words
    sent = []
    widget.send = lambda content, buffers=None: sent.append(content)
    tell(widget, do="copy", name="text")
    tell(widget, do="copy", name="SVG")
    assert sent[0]["copy"] == str(widget)
    assert sent[1]["copy"].startswith("<svg")


def test_a_recording_that_was_cut_is_shown_and_says_so(recorded, tmp_path):
    cut = tmp_path / "cut.rec"
    cut.write_bytes(recorded.read_bytes()[:-40])
    widget = RecordingLog(cut)
    assert widget.view["damage"]
    assert widget.view["damage"] in str(widget)
