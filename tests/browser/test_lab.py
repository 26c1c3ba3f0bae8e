"""JupyterLab as labkit sets it up: nothing from other hosts, no errors, no toast, no stall, both themes."""

import statistics

import pytest

pytestmark = pytest.mark.browser

# Each press makes the kernel answer with a new picture of the table: the path of every ipywidgets update.
COUNTER = """
import ipywidgets
button, table = ipywidgets.Button(description="press"), ipywidgets.HTML("<b class=seen>0</b>")
button.on_click(lambda _: setattr(table, "value", f"<b class=seen>{int(table.value[14:-4]) + 1}</b>"))
ipywidgets.VBox([button, table])
"""
# Presses the button and waits for the number to change: milliseconds from click to DOM change.
PRESS = """
async () => {
  const button = document.querySelector('.jp-OutputArea button'), times = [];
  for (let i = 0; i < 30; i++) {
    const shown = document.querySelector('.seen').textContent, start = performance.now();
    await new Promise((done) => {
      const watcher = new MutationObserver(() => {
        if (document.querySelector('.seen')?.textContent !== shown) { watcher.disconnect(); done(); }
      });
      watcher.observe(document.querySelector('.jp-OutputArea'), {subtree: true, childList: true});
      button.click();
    });
    times.push(performance.now() - start);
    await new Promise((done) => setTimeout(done, 20));
  }
  return times;
}
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_notebook_opens_and_runs(lab_page, theme: str):
    lab = lab_page(["print('seen ' + 'it')", "2"], theme=theme)
    lab.run_all()
    assert "seen it" in lab.output(0).inner_text()
    assert lab.page.evaluate("document.body.dataset.jpThemeLight") == str(theme == "light").lower()
    assert lab.cell_count() == 2
    assert not lab.foreign


def test_no_toast_asks_whether_to_show_news(lab_page):
    lab = lab_page(["1"])
    lab.page.wait_for_timeout(2000)  # it appears a little after the page
    assert "Jupyter news" not in lab.page.inner_text("body")


def test_an_update_does_not_wait_for_an_acknowledgement(lab_page):
    lab = lab_page([COUNTER])
    lab.run_all()
    lab.output(0).locator("button").wait_for()
    times = lab.page.evaluate(PRESS)[5:]
    assert statistics.median(times) < 35, f"an update stalls (47 ms without TCP_NODELAY): {times}"
