"""Thread-local storage of real programs: what truncation would cost Linux's busybox, which is linked with glibc.

    labkit trace linux --cpl 3     every instruction of the programs, from the first one to the shell's prompt
    busybox                        which of these have a gs prefix, and with what offset

An episode is a stretch of user code between two visits of the kernel. Offsets that are negative wrap around the
segment of 4 GB; those in a register are taken for such: so glibc reaches its variables, errno among them.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import capstone
from capstone import x86
from elftools.elf.elffile import ELFFile

from labkit.bench.figure import Figure, Progress
from labkit.guests.errors import GuestError
from labkit.guests.fetch import fetched
from labkit.vm.segments.strategies import Strategy, run

__all__ = ["TRACE", "episodes", "figures", "measure"]

TRACE = ("trace", "linux", "--what", "instructions", "--cpl", "3", "--until-text", "/ # ", "--output")
LONGEST = 15
EXECUTABLE = 1


def _accesses(busybox: Path) -> Any:
    """A function: how many accesses by way of a negative offset are in so many instructions at an address."""
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    decoder.detail = True
    with busybox.open("rb") as stream:
        segments = [part for part in ELFFile(stream).iter_segments() if part["p_flags"] & EXECUTABLE]
        parts = [(part["p_vaddr"], part.data()) for part in segments]

    @cache
    def count(linear: int, instructions: int) -> int:
        found = 0
        for start, data in parts:
            at = linear - start
            if not 0 <= at < len(data):
                continue
            for one in decoder.disasm(data[at : at + LONGEST * instructions], linear, instructions):
                for operand in one.operands:
                    if operand.type == x86.X86_OP_MEM and operand.mem.segment == x86.X86_REG_GS:
                        found += operand.mem.disp < 0 or bool(operand.mem.base or operand.mem.index)
        return found

    return count


def _runs(trace: Path) -> Iterator[tuple[int, int, int]]:
    from pyarrow import parquet  # noqa: PLC0415  (an extra)

    for path in sorted((trace / "runs").glob("*.parquet")):
        columns = parquet.read_table(path, columns=["point", "linear", "count"]).to_pydict()
        yield from zip(columns["point"], columns["linear"], columns["count"], strict=True)


def episodes(trace: Path, busybox: Path) -> tuple[int, list[int]]:
    """User instructions, and for each episode its accesses by way of a negative offset."""
    accesses, found = _accesses(busybox), list[int]()
    total, end = 0, -1
    for point, linear, count in _runs(trace):
        if point != end:
            found.append(0)
        found[-1] += accesses(linear, count)
        total, end = total + count, point + count
    return total, found


def figures(total: int, counts: Sequence[int]) -> list[Figure]:
    """What was counted, and what the strategies make of it."""
    method = "instructions of busybox from Linux's first program to the shell's prompt"
    made = [
        Figure("thread_local.instructions", total, "instructions", method),
        Figure("thread_local.episodes", len(counts), "episodes", "stretches of user code between visits of the kernel"),
        Figure("thread_local.using", sum(map(bool, counts)), "episodes", "those with a negative offset from gs"),
        Figure("thread_local.accesses", sum(counts), "accesses", "by a negative offset from gs"),
    ]
    for strategy in Strategy:
        found = run(strategy, [{"gs": count} for count in counts])
        name = strategy.name.lower()
        made.append(Figure(f"thread_local.{name}.faults", found.faults, "faults", str(found)))
        made.append(Figure(f"thread_local.{name}.cost", found.cost, "accesses", "costs as in segments/strategies.py"))
    return made


def measure(trace: Path | None, output: Path | None, say: Progress) -> list[Figure]:
    """Trace a boot, or take a trace of one; the episodes are written to `output` as JSON.

    Raises GuestError when Linux is not fetched, `RuntimeError` when the trace fails.
    """
    parts = fetched("linux")
    if parts is None:
        raise GuestError("linux is not fetched yet; write: labkit fetch linux")
    with tempfile.TemporaryDirectory() as folder:
        if trace is None:
            say("tracing the programs of a Linux boot: a minute or two")
            trace = Path(folder) / "trace"
            command = [sys.executable, "-m", "labkit", *TRACE, str(trace)]
            done = subprocess.run(command, check=False, capture_output=True)
            if done.returncode:
                raise RuntimeError(done.stderr.decode(errors="replace")[-500:])
        total, counts = episodes(trace, parts.files["busybox"])
    if output is not None:
        output.write_text(json.dumps({"instructions": total, "accesses": counts}) + "\n")
    return figures(total, counts)
