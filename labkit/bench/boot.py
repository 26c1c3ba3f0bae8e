"""How long a Linux boot takes beside QEMU's translator: same kernel, initrd, command line, memory, prompt.

    labkit   the whole process `labkit run linux --until-text "/ # "`, from its start to its end
    QEMU     the process qemu-system-i386 -accel tcg, from its start until the prompt has been printed

QEMU always starts at its own firmware and lets the kernel unpack itself; labkit does the latter with
`firmware_path`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit import guests
from labkit.bench import stopwatch
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.guests.errors import GuestError
from labkit.guests.fetch import fetched

__all__ = ["QEMU", "Run", "labkit_command", "measure", "qemu_command", "watch"]

QEMU = "qemu-system-i386"
PROMPT = "/ # "
MEMORY = 128 << 20
GOAL, GOAL_FIRMWARE = 1.0, 2.0
GOAL_PEAK_MB = 450.0
WALL = "wall time of the whole process to the prompt; median of the rounds"
CPU = "user and system time of the process; median of the rounds"
PEAK = "greatest resident memory of the process (ru_maxrss); greatest of the rounds"


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took: seconds, and bytes of memory at its peak."""

    wall: float
    cpu: float
    peak: int


def watch(command: Sequence[str], until: str = "") -> Run:
    """Run a command to its end, or until it has printed a text. Raises `RuntimeError` when it fails."""
    script = stopwatch.__file__
    watched = [sys.executable, "-I", "-S", script, until, *command]
    out = subprocess.run(watched, stdout=subprocess.PIPE, check=True)
    told = json.loads(out.stdout)
    if told["status"] if not until else not told["seen"]:
        raise RuntimeError(f"{command[0]} ended with status {told['status']}: {told['complaint'].strip()}")
    return Run(told["wall"], told["user"] + told["system"], told["peak"])


def labkit_command(*, firmware_path: bool) -> list[str]:
    """What a user would type."""
    more = ["--firmware-path"] if firmware_path else []
    return [sys.executable, "-m", "labkit", "run", "linux", "--until-text", PROMPT, *more]


def qemu_command(kernel: Path, initrd: Path, words: str) -> list[str]:
    """The same boot on QEMU."""
    return [
        QEMU, "-accel", "tcg", "-m", f"{MEMORY >> 20}M", "-kernel", str(kernel), "-initrd", str(initrd),
        "-append", words, "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot",
    ]  # fmt: skip


def measure(rounds: int, say: Progress, *, firmware_path: bool = False) -> list[Figure]:
    """Times, ratio and peak memory of both; of labkit alone where QEMU is not installed.

    Raises GuestError when Linux is not fetched, `RuntimeError` when a boot fails.
    """
    parts = fetched("linux")
    if parts is None:
        raise GuestError("linux is not fetched yet; write: labkit fetch linux")
    image = guests.boot("linux", memory=MEMORY, firmware_path=firmware_path)
    given = {placement.what: placement.data for placement in image.placements}
    beside = shutil.which(QEMU) is not None
    if not beside:
        say(f"{QEMU} is not installed: labkit is measured alone (Debian: apt-get install qemu-system-x86)")
    ours: list[Run] = []
    theirs: list[Run] = []
    with tempfile.TemporaryDirectory() as folder:
        initrd = Path(folder, "initrd")
        initrd.write_bytes(given["the initrd"])
        words = given["the command line"].rstrip(b"\0").decode()
        qemu = qemu_command(parts.files["vmlinuz"], initrd, words)
        for turn in range(rounds):
            say(f"boot: round {turn + 1} of {rounds}")
            ours.append(watch(labkit_command(firmware_path=firmware_path)))
            if beside:
                theirs.append(watch(qemu, PROMPT))
    goal = GOAL_FIRMWARE if firmware_path else GOAL
    figures = _of("labkit", ours, GOAL_PEAK_MB)
    return [*figures, *_of("qemu", theirs), *_ratios(ours, theirs, goal)] if theirs else figures


def _of(name: str, runs: Sequence[Run], goal: float | None = None) -> list[Figure]:
    walls, cpus = [run.wall for run in runs], [run.cpu for run in runs]
    peak = max(run.peak for run in runs) / 1e6
    return [
        Figure(f"boot.{name}", median(walls), "s", WALL, spread(walls)),
        Figure(f"boot.{name}_cpu", median(cpus), "s", CPU, spread(cpus)),
        Figure(f"boot.{name}_peak", peak, "MB", PEAK, goal=goal, at_least=False),
    ]


def _ratios(ours: Sequence[Run], theirs: Sequence[Run], goal: float) -> list[Figure]:
    wall = [one.wall / other.wall for one, other in zip(ours, theirs, strict=True)]
    cpu = [one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True)]
    method = "labkit / QEMU in one round; median of the rounds"
    return [
        Figure("boot.ratio", median(wall), "x", f"wall time, {method}", spread(wall), goal, at_least=False),
        Figure("boot.ratio_cpu", median(cpu), "x", f"CPU time, {method}", spread(cpu)),
    ]
