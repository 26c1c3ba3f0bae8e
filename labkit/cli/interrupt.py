"""Ctrl-C during a run: the first asks the guest to stop at an exact point, the second ends the process."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType, TracebackType
from typing import Self

from labkit.cli.errors import INTERRUPTED

__all__ = ["PATIENCE", "Interrupts"]

PATIENCE = 10.0
"""Seconds that a run has to stop by itself after the first signal."""


class Interrupts:
    """While entered, SIGINT and SIGTERM call `ask` once; the next one, or PATIENCE, ends the process at once.

    A guest that loops without an exit keeps the main thread inside the processor, where Python runs no signal
    handler. The interpreter's wake-up socket is written by the C handler at once, so a thread that waits on
    it is the one that acts; `ask` must be safe to call from there. Outside the main thread nothing is caught.
    """

    def __init__(self, ask: Callable[[], None]) -> None:
        self.before_end: list[Callable[[], object]] = []
        """Called before the process is ended: to flush a stream, to restore the terminal."""
        self._count = 0
        self._ask = ask
        self._restore: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        old_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        caught = [signal.SIGINT, signal.SIGTERM]
        for number in caught:
            self._restore.append(partial(signal.signal, number, signal.signal(number, self._nothing)))
        watcher = threading.Thread(target=self._watch, args=(reader, set(caught)), daemon=True)
        watcher.start()
        self._restore += [lambda: signal.set_wakeup_fd(old_fd), writer.close, watcher.join, reader.close]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._restore:
            self._restore.pop(0)()

    def caught(self) -> bool:
        """Whether a signal has come."""
        return self._count > 0

    def _nothing(self, number: int, frame: FrameType | None) -> None:
        """Handles the signal for Python; the watching thread has seen it already."""

    def _watch(self, reader: socket.socket, caught: set[int]) -> None:
        with contextlib.suppress(TimeoutError):
            while numbers := reader.recv(16):
                for number in numbers:
                    if number in caught:
                        self._signal()
                        reader.settimeout(PATIENCE)
            return
        self._end()

    def _signal(self) -> None:
        self._count += 1
        if self._count == 1:
            self._ask()
        else:
            self._end()

    def _end(self) -> None:
        for prepare in self.before_end:
            with contextlib.suppress(Exception):
                prepare()
        os._exit(INTERRUPTED)
