"""Ctrl-C while the main thread is inside something that gives Python no turn."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

STUCK = """
import sys, time
sys.path.insert(0, {root!r})
import labkit.cli.interrupt as interrupt
interrupt.PATIENCE = {patience}
with interrupt.Interrupts(lambda: print("asked", flush=True)) as interrupts:
    interrupts.before_end += [lambda: 1 / 0, lambda: print("flushed", flush=True)]
    print("ready", flush=True)
    while True:
        time.sleep(1)
"""


@contextmanager
def stuck(patience: float) -> Iterator[subprocess.Popen[str]]:
    program = STUCK.format(root=str(ROOT), patience=patience)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_the_process(number: int):
    with stuck(patience=60) as process:
        process.send_signal(number)
        assert process.stdout.readline() == "asked\n"
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(timeout=10) == 130
        assert process.stdout.read() == "flushed\n"


def test_so_does_a_stop_that_does_not_come():
    with stuck(patience=0.5) as process:
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 130
        assert time.monotonic() - started > 0.4
