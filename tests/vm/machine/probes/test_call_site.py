"""Blocks that count themselves: the calls are known on this host, nothing else is touched, nothing changes."""

import ctypes
import gc
import platform
import random
import sys
from typing import Any

import capstone
import pytest

from labkit.guests import boot
from labkit.vm.machine import Machine
from labkit.vm.machine.probes import call_site, decode
from labkit.vm.machine.probes import cells as c
from labkit.vm.monitor import Monitor, StopReason

here = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="calls stay calls on this host"
)
MEMORY = 64 << 20
PROGRAMS = ("calls", "exceptions", "pae", "paging32", "selfmod")
LINEAR, SIZE, COUNT = 0xC0123456, 27, 9
ENGINE, CHECK = 0x5555_1234_5678, 0x1234


def replaced(machine: Machine) -> int:
    return machine.processor._core._sites.count


def state(monitor: Monitor) -> tuple[Any, ...]:
    machine = monitor.machine
    counted = machine.point, machine.ram_sha256(), machine.registers_sha256()
    return *counted, dict(monitor.exits), bytes(machine.board.serial.output)


def run(name: str, stops: int = 0, limit: int = 150_000_000, flush: bool = False) -> Monitor:
    """Run a guest, with `stops` stops at random instructions."""
    gc.collect()  # earlier machines: each has 1 GB of addresses, and a page is wanted beside the new one's
    machine = Machine(memory=MEMORY)
    machine.load(boot(name, memory=MEMORY))
    monitor, chance = Monitor(machine), random.Random(name)
    for at in sorted(chance.randrange(limit) for _ in range(stops)):
        if monitor.run(at - machine.processor.clock).reason is not StopReason.INSTRUCTIONS:
            return monitor
        if flush:
            machine.processor.flush_code()
    monitor.run(limit - machine.processor.clock)
    return monitor


# --- the bytes


class Site:
    """A site in a buffer of ours, with all it is compared with."""

    def __init__(self) -> None:
        self.raw = ctypes.create_string_buffer(4096)
        self.start = ((ctypes.addressof(self.raw) + 255) & ~255) + 256
        self.table = (ctypes.c_uint64 * (2 * 1024))()
        self.array = c.new_cells()
        self.cells: Any = (ctypes.c_uint64 * c.CELLS).from_address(self.array.ctypes.data)
        self.cells[c.ENGINE], self.cells[c.SELF] = ENGINE, self.array.ctypes.data
        self.cells[c.SITES], self.cells[c.SITE_BASE] = ctypes.addressof(self.table), (self.start & ~0xFFF) - 4096
        self.cells[c.ENTER], self.cells[c.EXIT_CHECK] = self.start + 1000, self.start + 2000
        self.cells[c.AGAIN], self.cells[c.EXIT_PLACE] = self.start + 3000, -16 & 0xFF
        self.code = self.calls()

    def calls(self) -> bytes:
        engine = b"\x48\xbf" + ENGINE.to_bytes(8, "little")
        return b"".join((
            engine, b"\xbe", LINEAR.to_bytes(4, "little"), b"\xba", SIZE.to_bytes(4, "little"),
            b"\x48\xb9", self.array.ctypes.data.to_bytes(8, "little"),
            b"\xe8", (1000 - 35).to_bytes(4, "little"), engine, b"\x33\xf6", b"\xe8", (2000 - 52).to_bytes(4, "little"),
        ))  # fmt: skip

    @property
    def code(self) -> bytes:
        return ctypes.string_at(self.start, 52)

    @code.setter
    def code(self, data: bytes) -> None:
        ctypes.memmove(self.start, data, 52)

    def replace(self, info: int = COUNT | decode.BRANCH) -> int:
        return call_site.replace_call(self.cells, self.start + 35, LINEAR, SIZE, info)


def test_the_new_code_is_what_the_drawing_says() -> None:
    site = Site()
    assert site.replace() == 1
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    text = [f"{i.address - site.start} {i.mnemonic} {i.op_str}".strip() for i in engine.disasm(site.code, site.start)]
    number = (site.start - site.cells[c.SITE_BASE]) >> 8
    assert text == [
        f"0 movabs rcx, {site.array.ctypes.data:#x}", "10 mov rax, qword ptr [rcx]", "13 add rax, 9",
        "17 cmp rax, qword ptr [rcx + 0x18]", f"21 ja {site.start + 45:#x}",
        "23 cmp dword ptr [rbp - 0x10], 0", f"27 js {site.start + 45:#x}", "29 mov qword ptr [rcx], rax",
        f"32 mov dword ptr [rcx + 0x50], {number:#x}", "39 inc qword ptr [rcx + 0x20]",
        f"43 jmp {site.start + 52:#x}", f"45 call {site.start + 3000:#x}", "50 nop",
    ]  # fmt: skip
    assert (c.CLOCK, c.LIMIT, c.BRANCHES, c.SITE) == (0, 3, 4, 10)  # the displacements, in words
    described = site.table[2 * number], site.table[2 * number + 1]
    assert described == (LINEAR | SIZE << 32, COUNT | decode.BRANCH)


def test_a_block_without_a_branch_counts_none() -> None:
    site = Site()
    assert site.replace(COUNT) == 1
    assert site.code[39:41] == b"\xeb\x0b"


@pytest.mark.parametrize("place", range(52))
def test_one_other_byte_and_nothing_is_touched(place: int) -> None:
    site = Site()
    for bit in (1, 0x80):
        changed = bytearray(site.calls())
        changed[place] ^= bit
        site.code = bytes(changed)
        assert site.replace() == 0
        assert site.code == changed


@pytest.mark.parametrize("kind", ["SENSITIVE", "REP_FIRST", "CX8", "ENABLES"])
def test_a_block_that_needs_a_look_keeps_its_call(kind: str) -> None:
    site = Site()
    assert site.replace(COUNT | getattr(decode, kind)) == 0
    assert site.code == site.calls()


def test_a_block_of_more_than_127_instructions_keeps_its_call() -> None:
    site = Site()
    assert site.replace(128) == 0
    assert site.replace(127) == 1


def test_a_way_back_that_is_too_far_keeps_the_call() -> None:
    site = Site()
    site.cells[c.AGAIN] = site.start + (1 << 32)
    assert site.replace() == 0


def test_the_exit_check_may_be_far_away() -> None:
    site = Site()
    there = site.start + 512
    ctypes.c_uint64.from_address(there).value = site.cells[c.EXIT_CHECK]
    ctypes.memmove(site.start + 47, b"\xff\x15" + (512 - 53).to_bytes(4, "little"), 6)
    assert site.replace() == 1
    assert ctypes.string_at(site.start + 43, 10) == b"\xeb\x07\xe8" + (3000 - 50).to_bytes(4, "little") + b"f\x90\x90"


# --- guests


@here
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("LABKIT_INLINE", "0")
        plain = run(name)
        assert replaced(plain.machine) == 0
    counting = run(name)
    assert replaced(counting.machine) > 0
    assert state(counting) == state(plain)


@here
def test_machines_beside_each_other_all_count_in_place() -> None:
    machines = [run("calls", limit=100_000).machine for _ in range(4)]  # 1 GB of addresses each
    assert [replaced(machine) > 0 for machine in machines] == [True] * 4


@here
@pytest.mark.guest("linux")
def test_linux_boots_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 30_000_000
    with monkeypatch.context() as changed:
        changed.setenv("LABKIT_INLINE", "0")
        plain = run("linux", limit=limit)
    stopped = run("linux", stops=20, limit=limit, flush=True)
    assert replaced(stopped.machine) > 1000
    assert state(stopped)[:3] == state(plain)[:3]  # stops are exits
