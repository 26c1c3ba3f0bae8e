"""The recorder: writes down what reaches a machine on the live clock from outside, while it runs.

The machine's pace lets time and input in at a few exact points only (machine/pace.py); each becomes an entry.
Interrupts and reads of ports follow from those, and are written down to be compared on replay.
"""

import os
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from labkit.vm.machine import Machine
from labkit.vm.machine.pace import Live
from labkit.vm.monitor import Monitor, Stop
from labkit.vm.replay import recipe
from labkit.vm.replay.entries import Anchor, Coder, Entry, Given, Vector, coded_read
from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.recording import MAGIC, End, Header, chunk

__all__ = ["Recorder", "fingerprint"]

FLUSH_SECONDS = 0.25
FLUSH_ENTRIES = 8192
DISK_DATA = (0x1F0, 0x170, 0x310)
"""Ports whose reads give what disks and the network card's memory hold: not written down."""


def fingerprint(machine: Machine) -> int:
    """CRC-32 of the general registers, EIP and EFLAGS."""
    return zlib.crc32(machine.registers.pack_general())


class Recorder:
    """Records a machine that has been loaded and has not run yet, to a file.

    `source` says where its guest came from. A context manager: leaving it writes what is left. Raises
    `TimelineError` for a machine that is not on the live clock, or has run; `OSError` for the file.
    """

    def __init__(
        self, machine: Machine, monitor: Monitor, path: str | os.PathLike[str], source: recipe.Source,
        disks: Sequence[Path] = (),
    ) -> None:  # fmt: skip
        if not isinstance(machine.pace, Live) or machine.image is None:
            raise TimelineError("record needs a machine with a guest and on the live clock: clock='live'")
        if machine.processor.clock:
            raise TimelineError("this machine has run already: record it from its first instruction on")
        self.machine, self.monitor, self.pace = machine, monitor, machine.pace
        self._entries: list[Entry | bytes] = []
        self._coder = Coder()
        self._flushed = time.monotonic()
        self._file = Path(path).open("wb")  # noqa: SIM115 (closed by `close`)
        self.log_bytes = 0
        """Bytes of the log so far."""
        self._begin(recipe.header(machine, source, disks), disks)
        self._attach()

    def _begin(self, header: Header, disks: Sequence[Path]) -> None:
        file, image = self._file, self.machine.image
        file.write(MAGIC + chunk(b"H", msgspec.msgpack.encode(header)))
        if image is not None and recipe.is_small(image):
            file.write(chunk(b"I", msgspec.msgpack.encode(recipe.embedded(image))))
        for path, described in zip(disks, header.disks, strict=True):
            if described.embedded:
                file.write(chunk(b"D", path.read_bytes()))
        file.flush()

    def _attach(self) -> None:
        processor, append = self.machine.processor, self._entries.append
        read = processor.read_port

        def read_port(port: int, size: int) -> int:
            value = read(port, size)
            if port not in DISK_DATA:
                append(coded_read(port, size, value))
            return value

        processor.read_port = read_port
        self.monitor.on_interrupt = self._interrupt
        self.pace.on_anchor, self.pace.on_input = self._anchor, self._input

    # --- what is written down

    def _anchor(self) -> None:
        clock, point = self.machine.clock, self.machine.point
        self._entries.append(
            Anchor(point.instructions, clock.ticks, clock.rate, point.branches, point.eip,
                   fingerprint(self.machine))
        )  # fmt: skip
        if len(self._entries) > FLUSH_ENTRIES or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def _input(self, kind: str, data: bytes) -> None:
        self._entries.append(Given(self.machine.processor.clock, kind, data))

    def _interrupt(self, vector: int) -> None:
        point = self.machine.point
        self._entries.append(Vector(point.instructions, vector, point.branches, point.eip))

    def flush(self) -> None:
        """Write a chunk with all entries so far."""
        if self._entries:
            written = chunk(b"L", self._coder.code(self._entries))
            self._file.write(written)
            self._file.flush()
            self.log_bytes += len(written)
            self._entries.clear()
        self._flushed = time.monotonic()

    # --- running

    def run(self, instructions: int | None = None) -> Stop:
        """As `Monitor.run`."""
        return self.monitor.run(instructions)

    def finish(self, stop: Stop, reason: str = "") -> End:
        """Write the end, with fingerprints of the machine as it stands, and close; `reason` if not the stop's."""
        self.flush()
        machine, point = self.machine, self.machine.point
        end = End(
            point.instructions, point.branches, point.eip, machine.registers.sha256(), machine.ram_sha256(),
            reason or str(stop.reason), stop.message,
        )  # fmt: skip
        self._file.write(chunk(b"E", msgspec.msgpack.encode(end)))
        self.close()
        return end

    def close(self) -> None:
        """Write what is left, without an end."""
        if not self._file.closed:
            self.flush()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
