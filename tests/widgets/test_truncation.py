"""Segment map, rules, modes, chart, translation cache: text and drawing say the same, and what the mechanism says."""

import re
from html import unescape
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import guests
from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.truncation import FULL, truncate
from labkit.vm.monitor import Monitor
from labkit.vm.segments import Mode, Safeguard, Strategy
from labkit.vm.segments.shared_space import flat
from labkit.widgets.protection import Journey, modes_graph
from labkit.widgets.strategy_chart import StrategyChart
from labkit.widgets.translation_cache import beside, cache_graph, translations
from labkit.widgets.truncation import SegmentExplorer, segment_map, shadow_rules, spans

PAGES = st.integers(0, 0xFFFFF)


def words(svg: str) -> str:
    ET.fromstring(svg)
    return " ".join(unescape(piece) for piece in re.findall(r"<text[^>]*>([^<]*)</text>", svg))


@given(base=PAGES, limit=PAGES, down=st.booleans())
def test_the_spans_of_a_shadow_never_touch_the_monitor(base, limit, down):
    segment = flat(base << 12, limit, kind=7 if down else 3)
    whole, left = spans(segment), spans(truncate(segment).shadow)
    assert all(span.last < FULL.monitor for span in left)
    assert sum(span.last - span.first + 1 for span in whole) - sum(
        span.last - span.first + 1 for span in left
    ) == truncate(segment).lost


@given(base=PAGES, limit=PAGES, down=st.booleans())
def test_the_map_says_in_words_what_it_draws(base, limit, down):
    picture = segment_map(flat(base << 12, limit, kind=7 if down else 3))
    drawn = words(picture.svg)
    for line in picture.text.splitlines()[1:]:
        found = re.search(r"[0-9a-f]{4} [0-9a-f]{4} to [0-9a-f]{4} [0-9a-f]{4}", line)
        if line.strip().startswith("guest") and found:
            assert found[0] in drawn
    assert picture.text.splitlines()[-1].strip() in drawn


def test_rules_name_what_has_changed():
    picture = shadow_rules(flat(0x200000))
    assert re.findall(r"≠ (\w+)", picture.text) == ["limit"]
    assert words(picture.svg).count("≠") == 1
    assert "expands down: allows no offset" in shadow_rules(flat(0xFFE00000)).text


def test_the_explorer_moves():
    explorer = SegmentExplorer(flat(0x200000))
    assert "3 wrapped" in str(explorer)
    explorer.move(pages=0, limit=0xFF, down=False)
    assert "unchanged" in explorer.map.title
    explorer.move(pages=0, limit=0xFF, down=True)
    assert "nothing left" in explorer.map.title
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == str(explorer)
    assert explorer.bits.text.count("≠") >= 1


def test_sliders_change_the_pictures():
    box = SegmentExplorer(flat(0x200000)).widget()
    base, _limit, down, said, drawing, *_ = box.children
    before = drawing.svg
    base.value = 0xFFE00
    assert drawing.svg != before
    assert said.value == "4 GB fault and are emulated"
    assert "nothing left" in drawing.text
    base.value = 0
    down.value = True
    assert "expands down" in box.children[-1].text


def test_the_present_mode_is_lit():
    graph = modes_graph(Mode.TRANSLATED, Mode.MONITOR)
    assert graph.text.splitlines()[0] == "now: translated execution, level 1, segments protect"
    assert graph.source.count("* translated") == 1
    assert "leak" in modes_graph(Mode.TRANSLATED, left_out=[Safeguard.RELOAD]).text
    assert "leak" not in modes_graph(Mode.TRANSLATED).text
    journey = Journey([Mode.MONITOR, Mode.DIRECT_TRUNCATED, Mode.MONITOR])
    assert str(journey) == "monitor -> direct, cut -> monitor"
    assert "now: monitor" in journey.step(2).text
    with pytest.raises(ValueError, match="at least one"):
        Journey([])


def test_lines_cross_where_the_text_says():
    costs = {Strategy.LAZY: [(0, 0), (100, 600)], Strategy.TWO_TABLES: [(0, 120), (100, 120)]}
    chart = StrategyChart(costs, ceiling=500)
    assert chart.crossings == [(Strategy.LAZY, Strategy.TWO_TABLES, 20.0)]
    assert "below 20.0 % lazy, above two tables" in str(chart)
    assert "lazy  (beyond)" in words(chart.picture.svg)
    assert {line.name for line in chart.figure().renderers} >= {"lazy", "two tables"}
    with pytest.raises(ValueError, match="two points"):
        StrategyChart({Strategy.LAZY: [(0, 0)]}, ceiling=1)


def test_the_translation_cache_of_a_guest():
    image = guests.boot("hello", memory=16 << 20)
    machine = Machine(memory=16 << 20)
    machine.load(image)
    engine = BinaryTranslator(machine.processor)
    Monitor(machine, engine=engine).run()
    found = translations(engine)
    assert image.start.eip in {one.eip for one in found}
    assert all(one.address >= FULL.monitor for one in found)
    graph = cache_graph(found)
    assert f"{image.start.eip:08x} at {found[0].address:08x}" in graph.text
    assert graph.source.count("style=dashed") >= sum(len(one.asks) for one in found)
    text = beside(machine, engine, image.start.eip)
    assert f"{image.start.eip:08x}" in text
    assert "mov esi" in text
    with pytest.raises(ValueError, match="not translated"):
        beside(machine, engine, 0x999)
    assert "and 1 more" in cache_graph(found, most=len(found) - 1).text
