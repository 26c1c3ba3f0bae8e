"""Exit checks behind loads and stores are taken out of a translation; those behind hooks, and all else, stay."""

import ctypes
import platform
import sys
from contextlib import nullcontext
from typing import Any

import capstone
import pytest

from labkit.guests import boot
from labkit.vm.machine import Machine
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.code_buffer import find_code_buffer
from labkit.vm.machine.probes.exit_checks import drop_exit_checks
from labkit.vm.machine.trace import Tracer
from labkit.vm.monitor import Monitor

ENGINE = 0x5555_1234_5678
LINEAR, SIZE = 0xC0123456, 27
BEFORE = bytes(12)
START, CHECK, HOOK, LITERAL = 256, 8192, 8448, 4096
LOAD = bytes.fromhex("8b1e")  # mov ebx, [rsi]
STORE = bytes.fromhex("891e")
ASK = b"\x48\xbf" + ENGINE.to_bytes(8, "little") + b"\x33\xf6"


class Translation:
    """A translation in a buffer of ours: head and code."""

    def __init__(self) -> None:
        self.raw = ctypes.create_string_buffer(1 << 14)
        self.base = (ctypes.addressof(self.raw) + 63) & ~63
        self.array = c.new_cells()
        self.cells: Any = (ctypes.c_uint64 * c.CELLS).from_address(self.array.ctypes.data)
        self.cells[c.ENGINE], self.cells[c.EXIT_CHECK] = ENGINE, self.base + CHECK
        self.put(LITERAL, (self.base + CHECK).to_bytes(8, "little"))
        self.code = b""

    def put(self, at: int, data: bytes) -> None:
        ctypes.memmove(self.base + at, data, len(data))

    def add(self, data: bytes) -> None:
        self.code += data

    def call(self, target: int) -> None:
        self.code += b"\xe8" + (target - START - len(self.code) - 5).to_bytes(4, "little", signed=True)

    def check(self) -> None:
        self.add(ASK)
        self.call(CHECK)

    def far_check(self) -> None:
        self.add(ASK)
        self.code += b"\xff\x15" + (LITERAL - START - len(self.code) - 6).to_bytes(4, "little", signed=True)

    def dropped(self, **head: int) -> bytes:
        """The code afterwards; `head`: in what its head differs from the truth."""
        truth = {"linear": LINEAR, "size": SIZE, "start": self.base + START, "length": len(self.code)} | head
        self.put(START, self.code)
        self.put(START - 192, truth["linear"].to_bytes(8, "little"))
        self.put(START - 172, truth["size"].to_bytes(2, "little"))
        self.put(START - 160, truth["start"].to_bytes(8, "little") + truth["length"].to_bytes(8, "little"))
        drop_exit_checks(self.cells, self.base + START + len(BEFORE), LINEAR, SIZE)
        return ctypes.string_at(self.base + START, len(self.code))


@pytest.fixture
def translation() -> Translation:
    made = Translation()
    made.add(BEFORE)
    return made


def mnemonics(code: bytes) -> list[str]:
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    return [i.mnemonic for i in engine.disasm(code, 0)]


def test_checks_behind_a_load_and_a_store_become_nothing(translation: Translation) -> None:
    for access in (LOAD, STORE):
        translation.add(access)
        translation.check()
    assert mnemonics(translation.dropped()[len(BEFORE) :]) == ["mov", "nop", "nop", "mov", "nop", "nop"]


def test_a_longer_call_too(translation: Translation) -> None:
    translation.add(LOAD)
    translation.far_check()
    translation.add(STORE)
    assert mnemonics(translation.dropped()[len(BEFORE) :]) == ["mov", "nop", "nop", "nop", "mov"]


def test_the_check_behind_a_hook_stays(translation: Translation) -> None:
    translation.call(HOOK)
    translation.check()
    assert translation.dropped() == translation.code


def test_a_call_of_something_else_stays(translation: Translation) -> None:
    translation.add(LOAD + ASK)
    translation.call(HOOK)
    assert translation.dropped() == translation.code


@pytest.mark.parametrize("place", range(12))
def test_one_other_byte_and_it_stays(translation: Translation, place: int) -> None:
    translation.add(LOAD)
    translation.check()
    changed = bytearray(translation.code)
    changed[len(BEFORE + LOAD) + place] ^= 1
    translation.code = bytes(changed)
    assert translation.dropped() == changed


def test_what_lies_behind_the_translation_is_not_touched(translation: Translation) -> None:
    translation.add(LOAD)
    translation.check()
    assert translation.dropped(length=len(translation.code) - 1) == translation.code


@pytest.mark.parametrize(
    "head", [{"linear": LINEAR + 1}, {"size": SIZE + 1}, {"start": START + 64}, {"length": 1 << 16}], ids=repr
)
def test_a_head_that_says_something_else_and_nothing_is_touched(
    translation: Translation, head: dict[str, int]
) -> None:
    translation.add(LOAD)
    translation.check()
    assert translation.dropped(**head) == translation.code
    assert translation.dropped() != translation.code


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="calls stay calls on this host")
@pytest.mark.parametrize("traced", [False, True])
def test_they_are_gone_from_what_unicorn_has_made(traced: bool) -> None:
    machine = Machine(memory=64 << 20)
    machine.load(boot("stores", memory=64 << 20))
    with Tracer(machine.processor, values=True).tracing() if traced else nullcontext():
        Monitor(machine).run(1_000_000)
    engine = int(machine.processor.cells[c.ENGINE])
    code = ctypes.string_at(find_code_buffer(engine), 1 << 18)
    asked = code.count(b"\x48\xbf" + engine.to_bytes(8, "little") + b"\x33\xf6")
    gone = code.count(bytes.fromhex("660f1f840000000000 0f1f840000000000"))
    assert gone > 0, f"{asked} checks, none was taken out"
