"""The event figure in JupyterLab: drawn from the package, BokehJS once per page, in the page's theme."""

import pytest

pytestmark = pytest.mark.browser

CELL = """
from labkit.vm.machine.state import ExecutionPoint
from labkit.vm.monitor.events import Event, EventKind
from labkit.widgets.event_timeline import event_timeline
kinds = [EventKind.INTERRUPT, EventKind.PAGE_FAULT, EventKind.PORT_OUT]
events = [Event(ExecutionPoint(n * n * 7000, 0, 0), kinds[n * 5 % 3], n, 6) for n in range(200)]
event_timeline(events, cursor=100_000_000, title="a run")
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_are_drawn_and_their_script_is_loaded_once(lab_page, theme: str, tmp_path):
    lab = lab_page([CELL, "event_timeline(events[:50])", "event_timeline([])"], theme=theme)
    lab.run_all()
    for cell in range(3):
        lab.output(cell).locator(".lk-figure canvas").first.wait_for()
        assert not lab.output(cell).locator("svg.lk-svg").count(), "the stand-in is gone"
    assert lab.page.locator("script[data-labkit=bokehjs]").count() == 1
    labels = lab.page.evaluate(
        """() => {
          const seen = [];
          for (const doc of window.Bokeh.documents) for (const root of doc.roots())
            seen.push(root.below[0].major_label_text_color.value ?? root.below[0].major_label_text_color);
          return seen;
        }"""
    )
    assert set(labels) == {"#595959" if theme == "light" else "#bdbdbd"}
    lab.output(0).screenshot(path=tmp_path / "figure.png")
    saved = len(str(lab.save()))
    assert saved < 200_000, f"the saved notebook has {saved} characters"


def test_without_its_script_the_static_picture_stays(lab_page):
    bokeh = pytest.importorskip("bokeh")
    lab = lab_page([CELL])
    lab.page.evaluate(
        """(version) => {
          const gone = Promise.reject(new Error("the kernel did not answer"));
          gone.catch(() => {});
          window.labkitBokeh = {[version]: gone};
        }""",
        bokeh.__version__,
    )
    lab.run_all()
    lab.output(0).get_by_text("static picture: the figure cannot be drawn").wait_for()
    assert lab.output(0).locator("svg.lk-svg").is_visible()
