"""`labkit lab`: which folder it opens, what it copies, and its end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.cli import lab
from labkit.cli.errors import CommandError


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Notebooks as a wheel installs them, and a current folder that is empty."""
    source = tmp_path / "share"
    (source / "01_segments").mkdir(parents=True)
    (source / "start.ipynb").write_text("new")
    (source / "01_segments" / "lesson.ipynb").write_text("lesson")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(lab, "checkout", lambda: None)
    monkeypatch.setattr(lab, "packaged", lambda: source)
    return here


def test_an_installed_lab_copies_its_notebooks(installed: Path, capsys: pytest.CaptureFixture[str]):
    folder = lab.workplace(None)
    assert folder == installed / lab.COPY
    assert (folder / "01_segments" / "lesson.ipynb").read_text() == "lesson"
    assert "2 files copied" in capsys.readouterr().err


def test_what_a_student_has_written_stays(installed: Path, capsys: pytest.CaptureFixture[str]):
    folder = lab.workplace(None)
    (folder / "start.ipynb").write_text("mine")
    (folder / "01_segments" / "lesson.ipynb").unlink()
    capsys.readouterr()
    assert lab.workplace(None) == folder
    assert (folder / "start.ipynb").read_text() == "mine"
    assert (folder / "01_segments" / "lesson.ipynb").read_text() == "lesson"
    assert "1 files copied" in capsys.readouterr().err


def test_inside_the_copy_no_second_one_is_made(installed: Path, monkeypatch: pytest.MonkeyPatch):
    folder = lab.workplace(None)
    monkeypatch.chdir(folder)
    assert lab.workplace(None) == folder


def test_a_given_folder_is_filled(installed: Path):
    mine = installed / "mine"
    mine.mkdir()
    assert lab.workplace(mine) == mine
    assert (mine / "start.ipynb").is_file()


def test_a_folder_that_cannot_be_written_is_said(installed: Path):
    (installed / lab.COPY).write_text("a file is in the way")
    with pytest.raises(CommandError, match="give a folder of yours"):
        lab.workplace(None)


def test_a_folder_that_is_none(tmp_path: Path):
    with pytest.raises(CommandError, match="not a folder"):
        lab.workplace(tmp_path / "nowhere")


def test_a_checkout_opens_its_own_notebooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lab, "checkout", lambda: tmp_path)
    assert lab.workplace(None) == tmp_path


def test_the_start_notebook_is_opened_where_there_is_one(tmp_path: Path):
    assert not any("default_url" in word for word in lab.command(tmp_path, browser=True))
    (tmp_path / lab.START).touch()
    words = lab.command(tmp_path, browser=False)
    assert "--LabApp.default_url=/lab/tree/start.ipynb" in words
    assert "--no-browser" in words


def test_without_jupyterlab_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lab, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match="JupyterLab is not installed"):
        lab.lab(None, browser=False)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path):
    import pty

    own = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    keyboard, terminal = pty.openpty()
    root = tmp_path / "root"
    root.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "labkit", "lab", str(root), "--no-browser"], stdin=terminal, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **own, "JUPYTER_PORT": "0"},
        cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    try:
        said = ""
        for line in process.stdout:
            said += line
            if "?token=" in line:
                break
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=20)[0]
    finally:
        process.kill()
        os.close(keyboard)
        os.close(terminal)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert "Shutting down" in said
