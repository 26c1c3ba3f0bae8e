"""A real JupyterLab and a real browser: the fixtures that every browser test shares.

    def test_it(lab_page):
        lab = lab_page(["print(1)", "widget"], theme="dark")     # or a path to a notebook
        lab.run_all()
        lab.output(1).locator("button").click()
        lab.output(1).screenshot(path=...)                       # lab.page is playwright's Page

When the test ends, every page is closed, its kernel is stopped, and the test fails if the page asked another
host for anything or wrote an error to its console (`lab.expected_errors` takes regular expressions of allowed
ones).
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_SECONDS = 60
TOKEN = "browser-test"
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}


def leave_out(reason: str) -> None:
    """Skip with the reason; in CI (CI=true), where a browser has to be there, fail."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(scope="module")  # no longer: while it lives, no other test can use asyncio.run
def browser() -> Iterator[Any]:
    """Playwright's handle of the system's Chromium."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        leave_out("no Chromium here: apt install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        leave_out("playwright is not installed: pip install 'labkit[dev]'")
    sandbox = [] if hasattr(os, "geteuid") and os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=sandbox)
        yield instance
        instance.close()


@dataclass(frozen=True)
class Server:
    """A JupyterLab that runs on this machine with folders of its own."""

    port: int
    root: Path
    settings: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def stop_kernels(self) -> None:
        for session in self.call("api/sessions"):
            with suppress(OSError):
                self.call(f"api/sessions/{session['id']}", "DELETE")

    def set_theme(self, theme: str) -> None:
        folder = self.settings / "@jupyterlab/apputils-extension"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "themes.jupyterlab-settings").write_text(json.dumps({"theme": THEMES[theme]}), "utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_environment(home: Path, port: int) -> dict[str, str]:
    """The process environment of a JupyterLab that touches nothing of its user's; imports this checkout."""
    places = {
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    (home / "config" / "jupyter_server_config.json").write_text(
        json.dumps({
            "ServerApp": {"allow_root": True, "ip": "127.0.0.1", "port": port, "port_retries": 0},
            "IdentityProvider": {"token": TOKEN},
            "LabApp": {"expose_app_in_browser": True},
        }),
        "utf-8",
    )  # fmt: skip
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    own = {name: str(place) for name, place in places.items()}
    return {**os.environ, **own, "PYTHONPATH": os.pathsep.join(paths)}


def start_server(home: Path, root: Path, command: Sequence[str]) -> Server:
    """Start JupyterLab by a command and wait until it answers."""
    port = free_port()
    log = home / "server.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            list(command), cwd=root, env=server_environment(home, port), stdin=subprocess.DEVNULL,
            stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
    server = Server(port, root, home / "settings", process, log)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            server.call("api/status")
            return server
        time.sleep(0.1)
    process.kill()
    process.wait()
    pytest.fail(f"JupyterLab did not start:\n{log.read_text('utf-8', 'replace')[-4000:]}")


def stop_server(server: Server) -> None:
    with suppress(OSError):
        server.stop_kernels()
    server.process.terminate()
    try:
        server.process.wait(15)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab as labkit starts it, in a temporary folder, for the whole session."""
    if not find_spec("jupyterlab"):
        leave_out("JupyterLab is not installed: pip install labkit")
    home = tmp_path_factory.mktemp("lab")
    root = home / "notebooks"
    root.mkdir()
    server = start_server(home, root, [sys.executable, "-m", "labkit", "lab", str(root), "--no-browser"])
    yield server
    stop_server(server)


def notebook(cells: Sequence[str]) -> dict[str, Any]:
    """A notebook of code cells, as the file format has it."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "cells": [
            {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [],
             "source": source}
            for i, source in enumerate(cells)
        ],
    }  # fmt: skip


@dataclass
class LabPage:
    """One notebook, open in JupyterLab in a browser context of its own."""

    page: Any
    server: Server
    name: str
    console: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    expected_errors: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.on("websocket", lambda websocket: self._asked(websocket.url))
        self.page.on("console", lambda line: self.console.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname not in {"127.0.0.1", "localhost"}:
            self.foreign.append(url)

    @property
    def errors(self) -> list[str]:
        """Console errors and uncaught exceptions that were not expected."""
        return [line for line in self.console if not any(re.search(e, line) for e in self.expected_errors)]

    def open(self, *, ready_seconds: float = 40) -> None:
        path = f"lab/workspaces/{self.name.partition('.')[0]}/tree/{self.name}?reset&token={TOKEN}"
        self.page.goto(f"{self.server.url}/{path}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=ready_seconds * 1000)
        self.page.wait_for_function(
            "() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=ready_seconds * 1000,
        )

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Run one of JupyterLab's commands and wait for its end."""
        self.page.evaluate(
            "async ([name, given]) => { await window.jupyterapp.commands.execute(name, given) }",
            [name, arguments or {}],
        )

    def run_all(self) -> None:
        """Run All Cells, and wait until all have run."""
        self.command("notebook:run-all-cells")

    def cell(self, index: int) -> Any:
        """Playwright's locator of a cell, by its place in the notebook."""
        return self.page.locator(f'.jp-Notebook .jp-Cell[data-windowed-list-index="{index}"]')

    def output(self, index: int) -> Any:
        """Playwright's locator of a cell's outputs."""
        return self.cell(index).locator(".jp-Cell-outputArea")

    def cell_count(self) -> int:
        """How many cells the notebook has (keys that leak insert and delete cells)."""
        count = "() => window.jupyterapp.shell.currentWidget.content.model.cells.length"
        return int(self.page.evaluate(count))

    def save(self) -> dict[str, Any]:
        """Save the notebook and return what is in the file."""
        self.command("docmanager:save")
        saved: dict[str, Any] = json.loads((self.server.root / self.name).read_text("utf-8"))
        return saved


@pytest.fixture
def lab_page(lab_server: Server, browser: Any) -> Iterator[Callable[..., LabPage]]:
    """A function that opens cells (or a notebook's path) in JupyterLab; see the module's first lines."""
    opened: list[LabPage] = []

    def open_page(
        cells: Sequence[str] | Path, *, theme: str = "light", width: int = 1280, height: int = 1000
    ) -> LabPage:
        name = f"page-{time.monotonic_ns():x}.ipynb"
        text = cells.read_text("utf-8") if isinstance(cells, Path) else json.dumps(notebook(cells))
        (lab_server.root / name).write_text(text, "utf-8")
        lab_server.set_theme(theme)
        context = browser.new_context(viewport={"width": width, "height": height})
        context.set_default_timeout(15_000)
        lab = LabPage(context.new_page(), lab_server, name)
        opened.append(lab)
        lab.watch()
        lab.open()
        return lab

    yield open_page
    for lab in opened:
        lab.page.context.close()
    lab_server.stop_kernels()
    assert not [url for lab in opened for url in lab.foreign], "a page asked another host"
    assert not [line for lab in opened for line in lab.errors], "a page wrote errors to its console"


# Every text against what is painted behind it, by the rule of WCAG 2.1, 1.4.3.
CONTRAST = """
(root) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour, under) => {
    canvas.clearRect(0, 0, 1, 1);
    if (under) { canvas.fillStyle = `rgb(${under.join()})`; canvas.fillRect(0, 0, 1, 1); }
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (node) => {
    if (!node) return [255, 255, 255];
    const colour = getComputedStyle(node).backgroundColor, [, , , alpha] = rgba(colour);
    return alpha === 255 ? rgba(colour).slice(0, 3) : rgba(colour, ground(node.parentElement)).slice(0, 3);
  };
  const light = (rgb) => {
    const linear = (v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const low = [];
  const walker = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode, node = text.parentElement;
    if (!text.textContent.trim() || !node.getClientRects().length) continue;
    if (node.closest("option,.sr,.no,[hidden]")) continue;
    const under = ground(node), ink = rgba(getComputedStyle(node).color, under).slice(0, 3);
    const [a, b] = [light(ink), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) low.push(`${text.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return {seen, low};
}
"""


@pytest.fixture
def contrast() -> str:
    """A script for the page: of the texts in the element that a selector finds, those that are too pale."""
    return CONTRAST
