"""A JupyterLab and a headless Chromium for measurements: folders of their own, gone afterwards."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["START_SECONDS", "Server", "browser", "jupyterlab", "notebook_of", "opened"]

START_SECONDS = 60
TOKEN = "labkit-bench"  # noqa: S105 (of a server that lives for a minute, on this machine only)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NOTEBOOK = "bench.ipynb"


@dataclass(frozen=True, slots=True)
class Server:
    """A running JupyterLab: its address, and its process."""

    url: str
    pid: int


def notebook_of(source: str) -> str:
    """A notebook of one code cell, as a file has it."""
    cell: dict[str, Any] = {
        "cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": source,
    }  # fmt: skip
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": [cell]})


@contextmanager
def browser() -> Iterator[Any]:
    """Playwright's handle of the system's Chromium. Raises RuntimeError where there is none."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise RuntimeError("no Chromium here: on Debian, apt install chromium")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 (only for developers)
    except ImportError:
        raise RuntimeError("playwright is not installed: pip install 'labkit[dev]'") from None
    with sync_playwright() as playwright:
        sandbox = [] if hasattr(os, "geteuid") and os.geteuid() else ["--no-sandbox"]
        chromium = playwright.chromium.launch(executable_path=executable, args=sandbox)
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium: Any, server: Server) -> Iterator[Any]:
    """The notebook, open in a page, with a kernel that is ready."""
    page = chromium.new_context(viewport={"width": 1280, "height": 1200}).new_page()
    page.goto(f"{server.url}/lab/tree/{NOTEBOOK}?reset&token={TOKEN}")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START_SECONDS * 1000)
    page.evaluate("async () => { await window.jupyterapp.shell.currentWidget.sessionContext.ready; }")
    yield page
    page.context.close()


@contextmanager
def jupyterlab(notebook: str, *, labkit: bool = True) -> Iterator[Server]:
    """A JupyterLab with folders of its own and one notebook in it; `labkit`: with its server extension."""
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        root = Path(home)
        (root / NOTEBOOK).write_text(notebook, "utf-8")
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.root_dir={root}"],
            env=_environment(root, port, labkit), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(url, process)
            yield Server(url, process.pid)
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
