"""The first instructions of a block: the hooks that mend CMPXCHG8B stay few."""

from typing import Any

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
