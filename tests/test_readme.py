"""What the README shows works: its marked shell blocks are run, and what they promise is looked for.

A block that starts with ```sh test, or ```python test, is run. In a shell block `# → TEXT` after a command
says what its output holds.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh test\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"^```python test\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMISE = re.compile(r"\s*# → (.*)$")


def commands() -> list[tuple[str, str]]:
    """Every command of the marked blocks, with what its output must hold."""
    found = []
    for block in BLOCK.findall(README):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            promise = PROMISE.search(line)
            if command := PROMISE.sub("", line).strip():
                found.append((command, promise[1] if promise else ""))
    return found


def case(command: str, promise: str):
    guests = [name for name in ("linux", "linux-net", "memtest86+") if f"labkit run {name} " in command]
    return pytest.param(command, promise, id=command, marks=[pytest.mark.guest(name) for name in guests])


@pytest.mark.skipif(not shutil.which("bash"), reason="the README's commands are for a POSIX shell")
@pytest.mark.parametrize(("command", "promise"), [case(*pair) for pair in commands()])
def test_a_command_of_the_readme(tmp_path: Path, command: str, promise: str):
    labkit = tmp_path / "bin" / "labkit"
    labkit.parent.mkdir()
    labkit.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m labkit "$@"\n')
    labkit.chmod(0o755)
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=tmp_path, env=os.environ | {"PATH": f"{labkit.parent}:{os.environ['PATH']}"},
        check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=240,
    )  # fmt: skip
    said = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    assert ran.returncode == 0, said[-2000:]
    assert promise in said, said[-2000:]


@pytest.mark.parametrize("program", PROGRAM.findall(README))
def test_a_program_of_the_readme(tmp_path: Path, program: str):
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_something_of_the_readme_is_tested():
    assert len(commands()) > 3
    assert PROGRAM.findall(README)


def test_the_readme_starts_with_the_two_commands_and_a_picture():
    start = README[:1200]
    for needed in ("make lab", "make test", ".svg"):
        assert needed in start
    picture = re.search(r"\((\S+\.svg)\)", start)
    assert picture
    assert (ROOT / picture[1]).read_text("utf-8").startswith("<svg")


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize("target", ["lab", "test", "lock", "clean"])
def test_make_knows_the_target(target: str):
    ran = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_every_link_into_the_repository_leads_somewhere():
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text("utf-8")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page):
            assert (ROOT / target).exists(), target
