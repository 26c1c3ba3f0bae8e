"""Nonmaskable interrupts from the local APIC: taken with IF clear, one at a time, and exact however a run is cut."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.vm.monitor import StopReason

CODE, HANDLER, IDT, COUNT = 0x10000, 0x18000, 0x2000, 0x700
ICR, NMI_TO_SELF = 0xFEE00300, 0x40400
VIA_IRET = b"\xff\x05" + COUNT.to_bytes(4, "little") + b"\xcf"  # inc dword [COUNT]; iret
SEND = b"\xc7\x05" + ICR.to_bytes(4, "little") + NMI_TO_SELF.to_bytes(4, "little")  # mov dword [ICR], ...


def handler(bare: Any, code: bytes = VIA_IRET) -> None:
    bare.put(HANDLER, code)
    gate = (HANDLER & 0xFFFF | 8 << 16).to_bytes(4, "little") + (HANDLER & 0xFFFF0000 | 0x8E00).to_bytes(4, "little")
    bare.put(IDT + 8 * 2, gate)


@pytest.mark.parametrize("step", [None, 1])
def test_sent_to_itself_it_is_taken_before_the_next_instruction(bare: Any, step: int | None) -> None:
    handler(bare)
    bare.put(CODE, SEND + b"\xa1" + COUNT.to_bytes(4, "little") + b"\xf4")  # mov eax, [COUNT]; hlt
    while bare.monitor.run(step).reason == "instructions":
        pass
    assert (bare.registers.general[0], bare.clock) == (1, 5)


def test_another_waits_for_the_end_of_the_handler(make_bare: Callable[[], Any]) -> None:
    def run(step: int | None) -> tuple[int, int, str]:
        bare = make_bare()
        # the first time (COUNT = 0) the handler sends another and looks at COUNT again before its end
        inside = SEND + b"\xff\x05" + COUNT.to_bytes(4, "little") + b"\x8b\x1d" + COUNT.to_bytes(4, "little")
        # cmp dword [COUNT], 0; jne behind
        handler_code = b"\x83\x3d" + COUNT.to_bytes(4, "little") + b"\x00\x75" + bytes((len(inside) + 1,))
        handler(bare, handler_code + inside + b"\xcf" + VIA_IRET)
        bare.put(CODE, SEND + b"\x90\xf4")
        while bare.monitor.run(step).reason == "instructions":
            pass
        return bare.registers.general[3], bare.number(COUNT), bare.machine.registers_sha256()

    found = run(None)
    assert found[:2] == (1, 2)
    assert found == run(1) == run(3)


def test_it_ends_a_halt_with_interrupts_off(bare: Any) -> None:
    handler(bare)
    lapic = bare.machine.board.lapic
    bare.put(CODE, b"\xf4\x40\xf4")
    assert bare.run().reason is StopReason.HALTED
    lapic.write_mmio(0x300, 4, NMI_TO_SELF)
    assert bare.run().reason is StopReason.HALTED
    assert (bare.number(COUNT), bare.registers.general[0], bare.clock) == (1, 1, 5)


def test_a_halt_within_the_handler_does_not_spin(bare: Any) -> None:
    handler(bare, SEND + b"\xf4\xcf")
    bare.put(CODE, SEND + b"\x90\xf4")
    assert bare.run().reason is StopReason.HALTED
    assert bare.clock == 3


def test_a_stack_switch_is_not_broken_up(bare: Any) -> None:
    handler(bare)
    # mov eax, ss; mov ss, eax; mov esp, 7000h; hlt      the NMI comes when MOV SS has retired
    bare.put(CODE, b"\x8c\xd0\x8e\xd0\xbc\x00\x70\x00\x00\xf4")
    bare.put(0x7000 - 12, b"\xee" * 12)
    bare.monitor.run(2)
    bare.machine.board.lapic.write_mmio(0x300, 4, NMI_TO_SELF)
    bare.run()
    assert bare.number(0x7000 - 12) == CODE + 9


def test_a_waiting_one_is_part_of_a_checkpoint(bare: Any) -> None:
    handler(bare)
    bare.put(CODE, b"\x90\x90\xf4")
    bare.monitor.run(1)
    before = bare.machine.checkpoint()
    bare.machine.board.lapic.write_mmio(0x300, 4, NMI_TO_SELF)
    waiting = bare.machine.checkpoint()
    bare.run()
    assert bare.number(COUNT) == 1
    for checkpoint, count in ((waiting, 1), (before, 0)):
        bare.machine.restore(checkpoint)
        bare.run()
        assert bare.number(COUNT) == count
