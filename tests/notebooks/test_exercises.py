"""The exercises of every lab, handed out and graded by nbgrader itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader")
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "labkit"
c.ExecutePreprocessor.iopub_timeout = 120
"""
"""A cell is not wrong because the host is busy: of its last output nbclient by itself awaits no more than 4 s."""
LABS = sorted(path.parent.name for path in NOTEBOOKS.glob("*/exercises.ipynb"))
SHALLOW = {"04_replay": (', \\"a packet comes from the network\\"}', "}", 2)}
"""An answer that passes what is seen of the tests: text, what it is replaced by, points that hidden tests take."""


def nbgrader(folder: Path, *words: str) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))  # it calls alembic by name
    command = [sys.executable, "-m", "nbgrader", *words]
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def points(notebook: Path) -> int:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return sum(cell["metadata"].get("nbgrader", {}).get("points", 0) for cell in cells)


@pytest.mark.parametrize("lab", LABS)
def test_solutions_get_all_points_and_blanks_none(tmp_path: Path, lab: str):
    from nbgrader.api import Gradebook

    source = NOTEBOOKS / lab / "exercises.ipynb"
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    (tmp_path / "source" / lab).mkdir(parents=True)
    shutil.copy(source, tmp_path / "source" / lab)
    nbgrader(tmp_path, "generate_assignment", lab, "--create")
    released = (tmp_path / "release" / lab / "exercises.ipynb").read_text("utf-8")
    for hidden in ("BEGIN SOLUTION", "HIDDEN TESTS"):
        assert hidden not in released
    solved, whole = source.read_text("utf-8"), points(source)
    students = {"solved": (solved, whole), "blank": (released, 0)}
    if lab in SHALLOW:
        before, after, lost = SHALLOW[lab]
        assert before in solved
        students["shallow"] = (solved.replace(before, after, 1), whole - lost)
    for student, (notebook, _) in students.items():
        (tmp_path / "submitted" / student / lab).mkdir(parents=True)
        (tmp_path / "submitted" / student / lab / "exercises.ipynb").write_text(notebook, "utf-8")
    nbgrader(tmp_path, "autograde", lab, "--create")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {student: book.find_submission(lab, student).score for student in students}
    assert scores == {student: score for student, (_, score) in students.items()}
    assert whole > 0
