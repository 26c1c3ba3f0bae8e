"""A progress bar over instructions, with rate and time left, on stderr where that is a terminal."""

from types import TracebackType
from typing import Self

__all__ = ["Bar"]


class Bar:
    """A context manager; `show` is told the clock."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task(what, total=max(total, 1), rate="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, clock: int) -> None:
        """The work has come to that clock."""
        speed = self._progress.tasks[0].speed
        rate = f"{speed / 1e6:.0f} MIPS" if speed else ""
        self._progress.update(self._task, completed=clock, rate=rate)
