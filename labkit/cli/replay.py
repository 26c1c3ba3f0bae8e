"""`labkit replay`: a recording on a second machine, its console on stdout."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cli.console import Stream
from labkit.cli.errors import DONE, INTERRUPTED, OTHER_END, PIPE_CLOSED, CommandError, complain
from labkit.cli.first_start import announce
from labkit.cli.info import entries_by_kind, in_words
from labkit.cli.interrupt import Interrupts
from labkit.cli.progress import Bar
from labkit.cli.request import Request
from labkit.cli.run import PhysicalGround, perform

if TYPE_CHECKING:
    from labkit.vm.replay import Replayer

__all__ = ["opened", "replay"]


def opened(path: Path) -> "Replayer":
    """The recording in a machine. Raises CommandError."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from labkit.vm.replay import Replayer

    try:
        announce()
        return Replayer.open(path)
    except (OSError, ValueError) as error:
        raise CommandError(_line(path, error)) from error


def _line(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None)
    return f"{path} cannot be read: {reason}" if reason else str(error)


def replay(path: Path, *, verify: bool, until: int | None, live: Request | None, as_json: bool) -> int:
    """Replay a recording, or a part; then compare, or go on live. Returns the exit code."""
    replayer = opened(path)
    damage, goal = replayer.recording.damage, replayer.end if until is None else until
    if goal > replayer.end:
        raise CommandError(f"--until {goal}: the recording ends at instruction {replayer.end}")
    out = None if as_json else sys.stdout.buffer
    monitor, serial = replayer.monitor, replayer.machine.board.serial
    stream = Stream(serial, out, lambda: monitor.request_stop("the reader left")) if out else None
    start = time.perf_counter()
    with Interrupts(lambda: monitor.request_stop("interrupted")) as interrupts, Bar("replay", goal) as bar:
        stop = replayer.run_to(goal, bar.show, without_input=live is not None)
    seconds = time.perf_counter() - start
    if stream and stream.broken:
        return PIPE_CLOSED
    whole = replayer.clock == goal and replayer.divergence is None
    comparable = verify and whole and goal == replayer.end and replayer.recording.end is not None
    differences = [str(found) for found in replayer.verify()] if comparable else []
    if as_json and live is None:
        print(json.dumps({
            "file": str(path), "reason": str(stop.reason), "message": stop.message,
            "instructions": replayer.clock, "seconds": round(seconds, 6),
            "mips": round(replayer.clock / seconds / 1e6, 3) if seconds else 0,
            "recorded_instructions": replayer.end, "damage": damage, "divergence": _divergence(replayer),
            "verified": comparable and not differences,
            "matched": _matched(replayer) if comparable and not differences else None,
            "differences": differences,
            "ram_sha256": replayer.machine.ram_sha256(),
            "registers_sha256": replayer.machine.registers.sha256(),
        }))  # fmt: skip
    elif live is None:
        _say(replayer, stop.message, seconds)
        if comparable and not differences:
            _say_matched(replayer)
    for found in filter(None, (f"{path}: {damage}" if damage else "", *differences)):
        complain(found)
    if interrupts.caught():
        return INTERRUPTED
    if not whole or differences or (verify and not comparable):
        return OTHER_END
    return DONE if live is None else _continue(replayer, live, as_json=as_json)


def _divergence(replayer: "Replayer") -> dict[str, str | int] | None:
    found = replayer.divergence
    if found is None:
        return None
    return {"instruction": found.point.instructions, "branches": found.point.branches, "eip": found.point.eip,
            "expected": found.expected, "found": found.found}  # fmt: skip


def _matched(replayer: "Replayer") -> dict[str, object]:
    """What has been compared with the recording, and was the same."""
    registers = replayer.machine.registers.sha256()
    return {"entries": entries_by_kind(replayer.recording), "registers_sha256": registers,
            "ram_sha256": replayer.machine.ram_sha256()}  # fmt: skip


def _say_matched(replayer: "Replayer") -> None:
    registers, ram = replayer.machine.registers.sha256(), replayer.machine.ram_sha256()
    complain(
        f"verified: as recorded went {in_words(entries_by_kind(replayer.recording))};\n"
        f"the end is the recorded one: registers {registers[:16]}, RAM {ram[:16]} (sha256)"
    )


def _say(replayer: "Replayer", message: str, seconds: float) -> None:
    console = bytes(replayer.machine.board.serial.output)
    if console and not console.endswith(b"\n"):
        print(flush=True)
    mips = replayer.clock / seconds / 1e6 if seconds else 0
    count = f"{replayer.clock:,}".replace(",", " ")
    complain(f"{message}: {count} instructions in {seconds:.2f} s, {mips:,.0f} MIPS")


def _continue(replayer: "Replayer", request: Request, *, as_json: bool) -> int:
    """The machine goes on from here on the host's clock."""
    replayer.go_live()
    complain(f"live from instruction {replayer.clock} on")
    out = None if as_json else sys.stdout.buffer
    replayer.machine.board.serial.on_output.clear()  # the replay's own stream
    ground = PhysicalGround(replayer.machine, replayer.monitor)
    outcome = perform(request, ground, screen=False, out=out)
    if as_json:
        print(json.dumps(outcome.document(), ensure_ascii=False))
    else:
        complain(outcome.closing_line())
    if shortfall := outcome.shortfall():
        complain(shortfall)
    return outcome.exit_code()
