"""A call through a gate to an inner ring, whatever the guest has left in its task register."""

import struct

import pytest

from labkit.vm.machine.registers import CS, SS, TR
from tests.vm.conftest import CODE, DATA3, GDT, TSS, VECTOR, descriptor, gate, word

INNER_CODE, INNER_DATA, GATE, INNER_STACK = 0x38, 0x40, 0x48, 0x7000
ENTRY, TARGET = CODE + 0x100, CODE + 0x200


@pytest.fixture(params=[0, 1, 2])
def ring(request) -> int:
    return request.param


@pytest.fixture
def caller(bare, ring):
    """A machine that goes to ring 3 by IRET and calls a gate to `ring`."""
    bare.put(GDT + INNER_CODE, descriptor(0, 0xFFFFF, 0x9B | ring << 5))
    bare.put(GDT + INNER_DATA, descriptor(0, 0xFFFFF, 0x93 | ring << 5))
    bare.put(GDT + GATE, gate(TARGET, INNER_CODE | ring, 0xEC))
    bare.registers.segments[8].limit = GATE + 7
    bare.put(TSS + 4, (word(INNER_STACK) + word(INNER_DATA | ring)) * 3)
    frame = b"".join(b"\x68" + word(value) for value in (DATA3, 0x9000, 2, 0x1B, CODE))
    bare.put(ENTRY, frame + b"\xcf")
    bare.put(CODE, b"\x9a" + struct.pack("<IH", 0, GATE | 3))
    bare.put(TARGET, b"\xeb\xfe")
    bare.registers.eip = ENTRY
    return bare


@pytest.mark.parametrize("kind", [0x8900, 0x8B00], ids=["available", "busy"])
def test_the_gate_leads_inward_to_the_stack_of_that_ring(caller, ring, kind):
    caller.registers.segments[TR].flags = kind
    caller.monitor.run(10)
    segments = caller.registers.segments
    assert (segments[CS].selector, segments[SS].selector) == (INNER_CODE | ring, INNER_DATA | ring)
    assert caller.registers.eip == TARGET
    assert caller.registers.general[4] == INNER_STACK - 16


@pytest.mark.parametrize("kind", [0, 0x0B00, 0x0900])
def test_without_a_task_state_segment_there_is_no_stack(caller, kind):
    """Unicorn ends the process there; and so does the fault's own delivery end the machine, for want of a stack."""
    caller.registers.segments[TR].flags = kind
    caller.registers.segments[TR].limit = 0
    stop = caller.monitor.run(30)
    assert stop.reason.value == "shutdown"
    assert int.from_bytes(caller.get(VECTOR), "little") == 0xFFFF
