"""What recording costs: the same live run with and without a recorder, and the length of its log beside QEMU's.

boot        a guest on the live clock, from its first instruction to its prompt; recorded and unrecorded by turns
compute     our own kernel's primes, which look at nothing: so many instructions in the midst of them
QEMU        qemu-system-i386 -icount shift=auto,rr=record: its log of the same boot, at the prompt
"""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from labkit import guests
from labkit.bench.boot import PROMPT, QEMU, qemu_command, watch
from labkit.bench.figure import Figure, Progress, median, spread
from labkit.guests.fetch import fetched
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Recorder, Source

__all__ = ["measure"]

MEMORY = 128 << 20
PRIMES = b"primes 30000000\n"
WARMED, COMPUTED = 2_000_000, 200_000_000
"""Instructions after which it computes for sure, and of the computation that is measured."""
OVERHEAD, COMPUTE, BOOT = 1.05, 0.5, 2.0
WAIT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class _Run:
    wall: float
    cpu: float
    instructions: int
    log_bytes: int


def measure(guest: str, rounds: int, say: Progress) -> list[Figure]:
    """Overhead and bytes per 1000 instructions. Raises `RuntimeError` when a boot does not come to its prompt."""
    prompt = PROMPT.encode() if guest == "linux" else b"$ "
    plain: list[_Run] = []
    recorded: list[_Run] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "run.rec")
        for turn in range(rounds):
            say(f"boot: round {turn + 1} of {rounds}")
            for found, path in ((plain, None), (recorded, file)) if turn % 2 else ((recorded, file), (plain, None)):
                found.append(_boot(guest, prompt, path))
        say("compute")
        computed = _compute(file)
        figures = _figures(plain, recorded, computed)
        if guest == "linux":
            figures += _qemu(Path(folder), recorded, say)
    return figures


def _machine(guest: str) -> Machine:
    machine = Machine(memory=MEMORY, clock="live")
    machine.load(guests.boot(guest, memory=MEMORY))
    return machine


def _until(machine: Machine, monitor: Monitor, text: bytes) -> None:
    """Stop when the guest prints a text."""
    output = machine.board.serial.output

    def look(data: bytes) -> None:
        if text in bytes(output[-len(data) - len(text) :]):
            monitor.request_stop("text seen")

    machine.board.serial.on_output.append(look)


def _boot(guest: str, prompt: bytes, path: Path | None) -> _Run:
    machine = _machine(guest)
    monitor = Monitor(machine)
    _until(machine, monitor, prompt)
    recorder = Recorder(machine, monitor, path, Source(guest)) if path else None
    wall, cpu = time.perf_counter(), time.process_time()
    stop = monitor.run()
    if recorder is not None:
        recorder.flush()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if recorder is not None:
        recorder.finish(stop)
    if prompt not in bytes(machine.board.serial.output):
        raise RuntimeError(f"{guest} did not come to its prompt: {stop.message or stop.reason}")
    return _Run(wall, cpu, machine.processor.clock, recorder.log_bytes if recorder else 0)


def _compute(path: Path) -> _Run:
    """Raises `RuntimeError` where the guest was done computing before the measurement was."""
    machine = _machine("teaching")
    monitor = Monitor(machine)
    _until(machine, monitor, b"$ ")
    with Recorder(machine, monitor, path, Source("teaching")) as recorder:
        recorder.run()
        recorder.pace.type(PRIMES)
        serial = machine.board.serial
        look = serial.on_output.pop()  # what comes now is the echo of what was typed, behind the first prompt
        recorder.run(WARMED)
        serial.on_output.append(look)
        recorder.flush()
        bytes_before, clock = recorder.log_bytes, machine.processor.clock
        if not serial.output.endswith(b"$ "):
            recorder.run(COMPUTED)
        recorder.flush()
        ran = machine.processor.clock - clock
        if ran < COMPUTED:
            raise RuntimeError(f"the guest came back to its prompt after {ran} of {COMPUTED} instructions")
        return _Run(0.0, 0.0, ran, recorder.log_bytes - bytes_before)


def _figures(plain: list[_Run], recorded: list[_Run], computed: _Run) -> list[Figure]:
    figures = []
    for name, of in (("overhead", "wall"), ("overhead_cpu", "cpu")):
        ratios = [getattr(r, of) / getattr(p, of) for r, p in zip(recorded, plain, strict=True)]
        method = "recorded / unrecorded, live boot to its prompt; median of the rounds"
        method = f"{'wall' if of == 'wall' else 'CPU'} time {method}"
        figures.append(
            Figure(f"record.{name}", median(ratios), "x", method, spread(ratios), OVERHEAD, at_least=False)
        )
    rates = [1000 * run.log_bytes / run.instructions for run in recorded]
    return [
        *figures,
        Figure(
            "record.boot_log", median(rates), "bytes/1000 insn", "all log chunks / instructions of the boot",
            spread(rates), BOOT, at_least=False,
        ),
        Figure("record.boot_bytes", median([run.log_bytes for run in recorded]), "bytes", "log of one boot"),
        Figure(
            "record.compute_log", 1000 * computed.log_bytes / computed.instructions, "bytes/1000 insn",
            f"all log chunks / instructions of {COMPUTED} instructions of primes", goal=COMPUTE, at_least=False,
        ),
    ]  # fmt: skip


def _qemu(folder: Path, recorded: list[_Run], say: Progress) -> list[Figure]:
    parts = fetched("linux")
    if parts is None or shutil.which(QEMU) is None:
        say(f"{QEMU} is not installed: its log is left out")
        return []
    say("beside: QEMU's record of the same boot")
    image = guests.boot("linux", memory=MEMORY)
    given = {placement.what: placement.data for placement in image.placements}
    initrd, log = folder / "initrd", folder / "qemu.log"
    initrd.write_bytes(given["the initrd"])
    words = given["the command line"].rstrip(b"\0").decode()
    command = qemu_command(parts.files["vmlinuz"], initrd, words)
    ran = watch([*command, "-net", "none", "-icount", f"shift=auto,rr=record,rrfile={log}"], PROMPT)
    size = log.stat().st_size
    ours = median([run.log_bytes for run in recorded])
    method = "-icount shift=auto,rr=record, the same kernel, initrd and command line, at the prompt"
    return [
        Figure("record.qemu_bytes", float(size), "bytes", f"length of its log; {method}"),
        Figure("record.qemu_wall", ran.wall, "s", method),
        Figure("record.log_ratio", ours / max(1, size), "x", "log of labkit / QEMU's"),
    ]
