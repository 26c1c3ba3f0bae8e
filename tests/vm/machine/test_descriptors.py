"""Descriptors: every bit comes back, and what a running guest's tables say is what its processor holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine import Machine
from labkit.vm.machine.descriptors import (
    CALL_GATE_FIELDS,
    GATE_FIELDS,
    SEGMENT_FIELDS,
    TASK_GATE_FIELDS,
    GateDescriptor,
    SegmentDescriptor,
    decode,
    fields_of,
    from_bytes,
)
from labkit.vm.machine.paging import translate
from labkit.vm.monitor import Monitor

words = st.integers(0, 0xFFFFFFFF)


@given(words, words)
def test_segments_keep_all_bits_gates_all_but_the_reserved_ones(low: int, high: int):
    decoded = decode(low, high)
    kept = (0xFFFFFFFF, 0xFFFFFFFF)
    if isinstance(decoded, GateDescriptor):
        kept = (0xFFFFFFFF, 0xFFFFEF1F if decoded.type in (4, 12) else 0xFFFFEF00)
        if decoded.type == 5:
            kept = (0xFFFF0000, 0x0000EF00)
    assert decoded.encode() == (low & kept[0], high & kept[1])
    assert decode(*decoded.encode()) == decoded
    assert str(decoded)


@given(words, words)
def test_the_fields_cover_both_words_without_overlap(low: int, high: int):
    value = [0, 0]
    for field in fields_of(low, high):
        value[field.word] |= field.of(low, high) << field.low
    assert value == [low, high]


@pytest.mark.parametrize("fields", [SEGMENT_FIELDS, GATE_FIELDS, CALL_GATE_FIELDS, TASK_GATE_FIELDS])
def test_each_bit_belongs_to_one_field(fields):
    bits = sorted((field.word, bit) for field in fields for bit in range(field.low, field.high + 1))
    assert bits == [(word, bit) for word in (0, 1) for bit in range(32)]


def test_known_entries():
    flat = decode(0x0000FFFF, 0x00CF9A00)
    assert str(flat) == "code, readable: base 00000000, limit ffffffff, DPL 0"
    assert str(decode(0x00604A1F, 0xC010EF00)) == "32-bit trap gate: to 0060:c0104a1f, DPL 3"
    assert str(decode(0x00F80000, 0x00000500)) == "task gate: to 00f8, DPL 0, not present"
    assert decode(0, 0x00000800).kind == "reserved type 8"
    assert decode(0x10, 0x9600).expands_down
    with pytest.raises(ValueError, match="8 bytes"):
        from_bytes(b"\0" * 7)


@pytest.fixture(scope="module")
def teaching() -> Machine:
    from labkit.guests import boot

    machine = Machine(memory=32 << 20)
    machine.load(boot("teaching", memory=32 << 20))
    Monitor(machine).run(instructions=3_000_000)
    return machine


def table(machine: Machine, base: int, limit: int) -> list[bytes]:
    found = []
    for entry in range((limit + 1) // 8):
        physical = translate(machine.registers, machine.memory, base + 8 * entry)
        assert physical is not None
        found.append(bytes(machine.memory.read(physical, 8)))
    return found


def test_the_gdt_says_what_the_processor_holds(teaching: Machine):
    registers = teaching.registers
    entries = table(teaching, *registers.gdtr)
    for name in ("cs", "ss", "ds", "es"):
        held = getattr(registers, name)
        decoded = from_bytes(entries[held.selector >> 3])
        assert isinstance(decoded, SegmentDescriptor)
        assert (decoded.base, decoded.last) == (held.base, held.limit), name
        assert decoded.present
    assert from_bytes(entries[registers.cs.selector >> 3]).code
    assert from_bytes(entries[registers.tr.selector >> 3]).kind.startswith("32-bit TSS")


def test_the_idt_leads_into_the_kernels_code(teaching: Machine):
    registers = teaching.registers
    gates = [from_bytes(entry) for entry in table(teaching, *registers.idtr)]
    present = [gate for gate in gates if isinstance(gate, GateDescriptor) and gate.present]
    assert len(present) >= 32
    for gate in present:
        assert translate(registers, teaching.memory, gate.offset) is not None
    assert {gate.dpl for gate in present} == {0, 3}, "the system call's gate is open to user mode"
