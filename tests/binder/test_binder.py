"""The folder that Binder builds from: what it would build, and that its pins go with what it brings."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
BINDER = ROOT / "binder"
BROUGHT = {"jupyterlab", "ipywidgets"}
"""What Binder's base environment has, in versions of its own."""
PYTHON = {"python_full_version": "3.12.0", "python_version": "3.12", "sys_platform": "linux",
          "platform_system": "Linux", "platform_machine": "x86_64", "implementation_name": "cpython",
          "platform_python_implementation": "CPython", "os_name": "posix"}  # fmt: skip


def leave_out(reason: str) -> None:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def needed() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {canonicalize_name((r := Requirement(line)).name): r for line in project["dependencies"]}


def pins(path: Path) -> dict[str, str]:
    """Name to version of the lines that hold for Binder's Python."""
    found: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\").split(" #")[0].strip())
            if requirement.marker is None or requirement.marker.evaluate(PYTHON):
                (specifier,) = requirement.specifier
                assert specifier.operator == "==", line
                found[canonicalize_name(requirement.name)] = specifier.version
    return found


def test_what_binder_would_build():
    if not find_spec("repo2docker"):
        leave_out("repo2docker is not installed: pip install 'labkit[dev]'")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    assert "Building conda environment for python=3.12" in built.stderr
    lines = built.stdout.splitlines()

    def line(pattern: str) -> int:
        return next((i for i, text in enumerate(lines) if re.search(pattern, text)), -1)

    base, installs = line(r"^FROM .*buildpack-deps:"), line(r"pip install .*binder/requirements\.txt")
    copies, post = line(r"^COPY .* src/ "), line(r"^RUN \./binder/postBuild")
    assert -1 < base < installs < copies < post, "the pins are a layer of their own, before our files"


def test_pins_are_the_locks_and_complete():
    ours, locked = pins(BINDER / "requirements.txt"), pins(ROOT / "requirements.lock")
    assert {name: locked[name] for name in ours} == ours
    assert set(needed()) - set(ours) == BROUGHT
    assert not BROUGHT & set(ours)


def test_what_binder_brings_is_allowed():
    spec = find_spec("repo2docker")
    if spec is None:
        leave_out("repo2docker is not installed: pip install 'labkit[dev]'")
    folder = Path(str(spec and spec.origin)).parent / "buildpacks" / "conda"
    frozen = (folder / "environment.py-3.12-linux-64.lock").read_text("utf-8")
    for name in BROUGHT:
        version = re.search(rf"/{name}-(\d[\d.]*)-", frozen)
        assert version, f"Binder no longer brings {name}"
        assert needed()[name].specifier.contains(version[1]), f"Binder has {name} {version[1]}"


def test_the_scripts_are_sound():
    script = BINDER / "postBuild"
    assert os.access(script, os.X_OK)
    text = script.read_text("utf-8")
    assert text.startswith("#!/bin/bash\n")
    assert "set -euo pipefail" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    for command in re.findall(r"^labkit (\w+)", text, re.MULTILINE):
        from labkit.cli.app import command as whole

        assert command in whole().commands


def test_the_workspace_opens_the_start_notebook():
    workspace = json.loads((BINDER / "workspace.jupyterlab-workspace").read_text("utf-8"))
    current = workspace["data"]["layout-restorer:data"]["main"]["current"]
    path = workspace["data"][current]["data"]["path"]
    assert current == f"notebook:{path}" == "notebook:notebooks/start.ipynb"
    if (ROOT / "notebooks").is_dir():
        assert (ROOT / path).is_file()


def test_runtime_is_a_python_that_labkit_runs_on():
    version = (BINDER / "runtime.txt").read_text("ascii").strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version)
    assert PYTHON["python_version"] == version
