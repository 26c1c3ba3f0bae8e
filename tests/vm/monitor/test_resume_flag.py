"""RF in the flags that a delivery saves, as the manual has it (SDM volume 3B, 18.3.1.1)."""

from collections.abc import Callable
from typing import Any

import pytest

CODE, IDT, TSS, RF, TF = 0x10000, 0x2000, 0x6000, 0x10000, 0x100
STACK = 0x8000
FLAGS = STACK - 4


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def push(value: int) -> bytes:
    return b"\x68" + word(value)


def iret_to(address: int, flags: int) -> bytes:
    """Code that goes to `address` with these flags; the stack is then as before."""
    return push(flags | 2) + push(8) + push(address) + b"\xcf"


@pytest.mark.parametrize(
    ("code", "vector"),
    [(b"\x0f\x0b", 6), (b"\x31\xc9\xf7\xf1", 0), (b"\xb8\xf0\xff\0\0\x8e\xd8", 13)],
    ids=["#UD", "#DE", "#GP"],
)
def test_a_fault_saves_it(bare: Any, code: bytes, vector: int) -> None:
    bare.run(code)
    assert bare.vector == vector
    assert bare.number(FLAGS) & RF


@pytest.mark.parametrize("code", [b"\xcc\xf4", b"\xcd\x40\xf4", b"\xcd\x0d\xf4"], ids=["INT3", "INT 40h", "INT 0Dh"])
def test_an_int_instruction_does_not(bare: Any, code: bytes) -> None:
    bare.run(code)
    assert bare.vector in (3, 0x40, 0xD)
    assert bare.number(FLAGS) & RF == 0


def test_an_int_whose_gate_faults_does(bare: Any) -> None:
    bare.put(IDT + 8 * 0x40 + 5, b"\x0e")  # not present: #NP
    bare.run(b"\xcd\x40\xf4")
    assert bare.vector == 11
    assert bare.number(FLAGS) & RF


def test_a_trap_does_not(bare: Any) -> None:
    bare.registers.eflags |= TF
    bare.run(b"\x40\x40\xf4")
    assert bare.vector == 1
    assert bare.number(FLAGS) & RF == 0


def interrupt_at(bare: Any, clock: int) -> int:
    """Run to a clock, take an interrupt there: the flags that it saves."""
    if clock:
        bare.monitor.run(clock)
    bare.monitor._delivery.interrupt(0x40)
    bare.run()
    assert bare.vector == 0x40
    return int(bare.number(int(bare.registers.general[4] & 0xFFFFFFFF) + 8))


@pytest.mark.parametrize(("clock", "kept"), [(3, 0), (4, RF), (5, 0), (6, 0)])
@pytest.mark.parametrize("step", [False, True])
def test_iret_sets_it_for_one_instruction(bare: Any, clock: int, kept: int, step: bool) -> None:
    code = iret_to(CODE + 0x100, RF)
    bare.put(CODE, code)
    bare.put(CODE + 0x100, b"\x40\x41\x42\x43\xeb\xfa")
    if step:
        for _ in range(clock):
            bare.monitor.run(1)
        clock = 0
    assert interrupt_at(bare, clock) & RF == kept


@pytest.mark.parametrize("step", [None, 1])
def test_registers_show_it_wherever_the_run_stops(bare: Any, step: int | None) -> None:
    bare.put(CODE, iret_to(CODE + 0x100, RF))
    bare.put(CODE + 0x100, b"\x40" * 20 + b"\xf4")
    seen = []
    if step:
        for _ in range(8):
            bare.monitor.run(1)
            seen.append(bare.machine.registers.eflags & RF)
    else:
        for _ in range(2):
            bare.monitor.run(4)
            seen.append(bare.machine.registers.eflags & RF)
    assert seen == ([0, 0, 0, RF, 0, 0, 0, 0] if step else [RF, 0])


def test_a_loop_after_iret_ends_the_same_however_it_is_cut(make_bare: Callable[[], Any]) -> None:
    def run(step: int | None) -> tuple[str, int]:
        bare = make_bare()
        # a page of INC EAX that IRET leads into with RF, then INT 40h, whose handler keeps what was saved
        bare.put(CODE, iret_to(CODE + 0x100, RF) + b"\xf4")
        bare.put(CODE + 0x100, b"\x40" * 100 + b"\xeb\x02\x90\x90\xcd\x40")
        while bare.monitor.run(step).reason == "instructions":
            pass
        assert bare.vector == 0x40
        return bare.machine.registers_sha256(), bare.number(FLAGS)

    assert run(None) == run(1) == run(3)
    assert run(None)[1] & RF == 0


def test_an_interrupt_within_a_repeated_instruction_saves_it(bare: Any) -> None:
    registers = bare.registers
    registers.general[1], registers.general[7] = 100, 0x20000
    bare.put(CODE, b"\x90\xf3\xaa\xf4")
    assert interrupt_at(bare, 50) & RF
    assert bare.registers.general[1] == 100 - 49


@pytest.mark.parametrize("clock", [1, 101])
def test_before_and_behind_it_does_not(bare: Any, clock: int) -> None:
    registers = bare.registers
    registers.general[1], registers.general[7] = 100, 0x20000
    bare.put(CODE, b"\x90\xf3\xaa\xf4")
    assert interrupt_at(bare, clock) & RF == 0


def test_a_fault_through_a_task_gate_saves_it_in_the_task(bare: Any) -> None:
    bare.put(IDT + 8 * 6, b"\0\0\x30\0\0\x85\0\0")
    task = TSS + 0x800
    values = {0x20: CODE + 0x100, 0x24: RF | 2, 0x38: 0x7000, 0x48: 0x10, 0x4C: 8, 0x50: 0x10, 0x54: 0x10}
    for at, value in values.items():
        bare.put(task + at, word(value))
    bare.put(CODE + 0x100, b"\x40\xf4")
    bare.run(b"\x0f\x0b")
    assert bare.number(TSS + 0x24) & RF
    assert bare.registers.eip == CODE + 0x102
    assert bare.machine.registers.eflags & RF == 0


def test_a_breakpoint_is_off_for_the_instruction_that_iret_leads_to(bare: Any) -> None:
    target = CODE + 0x100
    for step in (None, 1):
        bare.put(CODE, iret_to(target, RF))
        bare.put(target, b"\x40\x41\xf4")
        bare.registers.eip, bare.registers.general[4], bare.registers.eflags = CODE, STACK, 2
        bare.registers.debug[0] = target
        bare.put(CODE - 0x10, b"\xb8\x02\x00\x00\x00\x0f\x23\xf8\xeb\x06")  # mov eax, 2; mov dr7, eax; jmp CODE
        bare.put(0x500, word(0xFFFF))
        bare.registers.eip = CODE - 0x10
        while bare.monitor.run(step).reason == "instructions":
            pass
        assert bare.vector == 0xFFFF
