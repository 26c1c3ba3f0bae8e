"""What measures a notebook: a failed cell is no figure, cores are given back, memory is seen."""

import os
import sys
from pathlib import Path

import pytest

from labkit.bench import notebook as bench
from labkit.bench.jupyterlab import browser
from labkit.bench.notebook import _check, _memory, _pinned, _run_all, measure

ERROR = {"output_type": "error", "ename": "GuestError", "evalue": "no such guest"}
NOTEBOOK = Path("some.ipynb")


def test_a_failed_cell_and_one_that_has_not_run_are_no_figure():
    _check(NOTEBOOK, [(1, [{"output_type": "stream"}]), (2, [])])
    with pytest.raises(RuntimeError, match="GuestError: no such guest"):
        _check(NOTEBOOK, [(1, [ERROR])])
    with pytest.raises(RuntimeError, match="has not run"):
        _check(NOTEBOOK, [(None, [])])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="keeping on a core is Linux's")
def test_the_cores_are_given_back():
    before = os.sched_getaffinity(0)
    with _pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(RuntimeError, match="cores here"), _pinned(len(before) + 1):
        pass


def test_the_memory_of_a_process_is_seen():
    held = b"x"
    with _memory(os.getpid()) as peak:
        held *= 300 << 20
        while not peak[0]:
            pass
    assert peak[0] > len(held)


def test_a_notebook_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        measure(tmp_path / "none.ipynb", 1, 1, print)


@pytest.mark.browser
def test_cells_that_do_not_end_are_given_up(monkeypatch):
    with browser() as chromium:
        page = chromium.new_page()
        page.evaluate("window.jupyterapp = {commands: {execute: () => new Promise((done) => setTimeout(done, 50))}}")
        _run_all(page, NOTEBOOK)
        monkeypatch.setattr(bench, "LONGEST", 0.3)
        page.evaluate("window.jupyterapp = {commands: {execute: () => new Promise(() => {})}}")
        with pytest.raises(RuntimeError, match=r"not all cells had run after 0\.3 s"):
            _run_all(page, NOTEBOOK)
