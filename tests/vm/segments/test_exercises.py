"""The exercises of lab 1, handed out and graded by nbgrader itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
SOURCE = Path(__file__).resolve().parents[3] / "notebooks" / "01_segmentation" / "exercises.ipynb"
POINTS = 9


def nbgrader(folder: Path, *words: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))  # it calls alembic by name
    command = [sys.executable, "-m", "nbgrader", *words]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_solutions_get_all_points_and_blanks_none(tmp_path: Path):
    from nbgrader.api import Gradebook

    (tmp_path / "nbgrader_config.py").write_text('c = get_config()\nc.CourseDirectory.course_id = "labkit"\n')
    (tmp_path / "source" / "lab1").mkdir(parents=True)
    shutil.copy(SOURCE, tmp_path / "source" / "lab1")
    nbgrader(tmp_path, "generate_assignment", "lab1", "--create")
    released = tmp_path / "release" / "lab1" / "exercises.ipynb"
    assert "BEGIN SOLUTION" not in released.read_text()
    for student, notebook in (("solved", SOURCE), ("blank", released)):
        (tmp_path / "submitted" / student / "lab1").mkdir(parents=True)
        shutil.copy(notebook, tmp_path / "submitted" / student / "lab1")
    nbgrader(tmp_path, "autograde", "lab1", "--create")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {name: book.find_submission("lab1", name).score for name in ("solved", "blank")}
    assert scores == {"solved": POINTS, "blank": 0}
