"""A live session: a guest on the host's clock with somebody at its console, run for itself or recorded."""

import os
from collections.abc import Sequence

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.pace import Live
from labkit.vm.monitor import Monitor, Stop
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.recipe import Source
from labkit.vm.replay.recorder import Recorder
from labkit.vm.replay.recording import Recording

__all__ = ["Session", "record"]


class Session:
    """A guest on the live clock; one of `typed` goes to its console at each prompt, and it ends at the one after.

    `prompt` is the guest's own if none is given. It can be traced while it runs, as every run can (it is a
    `trace_source.Source`), and then shows what that does to its time. Raises `GuestError`, and `TimelineError`
    for a guest without a prompt.
    """

    def __init__(
        self, guest: str, typed: Sequence[bytes] = (), *, memory: int = 128 << 20, prompt: str = ""
    ) -> None:
        self.guest = guest
        self._prompt = (prompt or guests.catalog.guest(guest).prompt).encode()
        if not self._prompt:
            raise TimelineError(f"{guest} has no prompt at which somebody could type: say what to wait for")
        self.machine = Machine(memory=memory, clock="live")
        self.machine.load(guests.boot(guest, memory=memory))
        self.monitor = Monitor(self.machine)
        self.stop: Stop | None = None
        """Why it has ended; None while it has not."""
        self._left, self._seen, self._over = list(typed), bytearray(), False
        self.machine.board.serial.on_output.append(self._printed)

    @property
    def console(self) -> str:
        """All that the guest has printed."""
        return bytes(self.machine.board.serial.output).decode("utf-8", "replace")

    def _printed(self, data: bytes) -> None:
        self._seen += data
        if self._prompt not in self._seen:
            del self._seen[: -len(self._prompt)]
            return
        self._seen.clear()
        pace = self.machine.pace
        if self._left and isinstance(pace, Live):
            pace.type(self._left.pop(0))
        else:
            self._over = True
            self.monitor.request_stop("the prompt after the last of what was typed")

    def run(self) -> Stop:
        """Run to its end."""
        self.stop = self.monitor.run()
        return self.stop

    def goto(self, clock: int) -> None:
        """Nothing: a live machine stands where it stands."""

    def forward(self, clock: int) -> None:
        """Run on to a later clock, or to the end."""
        if not self._over:
            self.stop = self.monitor.run(clock - self.machine.processor.clock)


def record(
    guest: str, path: str | os.PathLike[str], typed: Sequence[bytes] = (), *, memory: int = 128 << 20,
    prompt: str = "",
) -> Recording:  # fmt: skip
    """Record a live session to a file; see `Session`. Raises OSError for the file, too."""
    session = Session(guest, typed, memory=memory, prompt=prompt)
    with Recorder(session.machine, session.monitor, path, Source(guest)) as recorder:
        recorder.finish(session.run())
    return Recording.read(path)
