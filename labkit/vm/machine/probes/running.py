"""Engines that run now, so that none still does when the interpreter ends.

At its end Python closes every engine that is left and gives the guests' memory back. A thread that is inside an
engine then (a job of a notebook, a worker's task) would go on in memory that is no more: the process would crash.
So before that all engines are stopped, and none starts again.
"""

import atexit
import time
from functools import cache
from typing import Any

from unicorn.unicorn_py3.unicorn import uclib

__all__ = ["engines", "refuse_at_the_end", "watch_end"]

PATIENCE = 5.0
"""Seconds; a hook in Python may take its time."""
AGAIN = 0.001  # seconds; a request to stop that comes before the engine has begun is lost, so it is repeated

engines: list[Any] = []
"""Handles of the engines that run; who starts one is in here meanwhile."""
_ended = False


def refuse_at_the_end() -> None:
    """Raises `SystemExit`, which ends a thread in silence, once the interpreter ends."""
    if _ended:
        raise SystemExit


@cache
def watch_end() -> None:
    """Call this after an engine was made: what is registered last is called first, before engines are closed."""
    atexit.register(_end)


def _end() -> None:
    global _ended
    _ended, until = True, time.monotonic() + PATIENCE
    while engines and time.monotonic() < until:
        for engine in tuple(engines):
            uclib.uc_emu_stop(engine)
        time.sleep(AGAIN)
