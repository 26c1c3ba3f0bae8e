"""Pictures in JupyterLab: drawn in the page's theme, copied by a button that a keyboard reaches."""

import pytest

pytestmark = pytest.mark.browser

CELL = """
from labkit.widgets.address_space import Pointer, Region, address_space
address_space([Region(0xc0000000, 0xc8000000, "kernel"), Region(0xffc00000, 1 << 32, "monitor", "monitor")],
              [Pointer(0xc0104a1f, "eip")])
"""
COPIED = """() => {
  window.copied = [];
  navigator.clipboard.writeText = async (text) => window.copied.push(text);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_picture_follows_the_theme_and_is_copied(lab_page, theme: str):
    lab = lab_page([CELL, "print(_)"], theme=theme)
    lab.run_all()
    drawing = lab.output(0).locator("svg.lk-svg")
    drawing.wait_for()
    name = drawing.locator("text", has_text="kernel")
    ink = name.evaluate("node => getComputedStyle(node).fill")
    assert ink == ("rgb(0, 104, 163)" if theme == "light" else "rgb(116, 196, 242)")
    lab.page.evaluate(COPIED)
    for kind in ("text", "SVG"):
        button = lab.output(0).get_by_role("button", name=f"copy picture as {kind}")
        button.focus()
        lab.page.keyboard.press("Enter")
        lab.output(0).get_by_role("status").get_by_text(f"copied as {kind}").wait_for()
    text, drawn = lab.page.evaluate("window.copied")
    assert text.strip() == lab.output(1).inner_text().strip()
    assert drawn.startswith("<svg")
    assert lab.cell_count() == 2, "Enter in the picture leaked into the notebook"


def test_a_saved_picture_is_text_and_svg(lab_page):
    lab = lab_page([CELL])
    lab.run_all()
    (output,) = lab.save()["cells"][0]["outputs"]
    assert "c000 0000" in "".join(output["data"]["text/plain"])
    assert "".join(output["data"]["image/svg+xml"]).startswith("<svg")
