"""`labkit fetch`: obtain a guest, with a progress bar."""

import sys
from typing import TYPE_CHECKING, Self

from labkit.cli.errors import DONE

if TYPE_CHECKING:
    from labkit.guests.fetch import Fetched

__all__ = ["fetch", "obtain"]


def fetch(name: str) -> int:
    """Obtain the guest unless it is there; raises GuestError where that cannot work."""
    present = obtain(name)
    for package in present.packages:
        print(f"{name}: {package.name} {package.version}")
    size = sum(file.stat().st_size for file in present.files.values())
    folder = next(iter(present.files.values())).parent
    print(f"{name}: {len(present.files)} file(s), {size / 1e6:.1f} MB, in {folder}")
    return DONE


def obtain(name: str) -> "Fetched":
    """The guest's files; where they are not there yet, fetched with a bar on stderr. Raises GuestError."""
    from labkit.guests.fetch import fetch as obtain_files
    from labkit.guests.fetch import fetched

    if present := fetched(name):
        return present
    with _Bar() as bar:
        return obtain_files(name, bar.show)


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
