"""Code that changes itself: what runs is what was stored last, and the clock counts each instruction once."""

import pytest

from labkit.guests import boot
from labkit.vm.machine import Machine
from labkit.vm.machine.probes import cells as c
from labkit.vm.monitor import Monitor

CODE = 0x10000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def finish(bare, program: bytes, step: int | None) -> int:
    bare.put(CODE, program)
    while bare.monitor.run(step).reason == "instructions":
        assert bare.clock < 1000
    return bare.clock


STEPS = pytest.mark.parametrize("step", [None, 1, 2, 3])


@STEPS
def test_a_store_into_the_next_instruction(bare, step) -> None:
    # mov byte [inc], dec eax; inc eax; hlt
    assert finish(bare, b"\xc6\x05" + word(CODE + 7) + b"\x48\x40\xf4", step) == 3
    assert int(bare.registers.general[0]) & 0xFFFFFFFF == 0xFFFFFFFF


@STEPS
def test_a_store_into_itself_counts_once(bare, step) -> None:
    # L: mov byte [L], 90h; hlt      first time through as it was, although it is changed
    assert finish(bare, b"\xc6\x05" + word(CODE) + b"\x90\xf4", step) == 2
    assert bare.get(CODE, 1) == b"\x90"


@STEPS
def test_a_loop_that_changes_its_own_counter_step(bare, step) -> None:
    # mov ecx, 4; L: add byte [imm], 1; add eax, imm8; loop L; hlt      eax = 1 + 2 + 3 + 4
    program = b"\xb9" + word(4) + b"\x80\x05" + word(CODE + 14) + b"\x01\x83\xc0\x00\xe2\xf4\xf4"
    assert finish(bare, program, step) == 1 + 4 * 3 + 1
    assert int(bare.registers.general[0]) == 10


@STEPS
def test_a_call_whose_return_address_falls_into_its_own_block(bare, step) -> None:
    # inc eax; call +0 with the stack so that the return address replaces what lies behind the call
    bare.registers.general[4] = CODE + 12
    # 0: inc eax  1: call 6  6: hlt ... 8: replaced
    assert finish(bare, b"\x40\xe8" + word(0) + b"\xf4\x90\x90\x90\x90\x90", step) == 3
    assert bare.number(CODE + 8) == CODE + 6


@STEPS
def test_a_repeated_store_over_itself(bare, step) -> None:
    # REP STOSB puts 40h (INC EAX) over its own prefix: the iteration that does so is its last
    bare.registers.general[0], bare.registers.general[1] = 0x40, 100
    bare.registers.general[7] = CODE - 3
    program = b"\xf3\xaa\x90\xf4"
    assert finish(bare, program, step) == 4 + 3 + 1
    # four iterations, CODE-3 to CODE; then CODE holds 40h AAh: inc eax, stosb
    assert bare.get(CODE - 3, 4) == b"\x40" * 4


@STEPS
@pytest.mark.parametrize("before", range(1, 8))
def test_a_store_that_lies_on_two_pages_counts_once(bare, step, before) -> None:
    # inc eax; mov byte [inc], dec eax; inc eax; hlt      `before` bytes of the store lie on the first page
    start = CODE + 0x1000 - 1 - before
    bare.registers.eip = start
    program = b"\x40\xc6\x05" + word(start + 8) + b"\x48\x40\xf4"
    bare.put(start, program)
    while bare.monitor.run(step).reason == "instructions":
        assert bare.clock < 1000
    assert (bare.clock, int(bare.registers.general[0])) == (4, 0)


def test_code_beside_a_mixed_frame_counts_itself(bare) -> None:
    # a store into its own page, then a loop of 20 000 rounds on another
    loop = CODE + 0x1000
    bare.put(loop, b"\xb9" + word(20_000) + b"\x40\x43\xe2\xfc\xf4")
    bare.put(CODE, b"\xc6\x05" + word(CODE + 0x100) + b"\x90\xe9" + word(loop - CODE - 12))
    bare.monitor.run(50)
    cells = bare.machine.processor.cells
    assert cells[c.MIXED]
    assert cells[c.ATTENTION] == 0  # which would be looked at in each round
    bare.monitor.run()
    assert bare.clock == 2 + 1 + 3 * 20_000 + 1


def test_the_selfmod_guest_ends_the_same_with_stops_everywhere() -> None:
    def run(step: int | None) -> tuple[str, str, int]:
        machine = Machine(memory=64 << 20)
        machine.load(boot("selfmod", memory=64 << 20))
        monitor = Monitor(machine)
        while monitor.run(step).reason == "instructions":
            pass
        return machine.ram_sha256(), machine.registers_sha256(), machine.processor.clock

    assert run(None) == run(7) == run(64)


def test_an_accessed_bit_that_changes_an_instruction(bare):
    table = 0x21000
    bare.put(0x20000, (table | 3).to_bytes(4, "little"))
    bare.put(table, b"".join((k << 12 | 3).to_bytes(4, "little") for k in range(1024)))
    # the entry of 300000h is code as well: 03 00 add eax,[eax], once accessed 23 00 and eax,[eax]; then 30 00, ret
    place = table + 4 * 0x300
    bare.put(place + 4, b"\xc3\0\0\0")
    code = bytes.fromhex("b800000200 0f22d8 0f20c0 0d00000080 0f22c0 b800000500 c70000010000")  # paging on
    call = b"\xe8" + (place - 0x10000 - len(code) - 5).to_bytes(4, "little")
    again = code + call + bytes.fromhex("89c3 b800000500 8b1500003000")
    call = b"\xe8" + (place - 0x10000 - len(again) - 5).to_bytes(4, "little")
    bare.run(again + call + b"\xf4")
    assert bare.registers.general[3] == 0x50100  # added
    assert bare.registers.general[0] == 0  # anded
