"""Ctrl-C at a terminal: a recording and a trace are readable up to the last whole chunk, and that is said."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from labkit.vm.replay import Replayer

pty = pytest.importorskip("pty")
ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A command at a terminal of its own, whose Ctrl-C reaches it as a person's does."""

    def __init__(self, *words: str) -> None:
        self._near, far = pty.openpty()
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "200"}
        opened = 'exec "$@" <"$0" >"$0" 2>&1'  # by the first of a session: it is its terminal from then on
        self.process = subprocess.Popen(
            ["sh", "-c", opened, os.ttyname(far), sys.executable, "-m", "labkit", *words], env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (the background ignores it)
        )  # fmt: skip
        os.close(far)
        self.shown = b""

    def until(self, ready) -> None:
        started = time.monotonic()
        while not ready():
            assert self.process.poll() is None, self.shown[-2000:]
            assert time.monotonic() - started < 120, self.shown[-2000:]
            self._read(0.05)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._near], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._near, 65536)
        except OSError:
            return False
        self.shown += data
        return bool(data)

    def interrupt(self) -> int:
        os.write(self._near, b"\x03")
        started = time.monotonic()
        while self.process.poll() is None and time.monotonic() - started < 60:
            self._read(0.05)
        while self._read(0.1) and self.process.poll() is None:
            pass
        self._read(0.2)
        return self.process.wait(timeout=10)


@pytest.mark.skipif(sys.platform != "linux", reason="a session gets its terminal in another way elsewhere")
def test_a_recording_that_is_interrupted(tmp_path: Path):
    file = tmp_path / "run.rec"
    terminal = Terminal("record", "teaching", "--memory", "8M", "-o", str(file), "--input", r"primes &\n",
                        "--input-after", "$ ", "--for", "1e15")  # fmt: skip
    terminal.until(lambda: file.exists() and file.stat().st_size > 25_000)
    assert terminal.interrupt() == 130, terminal.shown[-2000:]
    assert b"run.rec: " in terminal.shown
    replayer = Replayer.open(str(file))
    assert replayer.recording.end is not None
    assert replayer.recording.end.reason == "interrupted"
    replayer.run()
    assert replayer.verify() == []


@pytest.mark.skipif(sys.platform != "linux", reason="a session gets its terminal in another way elsewhere")
def test_a_trace_that_is_interrupted(tmp_path: Path):
    out = tmp_path / "run.parquet"
    terminal = Terminal("trace", "teaching", "--memory", "8M", "-o", str(out), "--for", "1e15")
    terminal.until((out / "runs/00001.parquet").exists)
    assert terminal.interrupt() == 130, terminal.shown[-2000:]
    assert b"is a whole trace of the" in terminal.shown
    told = json.loads((out / "trace.json").read_text())
    assert told["interrupted"]
    runs = pq.read_table(out / "runs").to_pandas().merge(pq.read_table(out / "codes").to_pandas(), on=["part", "code"])
    assert told["rows"]["runs"] == len(runs)
    assert runs["count"].sum() % (1 << 23) == 0
    assert not list(out.rglob("*.unfinished"))
