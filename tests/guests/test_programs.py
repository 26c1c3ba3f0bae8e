"""Our programs on the bare machine give the right answers on labkit and on QEMU, which we did not write."""

import re
import shutil
import subprocess

import pytest

from labkit.guests import boot
from labkit.guests.build import IMAGES
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, StopReason

MEMORY = 64 << 20
SELF_CHECKING = ("exceptions", "paging32", "pae", "selfmod", "ping")
NETWORK = ("-netdev", "user,id=n", "-device", "ne2k_isa,iobase=0x300,irq=9,netdev=n")
QEMU = shutil.which("qemu-system-i386")


def run(name: str) -> tuple[list[str], Monitor, StopReason]:
    """Lines that the guest prints on labkit."""
    machine = Machine(memory=MEMORY)
    machine.load(boot(name, memory=MEMORY))
    monitor = Monitor(machine)
    stop = monitor.run(instructions=150_000_000)
    return bytes(machine.board.serial.output).decode("latin1").split("\r\n"), monitor, stop.reason


@pytest.mark.parametrize("name", SELF_CHECKING)
def test_every_check_of_the_processor_passes(name: str) -> None:
    lines, _, reason = run(name)
    assert [line for line in lines if "FAIL" in line] == []
    assert re.fullmatch(rf"{name}: PASS, \d+ checks", lines[-2])
    assert reason is StopReason.HALTED


@pytest.mark.skipif(QEMU is None, reason="qemu-system-i386 is not installed: no second opinion")
@pytest.mark.parametrize("name", SELF_CHECKING)
def test_every_check_passes_on_qemu_too(name: str) -> None:
    exit_port = ("-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
    command = [str(QEMU), "-kernel", str(IMAGES[name]), "-serial", "stdio", "-display", "none", *exit_port, *NETWORK]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
    lines = done.stdout.decode("latin1").split("\r\n")
    assert [line for line in lines if "FAIL" in line] == []
    assert re.fullmatch(rf"{name}: PASS, \d+ checks", lines[-2])
    assert done.returncode == 1 << 1 | 1  # the guest wrote 1 to port F4h


def test_hello() -> None:
    lines, monitor, reason = run("hello")
    assert lines == ["hello", ""]
    assert reason is StopReason.HALTED
    assert monitor.exits["port out"] == len("hello\r\n")


def test_triple_shuts_down_at_its_second_instruction_boundary() -> None:
    lines, monitor, reason = run("triple")
    assert (lines, reason) == ([""], StopReason.SHUTDOWN)
    assert monitor.machine.processor.clock == 2  # MOV, LIDT; the INT3 never ends


@pytest.mark.parametrize("name", ["bounce", "compute", "stores", "calls"])
def test_a_measured_loop_retires_as_many_instructions_as_its_source_says(name: str) -> None:
    source = IMAGES[name].with_suffix(".S").read_text()
    said = re.search(r"Instructions retired: (\d+) \+ ITERATIONS \* (\d+), then the end", source)
    rounds = re.search(r"#define ITERATIONS (\d+)", source)
    assert said
    assert rounds
    _, monitor, reason = run(name)
    assert reason is StopReason.HALTED
    the_end = 4  # MOV, OUT, CLI, HLT
    assert monitor.machine.processor.clock == int(said[1]) + int(rounds[1]) * int(said[2]) + the_end


def test_bounce_makes_two_exits_a_round() -> None:
    _, monitor, _ = run("bounce")
    assert monitor.exits["port in"] == 100_000
    assert monitor.exits["port out"] == 100_000 + 1
