"""`labkit lab`: JupyterLab on the notebooks."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import labkit
from labkit.cli.errors import CommandError
from labkit.cli.first_start import prepare

__all__ = ["command", "copy_missing", "lab", "workplace"]

START = "start.ipynb"
COPY = "labkit-notebooks"
"""The folder that the notebooks of an installed labkit are copied into, in the current folder."""


def checkout() -> Path | None:
    """The notebooks of the checkout that labkit runs from, None where it is installed."""
    beside = Path(next(iter(labkit.__path__))).parent
    return beside / "notebooks" if (beside / "pyproject.toml").is_file() else None


def packaged() -> Path | None:
    """The notebooks that were installed with labkit."""
    from jupyter_core.paths import jupyter_path

    return next((path for path in map(Path, jupyter_path("labkit", "notebooks")) if path.is_dir()), None)


def copy_missing(source: Path, folder: Path) -> int:
    """Copy what the folder does not have yet, and say how many files; what is there stays as it is."""
    copied = 0
    for file in sorted(source.rglob("*")):
        target = folder / file.relative_to(source)
        if file.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            copied += 1
    return copied


def workplace(folder: Path | None) -> Path:
    """The folder to open: the one given, else the checkout's notebooks, else a copy in the current folder."""
    if folder and not folder.is_dir():
        raise CommandError(f"{folder} is not a folder; give the folder that holds the notebooks")
    if beside := checkout():
        return folder or (beside if beside.is_dir() else Path.cwd())
    if (source := packaged()) is None:
        return folder or Path.cwd()
    target = folder or (Path.cwd() if (Path.cwd() / START).is_file() else Path.cwd() / COPY)
    try:
        copied = copy_missing(source, target)
    except OSError as error:
        raise CommandError(
            f"the notebooks cannot be copied to {target}: {error.strerror}\n"
            "give a folder of yours: labkit lab FOLDER"
        ) from None
    if copied:
        print(f"labkit: {copied} files copied to {target}", file=sys.stderr, flush=True)
    return target


def command(root: Path, *, browser: bool) -> list[str]:
    """The command that starts JupyterLab on a folder, with its start notebook open."""
    options = [f"--ServerApp.root_dir={root.resolve()}"]
    options.append("--ServerApp.answer_yes=True")  # Ctrl-C ends it, unasked
    if (root / START).is_file():
        options.append(f"--LabApp.default_url=/lab/tree/{START}")
    if not browser:
        options.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")  # in a container there is nobody else; it listens on this machine only
    return [sys.executable, "-m", "jupyterlab", *options]


def lab(folder: Path | None, *, browser: bool) -> int:
    """Start JupyterLab and wait for its end; returns its exit code."""
    if not find_spec("jupyterlab"):
        raise CommandError(
            "JupyterLab is not installed here\n`make lab` or `pip install jupyterlab` installs it"
        )
    words = command(workplace(folder), browser=browser)
    prepare()
    print("labkit: Ctrl-C ends JupyterLab and its kernels", file=sys.stderr, flush=True)
    if os.name == "posix":
        os.execv(words[0], words)  # noqa: S606 (in our place: it gets every signal itself)
    with subprocess.Popen(words) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # JupyterLab got it too, and is ending
