"""`labkit fetch`: obtain a guest, with a progress bar."""

import sys
from pathlib import Path
from typing import Self

from labkit.cli.errors import DONE

__all__ = ["fetch"]


def fetch(name: str) -> int:
    """Obtain the guest unless it is there; raises GuestError where that cannot work."""
    from labkit.guests.fetch import fetch as obtain
    from labkit.guests.fetch import fetched

    if present := fetched(name):
        print(f"{name}: already in {_folder(present.files)}")
        return DONE
    with _Bar() as bar:
        present = obtain(name, bar.show)
    for package in present.packages:
        print(f"{name}: {package.name} {package.version}")
    size = sum(file.stat().st_size for file in present.files.values())
    print(f"{name}: {len(present.files)} files, {size / 1e6:.1f} MB, in {_folder(present.files)}")
    return DONE


def _folder(files: dict[str, Path]) -> Path:
    return next(iter(files.values())).parent


class _Bar:
    """A bar with rate and time left on a terminal; elsewhere one line for each thing that is going on."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
            TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._plain = not console.is_terminal
        self._what = ""
        self._task = self._progress.add_task("", total=None, start=False)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, what: str, done: int, total: int) -> None:
        """What is going on, and how many bytes of how many are done; total 0: not known."""
        if what != self._what:
            self._what = what
            if self._plain:
                print(what, file=sys.stderr, flush=True)
            self._progress.reset(self._task, total=None, description=what, start=True)
        self._progress.update(self._task, completed=done, total=total or None)
