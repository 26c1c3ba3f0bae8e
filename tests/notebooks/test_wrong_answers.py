"""A wrong answer to an exercise fails its check, and the check says in words what is wrong."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

SWEEPING = """
class Mended(Buggy):
    def _recycle(self, key):
        super()._recycle(key)
        self.hardware.tlb.purge_all()
"""
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ANSWERS = [
    (
        "02_shadow_tlb",
        {
            "rights_4": (
                "def rights_4(page_level, level):\n    return READ | WRITE if level < page_level else 0\n",
                "level 0 on a page of level 0: your table says ---, the architecture rw-",
            ),
            "shadow": (
                "def disabled(rights, page_level, own, level):\n    return own\n",
                "rights 0, page level 0, own key disables ---, level 1: permits r-- too much",
            ),
            "recycle": (
                "class Mended(Buggy):\n    pass\n",
                "read of page 1 at level 3: allowed, but the architecture says access rights",
            ),
        },
    ),
    (
        "02_shadow_tlb",
        {
            "rights_4": ("def rights_4(page_level, level):\n    pass\n", "None, which is no mask such as READ | WRITE"),
            "shadow": (
                "def disabled(rights, page_level, own, level):\n    return ALL\n",
                "rights 0, page level 0, own key disables ---, level 0: forbids r--, which is allowed",
            ),
            "recycle": (
                SWEEPING,
                "the hardware now holds pages [3], but page 2 had another key",
            ),
        },
    ),
]
"""By lab: answers that are wrong as answers are, and what their checks must say."""


@pytest.mark.parametrize(("lab", "answers"), ANSWERS)
def test_a_wrong_answer_is_told_why(lab: str, answers: dict[str, tuple[str, str]]):
    notebook = nbformat.read(NOTEBOOKS / lab / "exercises.ipynb", 4)
    by_name = {cell.metadata.get("nbgrader", {}).get("grade_id", ""): cell for cell in notebook.cells}
    for name, (answer, _said) in answers.items():
        by_name[name].source = answer
    NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    for name, (_answer, said) in answers.items():
        outputs = json.dumps(by_name[f"test_{name}"].outputs)
        assert "AssertionError" in outputs
        assert said in outputs, outputs[-1500:]
