"""A guest that polls port 61h: most reads are answered without Python, and nothing else changes."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.vm.machine.probes import cells as c
from labkit.vm.monitor import EventKind

CODE = 0x10000
# counter 2 in mode 0 from 200h: count reads in ECX until OUT 2 is high; then add up 20 000 reads in EDX
PROGRAM = bytes.fromhex(
    "b001 e661 b0b0 e643 b000 e642 b002 e642"  # mov al, 1; out 61h, al; ... 43h, B0h; 42h, 0; 42h, 2
    "41 e461 a820 74f9"  # L: inc ecx; in al, 61h; test al, 20h; jz L
    "bb204e0000 31c0"  # mov ebx, 20000; xor eax, eax
    "e461 01c2 4b 75f9 f4"  # M: in al, 61h; add edx, eax; dec ebx; jnz M; hlt
)
LIMIT = 1_000_000


def outcome(bare: Any, step: int) -> tuple[Any, ...]:
    bare.put(CODE, PROGRAM)
    while bare.monitor.run(step).reason == "instructions":
        assert bare.clock < LIMIT
    registers = bare.machine.registers
    return registers, bare.clock, bare.monitor.exits["port in"]


@pytest.mark.parametrize("step", [LIMIT, 1009])
def test_the_same_as_with_a_listener(make_bare: Callable[[], Any], step: int) -> None:
    fast, slow = make_bare(), make_bare()
    events: list[Any] = []
    slow.monitor.on_event.append(events.append)
    quick = outcome(fast, step)
    assert quick == outcome(slow, step)
    reads = [event for event in events if event.kind is EventKind.PORT_IN]
    assert len(reads) == quick[2] > 10_000
    assert slow.machine.processor.cells[c.POLLED_READS] == 0
    assert fast.machine.processor.cells[c.POLLED_READS] > len(reads) * 9 // 10


def test_a_write_ends_it(bare: Any) -> None:
    # gate off in the middle: bit 0 reads what was written last
    bare.run(bytes.fromhex("b001 e661 e461 88c3 b000 e661 e461 88c7 f4"))
    assert int(bare.registers.general[3]) & 0x101 == 1
