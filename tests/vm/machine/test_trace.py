"""Tracing a processor: blocks are told apart by what is in them, and the processor counts as before afterwards."""

import numpy as np
import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.probes import block
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.trace import LARGE, Pool, Tracer
from labkit.vm.monitor import Monitor
from labkit.vm.replay.trace_columns import Columns

CODE = 0x10000
LOOP = b"\xb9\x40\x00\x00\x00" + b"\x40\xe2\xfd" + b"\xeb\xfe"  # mov ecx, 64; L: inc eax; loop L; jmp $
LOOPED = 1 + 2 * 64 + 1


def test_other_code_in_the_place_of_a_block_is_another_block(bare) -> None:
    """The frame's generation comes a second time: the code has stored beside itself, then it was replaced."""
    processor = bare.machine.processor
    tracer = Tracer(processor, memory=False)
    with tracer.tracing():
        # mov byte [CODE + 100h], 90h; jmp $
        bare.run(b"\xc6\x05" + (CODE + 0x100).to_bytes(4, "little") + b"\x90\xeb\xfe", 2)
        bare.registers.eip = CODE
        bare.run(b"\x40" * 7 + b"\xeb\xfe", 8)  # as many bytes
        batch = Columns().batch(tracer.take())
    assert batch.linear.tolist() == [CODE, CODE + 7, *range(CODE, CODE + 8)]
    assert batch.size.tolist() == [7, 2, *[1] * 7, 2]


def test_blocks_count_themselves_again_after_tracing(bare) -> None:
    core = bare.machine.processor.core
    if not core._sites.address:
        pytest.skip("calls stay calls on this host")
    tracer = Tracer(bare.machine.processor)
    with tracer.tracing():
        bare.run(LOOP, LOOPED)
    assert core._sites.count > 0  # blocks have noted themselves
    core._sites._descriptions[:] = 0
    bare.registers.eip = CODE
    bare.run(b"", LOOPED)
    assert core._sites.count > 0
    assert bare.clock == 2 * LOOPED


@pytest.mark.parametrize("mmu", ["labkit", "keyed paging", "unicorn"])
def test_the_hook_that_counted_before_is_given_back(make_bare, mmu: str) -> None:
    bare = make_bare(mmu=mmu)
    core = bare.machine.processor.core
    before = core.count_with(block.block_hook)
    assert core.count_with(before) is block.block_hook
    bare.run(LOOP, LOOPED)
    assert bare.clock == LOOPED
    assert core.count_with(before) is before


def test_hooks_come_and_go_without_a_walk_of_the_guests_tables() -> None:
    """Code of other address spaces is dropped with a hook: looking it up sets no accessed bit, fills no TLB."""
    machine = Machine(memory=8 << 20)
    machine.load(guests.boot("teaching", memory=8 << 20))
    machine.board.serial.type(b"forks 2\n")
    monitor = Monitor(machine)
    processor = machine.processor
    for _ in range(12):
        monitor.run(25_000)
        tracer = Tracer(processor, walks=True)
        before = machine.ram_sha256(), int(processor.cells[c.TLB_COUNT]), int(processor.cells[c.TLB_EPOCH])
        with tracer.tracing():
            capture = tracer.take()
        assert capture.walks is not None
        assert not len(capture.walks)
        assert before == (machine.ram_sha256(), processor.cells[c.TLB_COUNT], processor.cells[c.TLB_EPOCH])


@pytest.mark.parametrize("kind", [np.uint8, np.uint64])
@pytest.mark.parametrize("size", [LARGE // 2, 2 * LARGE])
def test_arrays_are_used_again_once_no_part_of_them_is_held(kind: type, size: int) -> None:
    pool, count = Pool(), size // np.dtype(kind).itemsize
    first = pool.array(count, kind)
    address, part = first.ctypes.data, first[5:10].reshape(-1, 1)
    assert (len(first), first.dtype) == (count, kind)
    assert pool.array(count, kind).ctypes.data != address
    del first
    assert address not in {array.ctypes.data for array in [pool.array(count, kind) for _ in range(3)]}
    del part
    assert address in {array.ctypes.data for array in [pool.array(count - 1, kind) for _ in range(4)]}
    assert pool.array(count // 100, kind).ctypes.data != address  # it would be a waste
