"""`labkit run linux`: the shell is reached, answers, and two runs are the same run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.guest("linux")


def linux(*arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "labkit", "run", "linux", "--until-text", "/ # ", "--json", *arguments],
        cwd=ROOT, capture_output=True, timeout=200, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return json.loads(ran.stdout)


def test_two_boots_are_the_same_boot():
    first, second = linux(), linux()
    del first["seconds"], second["seconds"]
    assert first == second
    assert first["console"].rstrip("\x1b[6n").endswith("/ # ")


def test_the_shell_computes():
    booted = linux("--input", r"echo A$((6*7))\n")
    assert "\nA42\r\n/ # " in booted["console"]


def test_it_is_ready_on_the_live_clock_too():
    assert linux("--clock", "live")["reason"] == "requested"
