"""The lockstep comparison: what is equal, and what is found when something is not."""

import json
import subprocess
import sys

import pytest
from unicorn.x86_const import UC_X86_REG_FPCW, UC_X86_REG_XMM3

from labkit import guests
from labkit.bench.lockstep import Pair, Plan, compare
from labkit.bench.state_difference import differences
from labkit.vm.machine import Machine

MEMORY = 16 << 20
PLACE, WHEN = 0x300000, 5_003


class Disturbed(Pair):
    """Something happens to one of the two, once the guest has run for a while."""

    def advance(self, instructions: int) -> None:
        super().advance(instructions)
        if self.clock >= WHEN:
            self.bt.memory.bytes[PLACE] = 0x5A
            self.bt.processor.registers.general[7] = 0x1234


def test_engines_that_agree() -> None:
    image = guests.boot("teaching", memory=MEMORY)
    told: list[int] = []
    result = compare(lambda: Pair(image, MEMORY), "teaching", Plan(1000, 33_333, 400_000), told=told.append)
    assert result.difference is None
    assert result.instructions == 400_000
    assert result.points == len(told) == 13


def test_the_first_difference_is_located() -> None:
    image = guests.boot("teaching", memory=MEMORY)
    result = compare(lambda: Disturbed(image, MEMORY), "teaching", Plan(every=2_000))
    found = result.difference
    assert found is not None
    assert (found.equal, found.different) == (WHEN - 1, WHEN)
    assert f"ram {PLACE:08x}..{PLACE:08x}: 00 / 5a" in found.what
    assert any(line.startswith("edi: ") and line.endswith("/ 00001234") for line in found.what)
    assert any(line.startswith("> ") for line in found.code)


def test_floating_point_and_devices_are_compared() -> None:
    one, other = (made(guests.boot("teaching", memory=MEMORY)) for _ in range(2))
    assert differences(one, other) == []
    other.processor.core.emulator._uc.reg_write(UC_X86_REG_XMM3, 5)
    other.processor.core.emulator._uc.reg_write(UC_X86_REG_FPCW, 0x27F)
    other.board.write_port(0x21, 1, 0xA5)  # the interrupt controller's mask
    found = differences(one, other)
    assert "xmm3: 0 / 5" in found
    assert "fpcw: 37f / 27f" in found
    assert any(line.startswith("pic") for line in found)


def made(image) -> Machine:
    machine = Machine(memory=MEMORY)
    machine.load(image)
    return machine


def test_text_ends_it_and_typing_goes_to_both() -> None:
    image = guests.boot("teaching", memory=MEMORY)
    result = compare(lambda: Pair(image, MEMORY), "teaching", Plan(every=50_000, prompt=b"$ ", typed=b"help\n"))
    assert result.difference is None
    assert result.ended == "the console has printed the text"


def test_the_command(tmp_path) -> None:
    command = [sys.executable, "-m", "labkit", "bench", "lockstep", "hello", "--json"]
    ran = subprocess.run(command, capture_output=True, timeout=100, check=True)
    told = json.loads(ran.stdout)
    assert told["equal"] is True
    assert "switched itself off" in told["ended"]


@pytest.mark.guest("linux")
def test_linux(full: bool) -> None:
    # from 63 M on the kernel patches its own code while timer interrupts come: that part always
    memory = 128 << 20
    image = guests.boot("linux", memory=memory, append="reservetop=4M")
    plan = Plan(every=137_731, prompt=b"/ # ", typed=b"ls -l /sys\n") if full else Plan(62_900_000, 100_003, 63_800_000)
    result = compare(lambda: Pair(image, memory), "linux", plan)
    assert result.difference is None, str(result.difference)
