"""The first start on a machine: compiling takes half a minute or more, and nobody should wait in silence."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.cli.errors import complain

__all__ = ["announce", "announcing_all", "prepare"]


def announce() -> None:
    """From now on, one line on stderr when a part of what runs guests has to be compiled first."""
    from labkit.vm.machine.probes import compiled

    compiled.before_making = _tell


def prepare() -> None:
    """Compile now what every guest needs, where that is not done yet, and not silently under somebody's first cell."""
    from labkit.vm.machine.probes import compiled

    announce()
    compiled.load()


@contextmanager
def announcing_all() -> Iterator[None]:
    """While all parts are made, several at once: `3 of 12` and what is left, in one line that changes at a terminal."""
    from labkit.vm.machine.probes import compiled

    told = _Parts(len(compiled.missing()))
    compiled.before_making = told.begin
    try:
        yield
    finally:
        told.end()
        announce()


def _tell(name: str) -> None:
    complain(f"compiling what runs guests ({name}), once on this machine: half a minute or so")


class _Parts:
    """How many parts have been begun, out of how many."""

    def __init__(self, count: int) -> None:
        self._count, self._begun, self._start = count, 0, time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()

    def begin(self, name: str) -> None:
        with self._lock:
            self._begun += 1
            at_once = min(os.cpu_count() or 1, self._count)
            what = "compiling what runs guests, once on this machine"
            if self._terminal:
                told = f"{what}: {self._begun} of {self._count} ({name}){self._left(at_once)}"
                print(f"\r\x1b[Klabkit: {told}", end="", file=sys.stderr, flush=True)
            elif self._begun == 1:
                complain(f"{what}: {self._count} parts, half a minute or so each, {at_once} at once")

    def _left(self, at_once: int) -> str:
        done = self._begun - at_once
        if done < 1:
            return ""
        seconds = (time.monotonic() - self._start) / done * (self._count - done)
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"

    def end(self) -> None:
        if self._terminal and self._begun:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
