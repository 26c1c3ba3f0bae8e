"""The views of lab 4 in a real JupyterLab: keys and clicks, themes, names, narrow and wide; keys do not leak."""

import pytest

pytestmark = pytest.mark.browser

CELLS = (
    """
from labkit.vm.replay.session import record
from labkit.widgets.replay import ExpansionDesigner, RecordingLog, divergence_view
recording = record("teaching", "run.rec", [b"help\\n"], memory=8 << 20)
log = RecordingLog("run.rec")
log""",
    'designer = ExpansionDesigner("run.rec")\ndesigner',
    """
from dataclasses import replace
from labkit.vm.replay import Replayer
from labkit.vm.replay.entries import Read
entries = list(recording.entries)
at = max(i for i, entry in enumerate(entries) if isinstance(entry, Read))
entries[at] = replace(entries[at], value=0x5a)
replayer = Replayer(replace(recording, entries=entries))
replayer.run()
divergence_view(replayer)""",
    "print(log.selected)",
)
CONTRAST = """(root) => {
  const ground = getComputedStyle(document.querySelector(root)).backgroundColor;
  return [ground, getComputedStyle(document.querySelector(root + ' .s')).color];
}"""
UNNAMED = """() => [...document.querySelectorAll('.lkr :is(button,input,select,progress)')].filter((one) =>
  !(one.getAttribute('aria-label') || one.textContent.trim() || one.closest('label')?.textContent.trim())).length"""
WIDE = """() => [...document.querySelectorAll('.lkr')].map((one) => one.scrollWidth - one.clientWidth)"""


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 700)])
def test_log_designer_and_divergence(lab_page, theme: str, width: int, tmp_path):
    lab = lab_page(CELLS, theme=theme, width=width, height=1500)
    page = lab.page
    lab.run_all()
    log = lab.output(0).locator(".lkr")
    log.wait_for()

    # the log: next entry by key, a kind by name, a mark by click, a stretch by drag
    log.focus()
    page.keyboard.press("]")
    log.get_by_text("1 of ").wait_for()
    log.get_by_label("kind of entry to step to").select_option("interrupts")
    page.keyboard.press("]")
    log.locator(".told").get_by_text("is delivered").wait_for()
    track = log.locator(".trk svg").bounding_box()
    page.mouse.click(track["x"] + track["width"] / 2, track["y"] + 36)
    log.locator(".told").get_by_text("5 bytes: help").wait_for()
    page.mouse.move(track["x"] + track["width"] * 0.25, track["y"] + 20)
    page.mouse.down()
    page.mouse.move(track["x"] + track["width"] * 0.75, track["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.lkr .ends span').textContent !== '0'")
    page.keyboard.press("0")
    page.wait_for_function("() => document.querySelector('.lkr .ends span').textContent === '0'")
    for key in "abdd[yz":
        page.keyboard.press(key)
    assert lab.cell_count() == len(CELLS), "keys leaked into the notebook"

    # the designer: samples come by themselves, a choice changes command and estimate, a run says what came out
    designer = lab.output(1).locator(".lkr")
    page.wait_for_function("() => document.querySelector('.lkr .est b').textContent.startsWith('≈')", timeout=30_000)
    designer.get_by_label("3", exact=True).check()
    designer.get_by_text("--cpl 3").wait_for()
    designer.get_by_label("from", exact=True).fill("9x")
    designer.get_by_text("'9x' is no number").wait_for()
    assert designer.locator(".go").is_disabled()
    designer.get_by_label("from", exact=True).fill("")
    designer.get_by_label("caches").check()
    page.wait_for_function("() => document.querySelector('.lkr .go').disabled === false")
    designer.locator(".go").focus()
    page.keyboard.press("x")
    designer.locator(".said").get_by_text("L1D").wait_for(timeout=30_000)

    drawing = lab.output(2).locator("svg.lk-svg")
    drawing.get_by_text("≠ differs").wait_for()
    assert drawing.bounding_box()["width"] >= 540, "its words cannot be read: it should scroll"
    lab.output(0).screenshot(path=tmp_path / f"log-{theme}.png")
    lab.output(1).screenshot(path=tmp_path / f"designer-{theme}.png")
    lab.output(2).screenshot(path=tmp_path / f"divergence-{theme}.png")

    assert page.evaluate(UNNAMED) == 0, "a control has no name"
    assert max(page.evaluate(WIDE)) <= 0, "a view is wider than its cell"
    ground, ink = page.evaluate(CONTRAST, ".lkr")
    assert ground != ink
    saved = lab.save()
    texts = ["".join(cell["outputs"][0]["data"]["text/plain"]) for cell in saved["cells"][:3]]
    for text, words in zip(texts, ("event log of run.rec", "expansion of run.rec", "first divergence"), strict=True):
        assert words in text
