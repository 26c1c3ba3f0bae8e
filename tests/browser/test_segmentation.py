"""Lab 1 in JupyterLab: sliders that keys move and that move the pictures, and the modes step by step."""

import pytest

pytestmark = pytest.mark.browser

EXPLORER = """
from labkit.vm.segments.shared_space import flat
from labkit.widgets.truncation import SegmentExplorer
SegmentExplorer(flat(base=0x200000))
"""
JOURNEY = """
from labkit.vm.segments import Mode
from labkit.widgets.protection import Journey
Journey([Mode.MONITOR, Mode.DIRECT_TRUNCATED, Mode.DIRECT_DETRUNCATED, Mode.MONITOR])
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_key_moves_the_segment_and_its_pictures(lab_page, theme: str):
    lab = lab_page([EXPLORER], theme=theme)
    lab.run_all()
    output = lab.output(0)
    drawing = output.locator("svg.lk-svg").first
    drawing.wait_for()
    assert "wrapped past 4 GB" in drawing.inner_html()
    name = drawing.locator("text", has_text="guest").first
    ink = name.evaluate("node => getComputedStyle(node).fill")
    assert ink == ("rgb(0, 104, 163)" if theme == "light" else "rgb(116, 196, 242)")
    base = output.get_by_role("slider").first
    base.focus()
    lab.page.keyboard.press("Home")
    output.locator("svg.lk-svg").first.locator("text", has_text="base 0000 0000").wait_for()
    assert "wrapped past 4 GB" not in output.locator("svg.lk-svg").first.inner_html()
    output.get_by_role("slider").nth(1).focus()
    lab.page.keyboard.press("Home")
    output.get_by_text("unchanged").first.wait_for(state="attached")  # the title of a shape
    output.get_by_label("expands down").check()
    output.get_by_text("nothing left").first.wait_for(state="attached")
    assert lab.cell_count() == 1, "a key in the widget leaked into the notebook"


def test_modes_step_by_step(lab_page):
    lab = lab_page([JOURNEY])
    lab.run_all()
    output = lab.output(0)
    step = output.get_by_role("slider")
    step.wait_for()
    output.get_by_text("0 of 3: monitor").wait_for()
    step.focus()
    lab.page.keyboard.press("ArrowRight")
    output.get_by_text("1 of 3: direct execution, truncated").wait_for()
    output.locator("svg").first.wait_for()
