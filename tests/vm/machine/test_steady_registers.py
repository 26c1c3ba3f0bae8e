"""Loads of device registers that hold still: no exit, and nothing that a guest could tell."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.vm.machine.devices.lapic import LAPIC_BASE, Lapic
from labkit.vm.machine.probes.leaving import find_leaving

RESULTS = 0x20000
TASK_PRIORITY, CURRENT = 0x80, 0x390
# forms of a load from [ESI + disp32], each leaving what it saw in EAX or EFLAGS
LOADS = {
    "mov": "8b86",
    "mov byte": "8a86",
    "mov word": "668b86",
    "movzx word": "0fb786",
    "add": "0386",
    "cmp": "3b86",
    "test": "8586",
    "push": "ffb6",
    "xadd": "0fc186",  # a load and a store
    "or": "0986",
}
OFFSETS = (0x20, 0x23, 0x30, 0x32, 0x34, 0x80, 0x9C, 0xF0, 0x100, 0x1FC, 0x300, 0x320, 0x380, 0x390, 0x3E0)
ACCESS = st.tuples(st.sampled_from(sorted(LOADS)), st.sampled_from(OFFSETS))


def program(accesses) -> bytes:
    """The timer is started, then each access is made, and its outcome kept with the flags."""
    code = b"\xbe" + struct.pack("<I", LAPIC_BASE) + b"\xbf" + struct.pack("<I", RESULTS)
    code += bytes.fromhex("c7862003000020000100 c78680030000ffff0f00 b903000000")  # masked; ecx 3
    loop = b""
    for form, offset in accesses:
        load = bytes.fromhex(LOADS[form]) + struct.pack("<I", offset)
        loop += load + (b"\x58" if form == "push" else b"") + bytes.fromhex("ab 9c 58 ab 31c0")
    return code + loop + b"\x49\x0f\x85" + struct.pack("<i", -len(loop) - 7) + b"\xf4"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACCESS, min_size=1, max_size=12), st.lists(st.integers(1, 9), max_size=12))
def test_a_guest_cannot_tell(make_bare, accesses, steps):
    held, plain = make_bare(), make_bare()
    plain.machine.processor.held_registers.hold = lambda _physical, _value: None
    for bare in (held, plain):
        bare.put(0x10000, program(accesses))
    for count in steps:  # however the run is cut
        held.run(instructions=count)
    held.run()
    plain.run()
    assert held.machine.halted
    assert plain.machine.halted
    assert held.machine.registers_sha256() == plain.machine.registers_sha256()
    assert held.machine.ram_sha256() == plain.machine.ram_sha256()


def test_this_unicorn_lets_a_callback_refuse():
    assert find_leaving() is not None


def test_a_register_that_holds_still_is_read_without_exits(bare):
    # mov ecx, 100000; loop: add eax, [FEE00030h]; dec ecx; jnz; hlt
    stop = bare.run(bytes.fromhex("b9a0860100 31c0 0305 3000e0fe 49 75f7 f4"), 1_000_000)
    assert bare.machine.halted, stop
    assert bare.registers.general[0] == 0x00050014 * 100_000 & 0xFFFFFFFF
    assert bare.monitor.exits == {"hlt": 1}


def test_the_timer_is_read_with_an_exit_each_time(bare):
    bare.run(bytes.fromhex("a12000e0fe a19003e0fe a19003e0fe f4"))
    assert bare.monitor.exits == {"mmio": 2, "hlt": 1}


def test_a_store_is_seen_at_once(bare):
    # mov eax, [TPR]; mov ebx, 50h; mov [TPR], ebx; mov eax, [TPR]; hlt
    bare.run(bytes.fromhex("a18000e0fe bb50000000 891d8000e0fe a18000e0fe f4"))
    assert bare.registers.general[0] == 0x50


def test_a_restored_machine_reads_its_own_registers(bare):
    bare.run(bytes.fromhex("a18000e0fe c7058000e0fe40000000 a18000e0fe f4"), 1)
    before = bare.machine.checkpoint()
    bare.run(instructions=2)
    assert bare.registers.general[0] == 0x40
    bare.machine.restore(before)
    bare.put(0x10005, bytes.fromhex("a18000e0fe f4"))  # mov eax, [TPR]; hlt
    bare.run()
    assert bare.registers.general[0] == 0


def test_registers_that_change_by_themselves_are_not_held():
    changing = {0x90, 0xA0, 0x280, 0x350, 0x360, CURRENT, *range(0x100, 0x280, 16)}
    assert not any(Lapic.steady(offset) for offset in changing)
    assert Lapic.steady(TASK_PRIORITY)
