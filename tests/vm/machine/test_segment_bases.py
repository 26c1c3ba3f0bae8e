"""Code in segments whose base and EIP add up to more than 4 GB, as GNU Mach starts: linked high, paging off.

The same code in a segment without a base is the oracle.
"""

import pytest

HIGH, CODE = 0x40000000, 0x20000
CODE_SELECTOR, DATA_SELECTOR, GDT = 0x38, 0x40, 0x1000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def enter(bare, base: int, code: bytes):
    """The machine before a far jump to `code`, in segments with a base."""
    for selector, kind in ((CODE_SELECTOR, 0x9B), (DATA_SELECTOR, 0x93)):
        bare.put(GDT + selector, word(0x0000FFFF) + word(base & 0xFF000000 | 0xCF0000 | kind << 8))
    bare.registers.segments[8].limit = 0x47
    bare.put(CODE, bytes.fromhex("b840000000 8ed8 8ec0") + code)  # mov eax, 40h; mov ds, ax; mov es, ax
    bare.put(0x10000, b"\xea" + word(CODE - base) + CODE_SELECTOR.to_bytes(2, "little"))
    return bare


def fill(base: int) -> bytes:
    """Stores beside the code: mov byte [page + 800h], 55h; jmp next; then 100 bytes at 810h by REP STOSB."""
    code = b"\xc6\x05" + word(CODE - base + 0x800) + b"\x55\xeb\x00\xbf" + word(CODE - base + 0x810)
    return code + bytes.fromhex("b964000000 31c0 f3aa f4")


def finish(bare, step: int | None) -> list[int]:
    """Run to the end; the linear addresses where it stood."""
    seen = []
    while not bare.machine.halted:
        bare.run(instructions=step or 100_000)
        seen.append(bare.registers.linear_eip)
    return seen


@pytest.mark.parametrize("step", [None, 1, 3])
def test_stores_next_to_the_code(make_bare, step):
    flat, high = enter(make_bare(), 0, fill(0)), enter(make_bare(), HIGH, fill(HIGH))
    flat.put(CODE + 0x810, b"\xee" * 101)
    high.put(CODE + 0x810, b"\xee" * 101)
    assert finish(high, step) == finish(flat, step)
    assert high.clock == flat.clock
    assert high.get(CODE + 0x800, 1) == b"\x55"
    assert high.get(CODE + 0x810, 101) == bytes(100) + b"\xee"


def test_a_deadline_inside_a_block(bare):
    enter(bare, HIGH, bytes.fromhex("90" * 20 + "f4")).run(instructions=10)
    assert (bare.clock, bare.registers.eip) == (10, CODE - HIGH + 9 + 6 & 0xFFFFFFFF)


def test_the_clock_inside_a_block(bare):
    enter(bare, HIGH, bytes.fromhex("90 90 0f31 90 f4")).run()  # nop; nop; rdtsc; nop; hlt
    assert bare.registers.general[0] == 1 + 3 + 2
    assert bare.clock == 1 + 3 + 5
