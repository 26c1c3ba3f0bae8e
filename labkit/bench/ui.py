"""Key press to changed page: the debugger, and beside it a plain ipywidgets update in a stock JupyterLab.

Two JupyterLabs are started, one as `labkit lab` starts it and one with labkit's server extension off; both
are driven by a headless Chromium in which the page itself takes the times: from the key event (or click) to
the first change of the DOM that it causes.
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labkit.bench.figure import Figure, Progress
from labkit.bench.jupyterlab import START_SECONDS, Server, browser, jupyterlab, notebook_of, opened

__all__ = ["PRESSES", "measure"]

PRESSES = 60
WARM_UP = 10

DEBUGGER = """
from labkit.vm.replay import Timeline
from labkit.widgets.debugger import Debugger
timeline = Timeline.boot("teaching", memory=32 << 20)
stop = timeline.run(until_text="$ ")
timeline.seek(timeline.end // 2)
Debugger(timeline)
"""
PLAIN = """
import ipywidgets
button, table = ipywidgets.Button(description="press"), ipywidgets.HTML("<b class=lk-seen>0</b>")
def pressed(_):
    table.value = f"<b class=lk-seen>{int(table.value[17:-4]) + 1}</b>"
button.on_click(pressed)
ipywidgets.VBox([button, table])
"""
# Acts, and waits until `shown()` has changed; the time is taken in the mutation that changes it.
TIMES = """
async ([count, act, shown, within]) => {
  const root = document.querySelector(within), times = [];
  const read = new Function(shown), go = new Function(act);
  for (let i = 0; i < count; i++) {
    const before = read();
    let start = 0;
    await new Promise((done) => {
      const watcher = new MutationObserver(() => {
        if (read() !== before) { times.push(performance.now() - start); watcher.disconnect(); done(); }
      });
      watcher.observe(root, {subtree: true, childList: true, attributes: true, characterData: true});
      start = performance.now();
      go();
    });
    await new Promise((done) => setTimeout(done, 30));
  }
  return times;
}
"""
KEY = """document.querySelector('.lkd').dispatchEvent(
  new KeyboardEvent('keydown', {key: '%s', bubbles: true, cancelable: true}))"""
POINT = "return document.querySelector('.lkd .cur').getAttribute('aria-valuenow')"


def measure(presses: int, progress: Progress) -> list[Figure]:
    """The figures. Raises RuntimeError where there is no browser, no playwright or no JupyterLab."""
    with browser() as chromium:
        progress("the debugger, in JupyterLab as labkit starts it")
        with jupyterlab(notebook_of(DEBUGGER)) as server, _page(chromium, server, ".lkd .code li") as page:
            steps = _times(page, presses, KEY % "ArrowRight", POINT, ".lkd")
            backs = _times(page, presses, KEY % "ArrowLeft", POINT, ".lkd")
        progress("an ipywidgets update, in a stock JupyterLab")
        click = "document.querySelector('.jp-OutputArea button').click()"
        seen = "return document.querySelector('.lk-seen')?.textContent"
        stock = jupyterlab(notebook_of(PLAIN), labkit=False)
        with stock as server, _page(chromium, server, ".lk-seen") as page:
            plain = _times(page, presses, click, seen, ".jp-OutputArea")
    return [
        *_figures("step", steps, "key press to changed DOM in the debugger", (25, 60)),
        *_figures("back", backs, "key press to changed DOM in the debugger", (25, 60)),
        *_figures("plain ipywidgets", plain, "click to changed DOM, stock JupyterLab, Button to HTML", None),
    ]


def _figures(
    name: str, times: Sequence[float], method: str, goals: tuple[float, float] | None
) -> Iterator[Figure]:
    method = f"{method}; {len(times)} in headless Chromium"
    p95 = statistics.quantiles(times, n=20)[-1]
    for what, value, goal in (("median", statistics.median(times), 0), ("p95", p95, 1)):
        limit = goals[goal] if goals else None
        yield Figure(f"{name} {what}", round(value, 1), "ms", method, goal=limit, at_least=False)


def _times(page: Any, presses: int, act: str, shown: str, within: str) -> list[float]:
    times: list[float] = page.evaluate(TIMES, [presses + WARM_UP, act, shown, within])
    return times[WARM_UP:]


@contextmanager
def _page(chromium: Any, server: Server, ready: str) -> Iterator[Any]:
    """The page with the cell's output shown."""
    with opened(chromium, server) as page:
        page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        page.wait_for_selector(ready, timeout=START_SECONDS * 1000)
        yield page
