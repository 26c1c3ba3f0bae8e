"""The event timeline: its counts agree in text, drawing and figure, whatever the events."""

import json
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.vm.machine.state import ExecutionPoint
from labkit.vm.monitor.events import Event, EventKind
from labkit.widgets.bokehjs import BokehFigure, script
from labkit.widgets.event_timeline import LANES, MOST, event_timeline
from labkit.widgets.theme import tokens

events = st.lists(
    st.builds(
        Event,
        st.builds(ExecutionPoint, st.integers(0, 1 << 40), st.just(0), st.just(0)),
        st.sampled_from(EventKind),
        st.integers(0, 255),
    ),
    max_size=60,
)


@given(events)
@settings(deadline=None)
def test_all_faces_count_the_same(found: list[Event]):
    drawn = event_timeline(found, title="run")
    root = ET.fromstring(drawn.picture.svg)
    seen = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    figure = drawn.figure()
    for lane in drawn.lanes:
        assert f"  {lane.name} {len(lane.events)}" in drawn.picture.text.splitlines()
        assert seen[seen.index(lane.name) + 1] == str(len(lane.events))
        (glyph,) = [renderer for renderer in figure.renderers if renderer.name == lane.name]
        assert glyph.data_source.data["clock"] == [event.point.instructions for event in lane.events]
        assert f"{lane.name} {len(lane.events)}" in figure.y_range.factors
    assert sum(len(lane.events) for lane in drawn.lanes) == len(found)


def test_every_kind_has_one_lane():
    kinds = [kind for _, _, inside in LANES for kind in inside]
    assert sorted(kinds) == sorted(EventKind)


def test_many_events_become_slices_that_still_count_all():
    found = [Event(ExecutionPoint(n * 10, 0, 0), EventKind.INTERRUPT, 32) for n in range(3 * MOST)]
    (glyph,) = event_timeline(found).figure().renderers
    words = glyph.data_source.data["what"]
    assert len(words) <= MOST + 1
    assert sum(1 + int((re.search(r"and (\d+) more", text) or [0, 0])[1]) for text in words) == 3 * MOST


def test_only_what_lies_between_is_shown():
    found = [Event(ExecutionPoint(n, 0, 0), EventKind.HALT) for n in range(100)]
    assert len(event_timeline(found, start=10, end=19).lanes[0].events) == 10
    with pytest.raises(ValueError, match="lies before"):
        event_timeline(found, start=5, end=4)


def test_the_figure_is_small_and_takes_its_colours_from_the_tokens():
    found = [Event(ExecutionPoint(7, 0, 0), kind) for kind in EventKind]
    drawn = event_timeline(found, cursor=7)
    live = BokehFigure.of(drawn.figure(), label="run", svg=drawn.picture.svg, text=str(drawn))
    assert len(live.item) < 50_000
    used = set(re.findall(r'"(#[0-9a-f]{6})"', live.item))
    assert used <= set(live.colours) == set(tokens().values())
    assert json.loads(live.item)["version"] == live.version


def test_the_script_is_sent_only_when_asked_for():
    live = BokehFigure(version="1")
    sent: list = []
    live.send = lambda content, buffers=None: sent.append((content, buffers))
    live._answer(live, "anything else", [])
    assert not sent
    live._answer(live, "bokehjs", [])
    assert sent == [("bokehjs", [script()])]
    assert b"Bokeh" in script()[:2000]
    assert max(len(str(value)) for value in live.get_state().values()) < 100_000
