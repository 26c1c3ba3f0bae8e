"""The plot of costs: text, picture and figure hold the numbers that were measured."""

import re
from html import unescape
from xml.etree import ElementTree as ET

import pytest

from labkit.vm.keys.costs import Cost, cost, key_costs, rate_costs
from labkit.vm.keys.shadow import KeyVirtualizer
from labkit.widgets.keys.costs import costs_by_keys, costs_by_rate


@pytest.fixture(scope="module")
def measured() -> list[Cost]:
    return rate_costs([1000, 10_000], instructions=60_000)


def test_a_rate_that_is_asked_for_comes_about(measured):
    for one in measured:
        assert min(abs(one.changes / rate - 1) for rate in (1000, 10_000)) < 0.1
    ways = {one.way: one for one in measured[-4:]}
    assert ways["shadow keys"].faults == ways["none"].faults == 0
    assert ways["purge"].refills > 10_000
    assert ways["shadow keys"].key_writes >= 1
    with pytest.raises(ValueError, match="1 to 16000"):
        cost(KeyVirtualizer, 20_000)


def test_more_keys_than_registers_are_hidden_misses():
    few, many = (one for one in key_costs([4, 32], instructions=30_000) if one.way == "shadow keys")
    assert few.key_misses == 0
    assert many.key_misses > 1000
    assert (many.purges, many.rewritten) == (0, 0)


@pytest.mark.parametrize("draw", [costs_by_rate, costs_by_keys])
def test_text_picture_and_figure_agree(measured, draw):
    lines = draw(measured)
    ET.fromstring(lines.picture.svg)
    words = " ".join(unescape(piece) for piece in re.findall(r"<text[^>]*>([^<]*)</text>", lines.picture.svg))
    for way in ("shadow keys", "purge", "entry per level", "none"):
        last = max((one for one in measured if one.way == way), key=lines.axis)
        faults = f"{last.faults:,.0f}".replace(",", " ")
        assert f"{way} {faults}" in words
        rows = [row for row in lines.picture.text.splitlines() if row.startswith(f"  {way}")]
        assert faults in [row[26:34].strip() for row in rows]
    drawn = lines.figure()
    shown = {way for r in drawn.renderers for way in r.data_source.data["way"]}
    assert shown == {one.way for one in measured}


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="measure some first"):
        costs_by_rate([])
