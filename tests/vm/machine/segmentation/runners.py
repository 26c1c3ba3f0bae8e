"""Runs an image of cases on Bochs and on labkit; what each case came to."""

import contextlib
import os
import pty
import signal
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

from labkit.vm.machine.machine import Machine
from labkit.vm.monitor.monitor import Monitor
from labkit.vm.monitor.stop import StopReason
from tests.vm.machine.segmentation.image import BASE, MEMORY, RESULT_SIZE, RESULTS, Case, build, rom

__all__ = ["Result", "on_bochs", "on_labkit"]

CONFIGURATION = """\
config_interface: textconfig
display_library: term
memory: guest={size}, host={size}
romimage: file={folder}/rom.bin, address=0xffe00000
parport1: enabled=1, file={folder}/results.bin
cpu: model=core2_penryn_t9600, count=1, ips=100000000, reset_on_triple_fault=0
clock: sync=none
log: {folder}/log.txt
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""
SECONDS = 600


class Result(NamedTuple):
    """What a case came to: vector 3 is its end; registers are those at the exception."""

    vector: int
    error: int
    eip: int
    eax: int
    esp: int
    ecx: int
    esi: int
    edi: int


def _results(data: bytes) -> list[Result]:
    return [Result(*words) for words in struct.iter_unpack("<8I", data)]


def on_bochs(cases: list[Case], folder: Path) -> list[Result]:
    """Run them on Bochs, in a folder for its files. Raises `RuntimeError` when it does not come to the end."""
    (folder / "rom.bin").write_bytes(rom(build(cases, bochs=True)))
    (folder / "bochsrc").write_text(CONFIGURATION.format(folder=folder, size=MEMORY >> 20))
    (folder / "commands").write_text("continue\nquit\n")  # for a Bochs that begins in its debugger
    said = _in_a_terminal(["bochs", "-q", "-f", str(folder / "bochsrc"), "-rc", str(folder / "commands")])
    printed, log = folder / "results.bin", folder / "log.txt"
    data = printed.read_bytes() if printed.exists() else b""
    if len(data) != len(cases) * RESULT_SIZE:
        told = log.read_text(errors="replace") if log.exists() else said.decode(errors="replace")
        raise RuntimeError(f"Bochs gave {len(data)} of {len(cases) * RESULT_SIZE} bytes: {told[-2000:]}")
    return _results(data)


def _in_a_terminal(command: list[str]) -> bytes:
    """Run a command that wants a screen; what it wrote there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "vt100", "LINES": "25", "COLUMNS": "80"}
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = b""
    try:
        with contextlib.suppress(OSError):  # the terminal is gone with its last user
            while part := os.read(ours, 4096):
                said += part
        child.wait(SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # Debian's bochs is a script that starts another
        child.wait()
        os.close(ours)
    return said


def on_labkit(cases: list[Case], *, segmentation: bool = True) -> list[Result]:
    """Run them on labkit. Raises `RuntimeError` when it does not come to the end."""
    machine = Machine(MEMORY, segmentation=segmentation)
    machine.processor.write_physical(BASE, build(cases, bochs=False))
    machine.processor.registers.set_flat(8, 0x10)
    machine.processor.registers.eip = BASE
    monitor = Monitor(machine)
    stop = monitor.run()
    data = machine.memory.read(RESULTS, len(cases) * RESULT_SIZE)
    if stop.reason is not StopReason.HALTED:
        raise RuntimeError(f"labkit: {stop.message}")
    machine.processor.close()
    return _results(data)
