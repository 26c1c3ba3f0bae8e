"""Hand-made code that means no good: it does what it does under the other engine, and never reaches the monitor."""

import random

import pytest

from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine.translated_code import TranslatedCode

CODE, GDT, ELSEWHERE, TABLES = 0x10000, 0x1000, 0x20000, 0x100000
TOP = TranslatedCode.BASE
PSE, PAE = 0x10, 0x20


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def store(address: int, value: int) -> bytes:
    return b"\xc7\x05" + word(address) + word(value)  # mov dword [address], value


def jump(place: int, target: int, opcode: bytes = b"\xe9") -> bytes:
    return opcode + word(target - (place + 5))


def paged(bare) -> None:
    """4 MB pages: the first is itself, the last of the linear space is another part of RAM."""
    bare.put(TABLES, word(0x83) + bytes(4 * 1022) + word(0x400000 | 0x83))
    bare.registers.cr3, bare.registers.cr4 = TABLES, PSE
    bare.registers.cr0 |= 0x80000000


def cache_of(engine: BinaryTranslator) -> bytes:
    return bytes(engine._cache.memory)


# --- branches


def test_into_the_middle_of_an_instruction(both) -> None:
    # dec ebp; js end; B: mov eax, 40404040h; jmp B+1      the constant is three INC EAX, then a jump into it again
    code = b"\xb8" + b"\x40\x40\x43\x4d" + b"\x78\x02" + jump(CODE + 7, CODE + 1) + b"\xf4"
    both(b"\xbd" + word(3) + code.replace(jump(CODE + 7, CODE + 1), jump(CODE + 12, CODE + 6)))


@pytest.mark.parametrize("way", ["jmp", "call", "jmp eax", "call eax", "ret", "iret", "jmp [m]"])
def test_into_the_monitor_where_the_guest_has_nothing(both, way: str) -> None:
    target = TOP + 0x15
    eax = b"\xb8" + word(target)
    ways = {
        "jmp": jump(CODE, target), "call": jump(CODE, target, b"\xe8"), "jmp eax": eax + b"\xff\xe0",
        "call eax": eax + b"\xff\xd0", "ret": b"\x68" + word(target) + b"\xc3",
        "iret": b"\x9c\x0e\x68" + word(target) + b"\xcf",
        "jmp [m]": store(ELSEWHERE, target) + b"\xff\x25" + word(ELSEWHERE),
    }  # fmt: skip
    both(ways[way] + b"\xf4")


@pytest.mark.parametrize("way", ["jmp", "call", "ret"])
def test_the_top_of_the_linear_space_may_be_the_guests_own(both, way: str) -> None:
    there, back = TOP + 0x15, CODE + 0x100

    def prepare(bare) -> None:
        paged(bare)
        code = b"\x40" + store(TOP + 0x800, 0x1234) + b"\xa1" + word(TOP + 0x800) + jump(there + 16, back)
        bare.put(0x400000 + 0x15, code)
        bare.put(back, b"\x43\xfa\xf4")

    ways = {
        "jmp": jump(CODE, there), "call": jump(CODE, there, b"\xe8"), "ret": b"\x68" + word(there) + b"\xc3",
    }  # fmt: skip
    ran = both(ways[way], prepare, memory=8 << 20)
    assert ran.bt.number(0x400000 + 0x800) == 0x1234
    assert ran.engine.counts["hidden faults"] or ran.engine.counts["single steps"]


def test_loads_and_stores_do_not_reach_the_cache(make_bare) -> None:
    from tests.vm.engines.conftest import Both

    code = b"".join(store(TOP + at, 0x90909090) for at in (0, 0x10, 0x15, 0x1C, 0x20, 0x3FFFFC))
    ran = Both(make_bare, code + b"\xa1" + word(TOP + 0x15) + b"\xfa\xf4")
    ran.advance(1)
    used = cache_of(ran.engine)[:0x20]
    ran.finish()
    assert cache_of(ran.engine)[:0x20] == used
    assert int(ran.bt.registers.general[0]) & 0xFFFFFFFF == 0xFFFFFFFF  # there is nothing: ones


def test_around_the_end_of_the_linear_space(both) -> None:
    def prepare(bare) -> None:
        paged(bare)
        bare.put(0x7FFFFC, b"\x40\x43\x41\x42")  # the last four bytes, then on at 0
        bare.put(0, b"\x4f" + jump(1, CODE + 0x40))
        bare.put(CODE + 0x40, b"\xfa\xf4")

    both(jump(CODE, 0xFFFFFFFC), prepare, memory=8 << 20)


# --- code that changes


PATCHES = {
    "the next instruction": b"\xc6\x05" + word(CODE + 7) + b"\x48\x40\xf4",
    "itself": b"\xc6\x05" + word(CODE) + b"\x90\xf4",
    "its own counter": b"\xb9" + word(4) + b"\x80\x05" + word(CODE + 14) + b"\x01\x83\xc0\x00\xe2\xf4\xf4",
    "behind a jump": b"\xc6\x05" + word(CODE + 0x40) + b"\xf4" + jump(CODE + 7, CODE + 0x40),
    "its return": b"\x6a\x00\xc7\x04\x24" + word(CODE + 0x40) + b"\xc6\x05" + word(CODE + 0x40) + b"\xf4\xc3",
}


@pytest.mark.parametrize("what", PATCHES)
def test_a_block_patches(both, what: str) -> None:
    both(PATCHES[what])


def test_a_repeated_store_over_itself(both) -> None:
    def prepare(bare) -> None:
        bare.registers.general[0], bare.registers.general[1] = 0x40, 100
        bare.registers.general[7] = CODE - 40

    both(b"\xf3\xaa\xf4" + bytes([0x90]) * 80 + b"\xf4", prepare)


def test_the_stack_overwrites_code(both) -> None:
    def prepare(bare) -> None:
        bare.registers.general[4] = CODE + 12

    both(b"\x40\xe8" + word(0) + b"\xf4\x90\x90\x90\x90\x90", prepare)


# --- descriptors and stacks


LOADS = (b"\x8e\xd8", b"\x8e\xc0", b"\x8e\xe0", b"\x8e\xe8", b"\x8e\xd0", b"\x50\x1f", b"\x50\x0f\xa9")


@pytest.mark.parametrize("seed", range(4))
def test_descriptors_with_any_bits(both, seed: int) -> None:
    choose = random.Random(seed)
    entries = [choose.randbytes(8) for _ in range(12)]
    entries += [b"\xff\xff\xff\xff\xff" + bytes((access,)) + b"\xff\xff" for access in (0x93, 0xF3, 0x9B, 0xFF, 0x8F)]
    code = b""
    for index in range(len(entries)):
        selector = 0x38 + 8 * index | choose.choice((0, 0, 1, 3, 4))
        load = choose.choice(LOADS)
        code += b"\xb8" + word(selector) + load
    for first in range(len(entries)):  # a refused load ends it: begin at each of them once
        skipped = first * len(code) // len(entries)

        def prepare(bare) -> None:
            bare.put(GDT + 0x38, b"".join(entries))
            bare.registers.segments[8].limit = 0x37 + 8 * len(entries) - 3

        if first % 4 == 0:
            both(code[skipped - skipped % 7 :] + b"\xfa\xf4", prepare)


NULL = {
    "mov ss": b"\x31\xc0\x8e\xd0\xf4",
    "pop ss": b"\x6a\x00\x17\xf4",
    "push at 0": b"\x31\xe4\x50\x58\xfa\xf4",
    "call at 2": b"\xbc\x02\0\0\0" + jump(CODE + 5, CODE + 0x40, b"\xe8"),
    "ret at the end": b"\xbc\xfe\xff\xff\xff\xc3",
    "iret to a null stack": b"\x6a\x00\x6a\x00\x6a\x02\x6a\x1b\x68" + word(CODE + 0x40) + b"\xcf",
    "iret to a null code segment": b"\x6a\x02\x6a\x00\x68" + word(CODE + 0x40) + b"\xcf",
    "int with no stack": b"\x31\xe4\xcd\x20\xf4",
    "lss of null": store(ELSEWHERE, 0x8000) + store(ELSEWHERE + 4, 0) + b"\x0f\xb2\x25" + word(ELSEWHERE) + b"\xf4",
}


@pytest.mark.parametrize("what", NULL)
def test_null_stacks(both, what: str) -> None:
    def prepare(bare) -> None:
        bare.put(CODE + 0x40, b"\x40\xfa\xf4")

    both(NULL[what], prepare)
