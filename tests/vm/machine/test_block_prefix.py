"""The first instructions of a block: the hooks that mend CMPXCHG8B give it its flags, and stay few."""

from typing import Any

import pytest

from labkit.vm.machine.block_prefix import MOST_HOOKED

CODE, PLACE = 0x10000, 0x80000


def test_cmpxchg8b_everywhere_leaves_few_hooks(bare: Any) -> None:
    count, size = 2 * MOST_HOOKED + 10, 16
    # nop; cmpxchg8b [PLACE]; jne next; inc esi; jmp next: ESI counts those that found it equal
    compare = b"\x90\x0f\xc7\x0d" + PLACE.to_bytes(4, "little") + b"\x75\x05\x46\xeb\x03"
    bare.put(CODE, b"".join(compare.ljust(size, b"\x90") for _ in range(count)) + b"\xf4")
    assert bare.run(instructions=100_000).reason == "halted"
    assert int(bare.registers.general[6]) == count
    assert bare.clock == 5 * count + 1
    assert len(bare.machine.processor._prefix._given_flags) <= MOST_HOOKED


SETS_FLAGS = {
    "add, add": b"\x83\xc4\x00\x01\xf3",
    "add, adc": b"\x01\xf3\x11\xf9",
    "adc, adc": b"\x11\xf3\x11\xf9",
    "add, nop, mov": b"\x01\xf3\x90\x89\xc0",
    "inc, adc": b"\x41\x11\xf9",
    "stc, adc": b"\xf9\x11\xf9",
    "sub, sbb": b"\x29\xf3\x19\xf9",
}


@pytest.mark.parametrize("lock", [b"", b"\xf0"], ids=["plain", "lock"])
@pytest.mark.parametrize("setup", SETS_FLAGS.values(), ids=SETS_FLAGS)
@pytest.mark.parametrize("behind", [b"", b"\x75\x00", b"\x9c\x5e"], ids=["nop", "jne", "pushf"])
def test_cmpxchg8b_keeps_the_flags_of_what_is_before_it(bare: Any, setup: bytes, lock: bytes, behind: bytes) -> None:
    """All other flags than ZF, be the block run whole or step by step."""
    code = setup + lock + b"\x0f\xc7\x0d" + PLACE.to_bytes(4, "little") + behind + b"\x90" * 12
    for values in ((1, 2, 3, 4), (0xFFFFFFFF, 1, 0x7FFFFFFF, 0xFFFFFFFF), (1 << 31,) * 4):
        found = []
        for step in (12, 1):
            bare.put(CODE, code)
            bare.put(PLACE, bytes(8))
            registers = bare.registers
            registers.eip, registers.eflags = CODE, 2
            for number, value in zip((0, 2, 3, 6, 1, 7), (0, 0, *values), strict=True):
                registers.general[number] = value
            for _ in range(12 // step):
                assert bare.monitor.run(step).reason == "instructions"
            found.append((registers.eflags, [int(value) for value in registers.general]))
        assert found[0] == found[1]
