"""The teaching kernel boots to its shell and does what its commands say, on labkit and on QEMU."""

import os
import re
import selectors
import shutil
import subprocess
import time
from collections.abc import Callable

import pytest

from labkit.guests import boot
from labkit.guests.build import IMAGES
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, StopReason

MEMORY = 64 << 20
QEMU = shutil.which("qemu-system-i386")


def on_labkit(commands: str, append: str = "") -> str:
    """The conversation, ended by halt."""
    machine = Machine(memory=MEMORY)
    machine.load(boot("teaching", memory=MEMORY, append=append))
    machine.board.serial.type(commands.encode() + b"halt\n")
    stop = Monitor(machine).run(instructions=200_000_000)
    assert stop.reason is StopReason.HALTED, str(stop)
    return bytes(machine.board.serial.output).decode("latin1").replace("\r", "")


def on_qemu(commands: str, append: str = "", seconds: float = 60) -> str:
    """The same on QEMU; it does not end by itself, so it is ended when the kernel says that it has halted."""
    command = [str(QEMU), "-kernel", str(IMAGES["teaching"]), "-append", append]
    command += ["-serial", "stdio", "-monitor", "none", "-display", "none", "-m", "64"]
    said, end = b"", time.monotonic() + seconds
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        assert qemu.stdin
        assert qemu.stdout
        with selectors.DefaultSelector() as ready:
            ready.register(qemu.stdout, selectors.EVENT_READ)
            typed = False
            while b"system halted\r\n" not in said and time.monotonic() < end:
                if ready.select(timeout=1):
                    said += os.read(qemu.stdout.fileno(), 4096)
                if not typed and said.endswith(b"$ "):
                    qemu.stdin.write(commands.encode() + b"halt\n")
                    qemu.stdin.flush()
                    typed = True
        qemu.kill()
    return said.decode("latin1").replace("\r", "")


Converse = Callable[[str], str]


@pytest.fixture(params=["labkit", "qemu"])
def converse(request: pytest.FixtureRequest) -> Converse:
    """Each test runs on both machines."""
    if request.param == "labkit":
        return on_labkit
    if QEMU is None:
        pytest.skip("qemu-system-i386 is not installed: no second opinion")
    return on_qemu


def answers(said: str) -> list[str]:
    """What stands between one prompt and the next, without the echoed command."""
    return [part.partition("\n")[2] for part in said.split("$ ")[1:]]


def test_it_boots_in_these_steps(converse: Converse) -> None:
    said = converse("")
    assert said.splitlines()[:5] == [
        "labkit teaching kernel",
        "paging on, 64 MB of memory",
        "system calls by INT 80h and SYSENTER",
        "timer 100 Hz",
        "user mode",
    ]
    assert said.endswith("$ halt\nsystem halted\n")


def test_arithmetic_and_primes(converse: Converse) -> None:
    said = converse("echo A$((6*7))\nexpr (1+2)*-3\nexpr 1/0\nprimes 1000\nnosuch\n")
    assert answers(said)[:5] == [
        "A42\n",
        "-9\n",
        "expr: not an expression\n",
        "168 primes below 1000, the largest is 997\n",
        "nosuch: unknown command, try help\n",
    ]


def test_pages_appear_when_they_are_touched(converse: Converse) -> None:
    _, before, _, after = answers(converse("mem\nmem\ntouch 100\nmem\n"))[:4]

    def figures(text: str) -> tuple[int, int]:
        found = re.search(r"free (\d+)\npage faults: (\d+) demand zero", text)
        assert found
        return int(found[1]), int(found[2])

    assert figures(after)[0] == figures(before)[0]  # all frames came back
    assert 100 <= figures(after)[1] - figures(before)[1] <= 104  # one each, and a few of stack and data


def test_a_program_that_writes_to_the_kernel_is_killed_and_the_kernel_goes_on(converse: Converse) -> None:
    fault, after = answers(converse("fault\necho on\n"))[:2]
    assert re.search(
        r"fault\[\d+\]: page fault, write of c0100000 by ring 3 at eip 0040\w+ \(no right\)", fault
    )
    assert "must not work" not in fault
    assert after == "on\n"


def test_both_doors_into_the_kernel_give_the_same(converse: Converse) -> None:
    (measured,) = answers(converse("syscalls 500\n"))[:1]
    assert re.fullmatch(
        r"INT 80h  500 calls, \d+\.\d\d cycles each\nSYSENTER 500 calls, \d+\.\d\d cycles each\n", measured
    )


def test_fork_copies_on_write_and_a_spinning_program_is_preempted(converse: Converse) -> None:
    commands = "spin &\nforks 20\nps\nkill 2\nsleep 50\nps\n"
    spin, forks, ps, _, ended, after = answers(converse(commands))[:6]
    assert (spin, forks) == ("[2]\n", "20 children, each with its own copy\n")
    assert "spin &" in ps
    assert ended == "[2] ended, status 130\n"
    assert "spin" not in after


def test_the_page_table_of_the_shell(converse: Converse) -> None:
    (table,) = answers(converse("pt\n"))[:1]
    rows = [line.split() for line in table.splitlines()[2:]]
    assert (rows[0][0], rows[0][3]) == ("00400000", "U-A-")  # text: ring 3, read-only
    assert [row for row in rows if row[0] == "bffff000" and row[3] == "UWAD"]  # stack
    assert rows[-1][:2] == ["c0000000", "00000000"]  # the direct map
    assert 16300 < int(rows[-1][2]) <= 16384
    assert rows[-1][3] == "-W--"


def test_typed_keys_before_the_kernel_starts_are_not_lost_and_control_keys_edit() -> None:
    said = on_labkit("echx\bo one\nrubbish\x15echo two\nrubbish\x03echo three\n")
    assert [answer for answer in answers(said) if answer in ("one\n", "two\n", "three\n")] == [
        "one\n",
        "two\n",
        "three\n",
    ]
    assert "unknown" not in said


def test_control_c_ends_the_program_in_the_foreground() -> None:
    machine = Machine(memory=MEMORY)
    machine.load(boot("teaching", memory=MEMORY))
    monitor = Monitor(machine)
    machine.board.serial.type(b"spin\n")
    assert monitor.run(instructions=20_000_000).reason is StopReason.INSTRUCTIONS
    assert machine.board.serial.output.endswith(b"$ spin\r\n")
    machine.board.serial.type(b"\x03halt\n")
    assert monitor.run(instructions=20_000_000).reason is StopReason.HALTED


def test_a_race_loses_additions_and_the_virtual_clock_makes_it_repeatable() -> None:
    first, second = on_labkit("race 2000000\n"), on_labkit("race 2000000\n")
    found = re.search(r"the counter is (\d+), (\d+) lost", first)
    assert found
    assert int(found[1]) + int(found[2]) == 4_000_000
    assert int(found[2]) > 0
    assert first == second


def test_commands_from_the_boot_command_line() -> None:
    assert "user mode\nbooted 42\n$ " in on_labkit("", append="quiet run=echo booted $((6*7))")


def test_the_prompt_comes_soon_and_idling_halts() -> None:
    machine = Machine(memory=MEMORY)
    machine.load(boot("teaching", memory=MEMORY))
    monitor = Monitor(machine)
    monitor.run(instructions=200_000)
    assert machine.board.serial.output.endswith(b"$ ")
    assert monitor.exits["hlt"] > 1


def test_the_screen_shows_what_the_serial_line_does() -> None:
    machine = Machine(memory=MEMORY)
    machine.load(boot("teaching", memory=MEMORY))
    Monitor(machine).run(instructions=200_000)
    shown = "\n".join(line.rstrip() for line in machine.screen()).rstrip() + " "
    assert shown == bytes(machine.board.serial.output).decode().replace("\r", "")
