"""Code in segments whose base and EIP add up to more than 4 GB, as GNU Mach starts: linked high, paging off."""

import pytest

BASE, CODE = 0x40000000, 0x20000
HIGH_CODE, HIGH_DATA, GDT = 0x38, 0x40, 0x1000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def high(bare, code: bytes):
    """The machine at code that a far jump reaches through a segment with a base."""
    for selector, kind in ((HIGH_CODE, 0x9B), (HIGH_DATA, 0x93)):
        bare.put(GDT + selector, word(0x0000FFFF) + word(BASE & 0xFF000000 | 0xCF0000 | kind << 8))
    bare.registers.segments[8].limit = 0x47
    bare.put(CODE, bytes.fromhex("b840000000 8ed8 8ec0") + code)  # mov eax, 40h; mov ds, ax; mov es, ax
    bare.put(0x10000, b"\xea" + word(CODE - BASE) + HIGH_CODE.to_bytes(2, "little"))
    return bare


# mov byte [page + 800h], 55h; jmp next; mov edi, page + 810h; mov ecx, 100; xor eax, eax; rep stosb; hlt
FILL = b"\xc6\x05" + word(CODE - BASE + 0x800) + b"\x55\xeb\x00\xbf" + word(CODE - BASE + 0x810)
FILL += bytes.fromhex("b964000000 31c0 f3aa f4")


@pytest.mark.parametrize("step", [None, 1, 3])
def test_stores_next_to_the_code(bare, step):
    high(bare, FILL).put(CODE + 0x810, b"\xee" * 101)
    for _ in range(200):
        if bare.run(instructions=step or 100_000).reason != "instructions" or bare.machine.halted:
            break
    assert bare.machine.halted
    assert bare.clock == 1 + 3 + 2 + 3 + 100 + 1
    assert bare.get(CODE + 0x800, 1) == b"\x55"
    assert bare.get(CODE + 0x810, 101) == bytes(100) + b"\xee"


def test_a_deadline_inside_a_block(bare):
    high(bare, bytes.fromhex("90" * 20 + "f4"))
    bare.run(instructions=10)
    assert (bare.clock, bare.registers.eip) == (10, CODE - BASE + 9 + 6 & 0xFFFFFFFF)
