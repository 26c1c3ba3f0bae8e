"""`labkit lab`: JupyterLab on the notebooks."""

import os
import subprocess
import sys
from pathlib import Path

import labkit
from labkit.cli.errors import CommandError

__all__ = ["lab", "notebooks"]


def notebooks() -> Path:
    """The checkout's notebooks if labkit runs from a checkout that has some, else the current folder."""
    beside = Path(labkit.__path__[0]).parent / "notebooks"
    return beside if beside.is_dir() else Path.cwd()


def lab(folder: Path | None, *, browser: bool) -> int:
    """Start JupyterLab and wait for its end; returns its exit code."""
    from importlib.util import find_spec

    root = folder or notebooks()
    if not root.is_dir():
        raise CommandError(f"{root} is not a folder; give the folder that holds the notebooks")
    if not find_spec("jupyterlab"):
        raise CommandError("JupyterLab is not installed here; `make lab` installs it")
    options = [] if browser else ["--no-browser"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # in a container there is nobody else; it listens on this machine only
    try:
        return subprocess.call([sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}", *options])
    except KeyboardInterrupt:  # JupyterLab got it too, and has asked whether to stop
        return 0
