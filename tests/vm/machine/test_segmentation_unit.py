"""When the compiled segmentation unit looks at code: never while segments are plain, and no longer than that."""

import pytest

from labkit.vm.machine.core import CALM, MOST_CHECKED
from labkit.vm.machine.machine import Machine
from labkit.vm.machine.probes import cells as c
from labkit.vm.monitor.monitor import Monitor
from labkit.vm.monitor.stop import Stop, StopReason

GDT, CODE, DATA = 0x1000, 0x20000, 0x30000
FLAT, SMALL = 0x10, 0x18
LOOP = bytes.fromhex("a100000300 40 a300000300 49 75f2 f4")
"""mov eax, [DATA]; inc eax; mov [DATA], eax; dec ecx; jnz; hlt"""


@pytest.fixture
def machine():
    made = Machine(16 << 20, segmentation=True)
    write, registers = made.processor.write_physical, made.processor.registers
    descriptors = (0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF, 0x004F93030000FFFF & ~0xF_0000_0000_0000)
    write(GDT, b"".join(word.to_bytes(8, "little") for word in descriptors))
    registers.set_flat(8, FLAT)
    registers.segments[8].base, registers.segments[8].limit = GDT, 31
    registers.eip = CODE
    yield made
    made.processor.close()


def run(machine, code: bytes) -> Stop:
    machine.halted = False
    machine.processor.write_physical(CODE, code)
    machine.processor.registers.eip = CODE
    return Monitor(machine).run()


def load(register: int, selector: int) -> bytes:
    return b"\x66\xb8" + selector.to_bytes(2, "little") + bytes([0x8E, 0xC0 | register << 3])


def rounds(count: int) -> bytes:
    return b"\xb9" + count.to_bytes(4, "little") + LOOP


def test_flat_code_is_not_looked_at(machine):
    run(machine, load(3, FLAT) + rounds(5000))
    cells = machine.processor.cells
    assert machine.memory.read(DATA, 4) == (5000).to_bytes(4, "little")
    assert cells[c.SEGMENT_HOOK] == 0
    assert cells[c.SEGMENT_CHECKS] == 0
    assert not cells[c.ATTENTION] & c.ATTENTION_UNIT


def test_a_prefix_alone_pays_for_its_segment(machine):
    """FS is not plain: the block that uses it is checked, all others are as fast as ever."""
    use = b"\x64\xa1\x00\x00\x00\x00"  # mov eax, fs:[0]
    run(machine, load(4, SMALL) + use + rounds(5000))
    assert machine.processor.counts["unchecked"] == 1
    assert machine.processor.cells[c.SEGMENT_HOOK] == 0


def test_all_code_is_checked_while_ds_is_not_plain_and_freed_afterwards(machine):
    cells = machine.processor.cells
    run(machine, load(3, SMALL) + b"\xa1\x00\x00\x00\x00" + load(3, FLAT) + rounds(10))
    assert cells[c.SEGMENT_HOOK] == 1
    checked = cells[c.SEGMENT_CHECKS]
    assert checked >= 2
    for _ in range(2):
        run(machine, rounds(CALM // 5 + 1000))
    run(machine, rounds(10))
    assert cells[c.SEGMENT_HOOK] == 0
    assert cells[c.SEGMENT_CHECKS] == checked


def test_a_segment_that_shrinks_again_is_noticed_by_code_that_counts_itself(machine):
    """The loop runs flat, is translated and counts itself; then its segment is 64 KB, whose end it passes."""
    run(machine, load(3, FLAT) + rounds(2000))
    stop = run(machine, load(3, SMALL) + rounds(2000))
    assert stop.reason is StopReason.SHUTDOWN  # nobody handles its #GP
    assert machine.memory.read(DATA, 4) == (2000).to_bytes(4, "little")


def test_many_blocks_are_checked_all_together(machine):
    """A hook for each block is asked for at each instruction that is translated: they must not become many."""
    use = b"\x64\xa1\x00\x00\x00\x00\xeb\x00"  # mov eax, fs:[0]; jmp +0
    run(machine, load(4, SMALL) + use * (MOST_CHECKED + 20) + b"\xf4")
    assert machine.processor.cells[c.SEGMENT_HOOK] == 1
    assert len(machine.processor.core._given_checks) == 0
    run(machine, load(4, FLAT) + rounds(CALM // 2) + b"\xf4")
    run(machine, load(4, SMALL) + use * 3 + b"\xf4")
    assert machine.processor.cells[c.SEGMENT_HOOK] == 0
    assert len(machine.processor.core._given_checks) == 3


def test_a_block_that_uses_a_plain_segment_counts_itself(machine):
    """Counted in place as long as FS is plain; the same block is checked when it is not, and counted again after."""
    count = 3000
    loop = b"\xb9" + count.to_bytes(4, "little") + b"\x64\xff\x05\x00\x00\x03\x00\x49\x75\xf6\xf4"  # inc fs:[DATA]
    run(machine, load(4, FLAT) + loop)
    assert machine.point.instructions == 2 + 1 + 3 * count + 1
    assert machine.point.branches == count
    assert run(machine, load(4, SMALL) + loop).reason is StopReason.SHUTDOWN  # nobody handles its #GP
    assert machine.memory.read(DATA, 4) == count.to_bytes(4, "little")
    before = machine.point.instructions
    assert run(machine, load(4, FLAT) + loop).reason is StopReason.HALTED
    assert machine.point.instructions - before == 2 + 1 + 3 * count + 1
    assert machine.memory.read(DATA, 4) == (2 * count).to_bytes(4, "little")
