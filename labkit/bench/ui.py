"""Key press to changed page: the debugger, and beside it a plain ipywidgets update in a stock JupyterLab.

Two JupyterLabs are started, one as `labkit lab` starts it and one with labkit's server extension off; both
are driven by a headless Chromium in which the page itself takes the times: from the key event (or click) to
the first change of the DOM that it causes.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from labkit.bench.figure import Figure, Progress

__all__ = ["PRESSES", "measure"]

PRESSES = 60
WARM_UP = 10
START_SECONDS = 60
TOKEN = "labkit-bench"  # noqa: S105 (of a server that lives for a minute, on this machine only)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

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
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise RuntimeError("no Chromium here: on Debian, apt install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only for developers)
    except ImportError:
        raise RuntimeError("playwright is not installed: pip install 'labkit[dev]'") from None
    with sync_playwright() as playwright:
        sandbox = [] if hasattr(os, "geteuid") and os.geteuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=executable, args=sandbox)
        progress("the debugger, in JupyterLab as labkit starts it")
        with _jupyterlab(labkit=True) as url, _page(browser, url, DEBUGGER, ".lkd .code li") as page:
            steps = _times(page, presses, KEY % "ArrowRight", POINT, ".lkd")
            backs = _times(page, presses, KEY % "ArrowLeft", POINT, ".lkd")
        progress("an ipywidgets update, in a stock JupyterLab")
        click = "document.querySelector('.jp-OutputArea button').click()"
        seen = "return document.querySelector('.lk-seen')?.textContent"
        with _jupyterlab(labkit=False) as url, _page(browser, url, PLAIN, ".lk-seen") as page:
            plain = _times(page, presses, click, seen, ".jp-OutputArea")
        browser.close()
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
def _page(browser: Any, url: str, cell: str, ready: str) -> Iterator[Any]:
    """The cell's output, shown in JupyterLab."""
    page = browser.new_context(viewport={"width": 1280, "height": 1200}).new_page()
    page.goto(f"{url}/lab/tree/bench.ipynb?reset&token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
    body = json.dumps(cell)
    page.evaluate(
        "async (text) => { const panel = window.jupyterapp.shell.currentWidget;"
        " await panel.sessionContext.ready;"
        " panel.content.model.cells.get(0).sharedModel.setSource(JSON.parse(text));"
        " await window.jupyterapp.commands.execute('notebook:run-all-cells'); }",
        body,
    )
    page.wait_for_selector(ready, timeout=START_SECONDS * 1000)
    yield page
    page.context.close()


@contextmanager
def _jupyterlab(*, labkit: bool) -> Iterator[str]:
    """A JupyterLab with folders of its own and one empty notebook; its address."""
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        root = Path(home)
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={root}"],
            env=_environment(root, port, labkit), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()


def _environment(root: Path, port: int, labkit: bool) -> dict[str, str]:
    folders = {
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "run",
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }  # fmt: skip
    own = {name: str(root / folder) for name, folder in folders.items()}
    for folder in own.values():
        Path(folder).mkdir()
    extensions = {"labkit.lab": labkit}
    server = {"allow_root": True, "ip": "127.0.0.1", "port": port, "jpserver_extensions": extensions}
    config = {
        "ServerApp": server, "IdentityProvider": {"token": TOKEN}, "LabApp": {"expose_app_in_browser": True},
    }  # fmt: skip
    (root / "config" / "jupyter_server_config.json").write_text(json.dumps(config), "utf-8")
    cell: dict[str, Any] = {
        "cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": "",
    }  # fmt: skip
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": [cell]}
    (root / "bench.ipynb").write_text(json.dumps(notebook), "utf-8")
    here = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, **own, "PYTHONPATH": paths}


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        request = urllib.request.Request(f"{url}/api/status", headers={"Authorization": f"token {TOKEN}"})  # noqa: S310
        with suppress(OSError), urllib.request.urlopen(request, timeout=5):  # noqa: S310 (this machine)
            return
        time.sleep(0.1)
    raise RuntimeError("JupyterLab did not start; does `labkit lab` work here?")
