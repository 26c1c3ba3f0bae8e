"""A person at the terminal, played by a pseudo-terminal."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

pty = pytest.importorskip("pty")

ROOT = Path(__file__).resolve().parent.parent.parent


class Person:
    """Types on a terminal and reads it."""

    def __init__(self, *arguments: str) -> None:
        self._near, far = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labkit", *arguments],
            stdin=far, stdout=far, stderr=far, env=os.environ | {"PYTHONPATH": str(ROOT)}, close_fds=True,
            start_new_session=True,
        )  # fmt: skip
        os.close(far)
        self.seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._near)

    def read_until(self, text: bytes, seconds: float = 60) -> bytes:
        """What has been printed up to and with the text."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            ready = select.select([self._near], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, self.seen
            self.seen += os.read(self._near, 4096)
        found, _, self.seen = self.seen.partition(text)
        return found + text

    def type(self, keys: bytes) -> None:
        os.write(self._near, keys)

    def end(self) -> int:
        os.kill(self._process.pid, signal.SIGINT)
        return self._process.wait(timeout=30)


@pytest.mark.parametrize("clock", ["live", "virtual"])
def test_what_is_typed_goes_to_the_guest_and_comes_back_once(clock: str):
    with Person("run", "teaching", "--clock", clock) as person:
        person.read_until(b"Ctrl-C ends the run")
        person.read_until(b"$ ")
        for number in (6, 7):
            person.type(b"expr %d * 7\n" % number)
            answer = person.read_until(b"$ ")
            assert answer.count(b"expr") == 1, "the guest echoes, the terminal does not"
            assert b"%d\r" % (number * 7) in answer
        assert person.end() == 130
        person.read_until(b"labkit: interrupted (")


def test_an_end_of_the_guest_ends_it():
    with Person("run", "teaching") as person:
        person.read_until(b"$ ")
        person.type(b"halt\n")
        person.read_until(b"switched itself off (")


def test_with_an_end_asked_for_nobody_types():
    with Person("run", "teaching", "--until-text", "$ ") as person:
        assert b"Ctrl-C" not in person.read_until(b"text seen (")
