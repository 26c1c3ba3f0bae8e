"""Lengths and kinds of instructions, against Capstone."""

import ctypes
import os
import random
from functools import cache
from typing import cast

import capstone
import pytest
from capstone import x86 as cx
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.guests import boot
from labkit.vm.machine import sensitive
from labkit.vm.machine.probes import decode
from labkit.vm.machine.registers import RegisterFile

MODES = {1: capstone.CS_MODE_32, 0: capstone.CS_MODE_16}
BRANCH_GROUPS = {cx.X86_GRP_JUMP, cx.X86_GRP_CALL, cx.X86_GRP_RET, cx.X86_GRP_IRET, cx.X86_GRP_INT}
BRANCHES = {
    cx.X86_INS_SYSENTER, cx.X86_INS_SYSEXIT, cx.X86_INS_LOOP, cx.X86_INS_LOOPE, cx.X86_INS_LOOPNE,
    cx.X86_INS_JCXZ, cx.X86_INS_JECXZ,
}  # fmt: skip
NOT_BRANCHES = {cx.X86_INS_INTO, cx.X86_INS_INT1}
FULL = 20 if os.environ.get("LABKIT_FULL") == "1" else 1
VECTOR_ESCAPES = (0xC4, 0xC5, 0x62, 0x8F)  # VEX, EVEX and XOP: not of this processor


class Registers:
    """As much of a register file as the decoder looks at."""

    def __init__(self, wide: int) -> None:
        self.hflags = 0x10 * wide


def ours(code: bytes, wide: int) -> tuple[int, int]:
    (_at, found), *_rest = sensitive._instructions(
        code.ljust(15, b"\0"), cast("RegisterFile", Registers(wide))
    )
    return found & decode.LENGTH, found


@cache
def capstone_for(wide: int) -> capstone.Cs:
    engine = capstone.Cs(capstone.CS_ARCH_X86, MODES[wide])
    engine.detail = True
    return engine


def theirs(code: bytes, wide: int):
    return next(capstone_for(wide).disasm(code, 0x1000), None)


def stripped(code: bytes) -> bytes:
    return code.lstrip(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")


def check(code: bytes, wide: int) -> None:
    known = theirs(code, wide)
    if (
        known is None
        or known.id == cx.X86_INS_UD0
        or stripped(code)[:1] in {bytes((b,)) for b in VECTOR_ESCAPES}
    ):
        return
    operand_sizes = known.bytes.count(0x66) > 1 or known.bytes[:4].count(0x67) > 1
    length, found = ours(code, wide)
    if stripped(code)[:1] != b"\x0f" or not operand_sizes:
        assert length == known.size, (known, code.hex())
    branch = bool(set(known.groups) & BRANCH_GROUPS) or known.id in BRANCHES
    if known.id not in NOT_BRANCHES and stripped(code)[:1] != b"\x0f":
        assert bool(found & decode.BRANCH) == branch, (known, code.hex())
    assert bool(found & decode.TSC) == (known.id == cx.X86_INS_RDTSC)
    assert bool(found & decode.CX8) == (known.id == cx.X86_INS_CMPXCHG8B)


@settings(max_examples=FULL * 500, deadline=None)
@given(st.binary(min_size=15, max_size=15), st.sampled_from((0, 1)))
def test_any_bytes(code: bytes, wide: int) -> None:
    check(code, wide)


def of_kernel(name: str, count: int) -> None:
    image = boot(name, memory=64 << 20)
    text = max(image.placements, key=lambda part: len(part.data)).data
    chance = random.Random(1)
    for at in chance.sample(range(len(text) - 15), count):
        check(text[at : at + 15], 1)


def test_the_teaching_kernel() -> None:
    of_kernel("teaching", 3000)


@pytest.mark.guest("linux")
def test_linux() -> None:
    of_kernel("linux", 10_000)


def test_a_block_is_counted_and_cut_at_its_instructions() -> None:
    code = b"\x40\xb8\x01\x02\x03\x04\x0f\xa2\xf3\xa4"  # inc eax; mov eax, imm32; cpuid; rep movsb
    raw = ctypes.create_string_buffer(code, 32)
    offsets, at = [], 0
    for offset, found in sensitive._instructions(raw.raw[: len(code)], cast("RegisterFile", Registers(1))):
        assert offset == at
        at += found & decode.LENGTH
        offsets.append(offset)
    assert offsets == [0, 1, 6, 8]
