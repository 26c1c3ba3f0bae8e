import json

import pytest

from labkit.cli import doctor as doctor_module
from labkit.cli import main
from labkit.cli.doctor import Check
from labkit.cli.table import table


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([Check("a", True, "1")], 0),
        ([Check("a", True, "1"), Check("b", False, "none", "get b", needed=False)], 0),
        ([Check("a", False, "none", "get a"), Check("b", True, "1")], 1),
    ],
)
def test_only_what_is_needed_decides(capsys, monkeypatch, checks, code: int):
    monkeypatch.setattr(doctor_module, "checks", lambda: iter(checks))
    assert main(["doctor"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks) + 1
    for check, line in zip(checks, lines, strict=False):
        assert line.startswith("ok" if check.ok else ("NO" if check.needed else "--"))
        assert (check.todo in line) == (not check.ok) or not check.todo
    assert main(["doctor", "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == (code == 0)
    assert [entry["what"] for entry in document["checks"]] == [check.what for check in checks]


def test_this_machine_runs_guests(capsys):
    code = main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    wrong = [check for check in document["checks"] if check["needed"] and not check["ok"]]
    assert not wrong
    assert code == 0


def test_columns_are_aligned():
    assert table([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"
    assert not table([])
