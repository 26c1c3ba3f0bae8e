"""`labkit record`: a live run into a recording, its console on stdout."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from labkit.cli.errors import CommandError, complain
from labkit.cli.first_start import announce
from labkit.cli.request import Request
from labkit.cli.run import PhysicalGround, perform, resolved

__all__ = ["record"]


class _Console:
    """The serial console of a machine on the live clock: what is typed arrives at an exact point."""

    def __init__(self, machine: Any) -> None:
        self.on_output = machine.board.serial.on_output
        self.type = machine.pace.type


class _RecordingGround(PhysicalGround):
    def __init__(self, recorder: Any) -> None:
        super().__init__(recorder.machine, recorder.monitor)
        self.serial = _Console(recorder.machine)
        self.press = recorder.pace.press
        self._recorder = recorder
        self.end: Any = None

    def run(self, instructions: int | None) -> tuple[str, str, int]:
        """Run until something stops it."""
        self.end = stop = self._recorder.run(instructions)
        return stop.reason.value, stop.message, stop.point.instructions


def record(request: Request, output: Path, *, as_json: bool) -> int:
    """Record what was asked for; returns the exit code. Raises CommandError and GuestError."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if request.clock != "live":
        raise CommandError("a run on the virtual clock repeats itself without a recording; leave --clock out")
    request, image = resolved(request)
    from labkit.vm.machine import Machine
    from labkit.vm.monitor import Monitor
    from labkit.vm.replay import Recorder, Source

    source = Source(
        request.guest or "", str(request.kernel or ""), str(request.initrd or ""), request.append, request.at,
        request.firmware_path,
    )  # fmt: skip
    try:
        announce()
        machine = Machine(memory=request.memory, clock="live", disks=request.disks)
        machine.load(image)
        recorder = Recorder(machine, Monitor(machine), output, source, request.disks)
    except (OSError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
    ground = _RecordingGround(recorder)
    with recorder:
        outcome = perform(request, ground, screen=False, out=None if as_json else sys.stdout.buffer)
        recorder.finish(ground.end, outcome.reason)
    size, per = output.stat().st_size, 1000 * recorder.log_bytes / max(outcome.instructions, 1)
    if as_json:
        more = {"file": str(output), "bytes": size, "log_bytes": recorder.log_bytes,
                "log_bytes_per_1000_instructions": round(per, 4)}  # fmt: skip
        print(json.dumps(outcome.document() | more, ensure_ascii=False))
    else:
        if outcome.console and not outcome.console.endswith(b"\n"):
            print(flush=True)
        complain(outcome.closing_line())
        complain(f"{output}: {size:,} bytes, {per:.3f} of log per 1000 instructions".replace(",", " ", 1))
    shortfall = outcome.shortfall()
    if shortfall and outcome.reason != "interrupted":
        complain(shortfall)
    return outcome.exit_code()
