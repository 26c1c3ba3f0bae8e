"""A notebook opened and all of it run in a real JupyterLab: seconds, and the memory of server and kernel.

On one core, as a small virtual machine has it: server, kernel and browser share it. Memory is the resident
memory of the server's processes added up, so what they share counts more than once.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.bench.figure import Figure, Progress
from labkit.bench.jupyterlab import browser, jupyterlab, opened

__all__ = ["SECONDS", "measure"]

SECONDS = 20
MEGABYTES = 1200
LONGEST = 900
"""Seconds that all cells of a notebook may take together; a run that has not ended by then is given up."""
EVERY = 0.2
"""Seconds between two looks at the memory."""
RUN_ALL = """
() => {
  window.labkitRun = "";
  window.jupyterapp.commands.execute("notebook:run-all-cells").then(
    () => { window.labkitRun = "ended"; }, (error) => { window.labkitRun = `failed: ${error}`; });
}
"""
STATE = """
() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
  .filter((cell) => cell.type === "code" && cell.sharedModel.getSource().trim())
  .map((cell) => [cell.executionCount, cell.outputs.toJSON()])
"""


def measure(notebook: Path, cores: int, rounds: int, progress: Progress) -> list[Figure]:
    """The figures; the goals are those of start.ipynb on one core. Raises RuntimeError, OSError."""
    text = notebook.read_text("utf-8")
    opening, running, most = [], [], []
    with _pinned(cores), browser() as chromium:
        for round_ in range(rounds):
            progress(f"{notebook.name}, round {round_ + 1} of {rounds}")
            with jupyterlab(text) as server, _memory(server.pid) as peak:
                began = time.perf_counter()
                with opened(chromium, server) as page:
                    ready = time.perf_counter()
                    _run_all(page, notebook)
                    ended = time.perf_counter()
                    _check(notebook, page.evaluate(STATE))
            opening.append(ready - began)
            running.append(ended - ready)
            most.append(peak[0] / (1 << 20))
    where = f"{notebook.name} in headless Chromium, all processes on {cores} core{'s'[: cores != 1]}"
    worst = max(a + b for a, b in zip(opening, running, strict=True))
    return [
        Figure("open", round(max(opening), 1), "s", f"{where}; the slowest round"),
        Figure("run all", round(max(running), 1), "s", f"{where}; the slowest round"),
        Figure("open and run all", round(worst, 1), "s", f"{where}; the slowest round", goal=SECONDS, at_least=False),
        Figure(
            "memory of server and kernel", round(max(most)), "MB",
            "resident memory of all processes of the server added up; the highest moment",
            goal=MEGABYTES, at_least=False,
        ),
    ]  # fmt: skip


def _run_all(page: Any, notebook: Path) -> None:
    """Run all cells. Raises RuntimeError where they have not ended in time; `evaluate` itself would wait for ever."""
    page.evaluate(RUN_ALL)
    try:
        page.wait_for_function("() => window.labkitRun", timeout=LONGEST * 1000)
    except Exception as error:
        if type(error).__name__ != "TimeoutError":
            raise
        raise RuntimeError(f"{notebook}: not all cells had run after {LONGEST} s") from None


def _check(notebook: Path, cells: list[tuple[int | None, list[dict[str, Any]]]]) -> None:
    """Raises RuntimeError where a cell has not run, or has failed."""
    for count, outputs in cells:
        errors = [output for output in outputs if output["output_type"] == "error"]
        if count is None or errors:
            what = f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else "a cell has not run"
            raise RuntimeError(f"{notebook}: {what}")


@contextmanager
def _pinned(cores: int) -> Iterator[None]:
    """This process, and what it starts, on so many of its cores."""
    if not hasattr(os, "sched_setaffinity"):
        raise RuntimeError("processes cannot be kept on one core here: this measurement needs Linux")
    own = os.sched_getaffinity(0)
    if len(own) < cores:
        raise RuntimeError(f"there are {len(own)} cores here, not {cores}")
    os.sched_setaffinity(0, set(sorted(own)[:cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


@contextmanager
def _memory(pid: int) -> Iterator[list[int]]:
    """The highest resident memory of a process and its children while the block runs, in bytes."""
    psutil: Any = __import__("psutil")
    peak, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(EVERY):
            total = 0
            try:
                root = psutil.Process(pid)
                total = sum(int(one.memory_info().rss) for one in (root, *root.children(recursive=True)))
            except psutil.Error:
                continue  # one of them has just ended
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()
