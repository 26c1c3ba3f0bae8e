"""A program of its own: runs a command until it ends, or has printed a text, and says what it took.

    python -I -S stopwatch.py TEXT COMMAND ...

TEXT empty: until it ends. Prints one JSON object: wall, user and system seconds, peak memory in bytes, exit
status (None if it was ended here), whether TEXT was seen. It is a process of its own, and a small one,
because a child's peak memory counts what its parent had in memory when it was started.
"""

import json
import os
import subprocess
import sys
import time

__all__ = ["watch"]

KILOBYTE = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss


def watch(text: bytes, command: list[str]) -> dict[str, object]:
    """Run `command`; ended when it has printed `text`."""
    start = time.perf_counter()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None  # noqa: S101
    seen, tail = False, b""
    while part := os.read(child.stdout.fileno(), 1 << 16):
        tail = tail[-len(text) :] + part if text else b""
        if text and text in tail:
            seen = True
            break
    wall = time.perf_counter() - start
    if seen:
        child.kill()
    complaint = b"" if seen or child.stderr is None else child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    if not text:
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "wall": wall, "user": used.ru_utime, "system": used.ru_stime, "peak": used.ru_maxrss * KILOBYTE,
        "status": None if seen else child.returncode, "seen": seen,
        "complaint": complaint.decode("utf-8", "replace")[-500:],
    }  # fmt: skip


if __name__ == "__main__":
    sys.stdout.write(json.dumps(watch(os.fsencode(sys.argv[1]), sys.argv[2:])))
