"""What a guest does that leaves it: delivery, checks that Unicorn leaves out, device registers, wrong turns."""

import pytest

from labkit.vm.replay import Timeline

CODE, IDT, GDT, TSS, STACK = 0x10000, 0x2000, 0x1000, 0x6000, 0x9000
LAPIC, IOAPIC = 0xFEE00000, 0xFEC00000
TPR, VERSION = 0x80, 0x30
GP, NP, UD, DF = 13, 11, 6, 8


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


# --- delivery


def test_a_fault_in_ring_3_pushes_stack_flags_code_and_error(bare) -> None:
    bare.user()
    bare.run(b"\xf4")  # hlt
    assert bare.vector == GP
    assert bare.frame(6) == [0, CODE, 0x1B, 0x10002, 0x8000, 0x23]  # RF: a fault


def test_int_n_through_a_gate_of_ring_0_is_a_fault_of_the_instruction(bare) -> None:
    bare.user()
    bare.run(b"\xcd\x30")
    assert bare.vector == GP
    assert bare.frame(6)[:2] == [0x30 * 8 + 2, CODE]
    assert bare.clock == 3  # mov, cli, hlt of the handler: INT never retired


def test_int_n_through_a_gate_that_is_not_present(bare) -> None:
    bare.put(IDT + 8 * 0x30 + 5, b"\x6e")  # DPL 3, P = 0
    bare.user()
    bare.run(b"\xcd\x30")
    assert bare.vector == NP
    assert bare.frame(6)[0] == 0x30 * 8 + 2


def test_a_fault_on_the_way_to_a_fault_is_a_double_fault(bare) -> None:
    bare.put(IDT + 8 * GP + 5, b"\x0e")  # #GP's gate is not present: #NP on the way, then #DF
    bare.user()
    bare.run(b"\xf4")
    assert bare.vector == DF
    assert bare.frame(6)[:2] == [0, CODE]


def test_nothing_left_is_a_triple_fault(bare) -> None:
    bare.registers.segments[9].limit = 0
    stop = bare.run(b"\x0f\x0b")
    assert stop.reason == "shutdown"
    assert bare.clock == 0


# --- checks


def allow_ports(bare) -> None:
    bare.put(TSS + 0x64, word(0x68 << 16))
    bare.put(TSS + 0x68, bytes(0x2000) + b"\xff")


def test_ports_in_ring_3_need_the_bitmap(bare) -> None:
    bare.user()
    bare.run(b"\x90\xe4\x61\xf4")
    assert (bare.vector, bare.frame(6)[1]) == (GP, CODE + 1)


@pytest.mark.parametrize("denied", [None, 0x61, 0x62])
def test_each_byte_of_a_port_needs_its_bit(bare, denied: int | None) -> None:
    allow_ports(bare)
    if denied:
        bare.put(TSS + 0x68 + denied // 8, bytes((1 << denied % 8,)))
    bare.user()
    bare.run(b"\x66\xe5\x61\xf4")  # in ax, 61h; hlt
    assert bare.frame(6)[1] == (CODE if denied else CODE + 3)


def test_a_stop_asked_for_by_a_checked_port_access_is_met_exactly(bare) -> None:
    allow_ports(bare)
    bare.user()
    processor = bare.machine.processor
    seen = []

    def write(_port: int, _size: int, _value: int) -> None:
        seen.append(processor.clock)
        processor.advance_deadline(processor.clock + 5)

    processor.write_port = write
    bare.put(CODE, b"\x90\xe6\x80" + b"\x90" * 40)
    found = processor.run(1000)
    assert (seen, found.kind, processor.clock) == ([1], "deadline", 6)


def test_rdtsc_in_ring_3_with_tsd(bare) -> None:
    bare.user()
    bare.registers.cr4 = 4
    bare.run(b"\x90\x0f\x31\xf4")
    assert (bare.vector, bare.frame(6)[1]) == (GP, CODE + 1)


def test_sysenter_without_a_code_segment_even_behind_cmpxchg8b(bare) -> None:
    bare.run(b"\x0f\xc7\x0d" + word(0x8000) + b"\x0f\x34")
    assert bare.vector == GP


# --- time


@pytest.mark.parametrize("step", [None, 1, 3])
def test_the_time_of_a_port_access_is_that_of_its_instruction(bare, step: int | None) -> None:
    seen = []
    bare.machine.processor.write_port = lambda _port, _size, _value: seen.append(bare.clock)
    bare.put(CODE, b"\x90\xe6\x80\x90\x90\xe6\x80\x0f\x31\xf4")  # nop, out, nop, nop, out, rdtsc, hlt
    while bare.monitor.run(step).reason == "instructions":
        pass
    assert seen == [1, 4]
    assert int(bare.registers.general[0]) == 5


# --- device registers


def with_lapic(bare, code: bytes) -> None:
    bare.registers.general[6], bare.registers.general[7] = LAPIC, IOAPIC
    bare.last = bare.run(code + b"\xf4")


def tpr(bare) -> int:
    return bare.machine.board.lapic.read_mmio(TPR, 4)


SET = b"\xc7\x86" + word(TPR)
ODD = {
    "mov byte": (b"\xc6\x86" + word(TPR) + b"\x20", 0x20),
    "or, and": (SET + word(0x20) + b"\x83\x8e" + word(TPR) + b"\x03\x83\xa6" + word(TPR) + b"\xfe", 0x22),
    "xchg": (b"\xb8" + word(0x30) + b"\x87\x86" + word(TPR), 0x30),
    "push, pop": (SET + word(0x50) + b"\xff\xb6" + word(TPR) + SET + word(0) + b"\x8f\x86" + word(TPR), 0x50),
    "movs": (b"\x81\xc6" + word(VERSION) + b"\xbf" + word(LAPIC + TPR) + b"\xa5", 0x14),
    "lock inc": (SET + word(0x40) + b"\xf0\xff\x86" + word(TPR), 0x41),
    "and that changes nothing": (SET + word(0x40) + b"\x83\xa6" + word(TPR) + b"\xff", 0x40),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_instructions_on_device_registers(bare, name: str) -> None:
    code, expected = ODD[name]
    with_lapic(bare, code)
    assert bare.last.reason == "halted"
    assert tpr(bare) == expected


def test_one_instruction_on_two_devices_is_refused(bare) -> None:
    with_lapic(bare, b"\xa5")  # movs [IOAPIC], [LAPIC]
    assert bare.last.reason == "failure"
    assert "two devices" in bare.last.message


# --- wrong turns


def test_rom_stays_as_it_is_and_the_guest_goes_on(bare) -> None:
    stop = bare.run(b"\xc6\x05" + word(0xC0000) + b"\x55\xf4")
    assert (stop.reason, bare.get(0xC0000, 1), bare.clock) == ("halted", b"\0", 2)
    assert bare.monitor.exits["rom write"] == 1


def test_nowhere(bare) -> None:
    stop = bare.run(b"\xe9" + word(0x50000000 - CODE - 5))
    assert (stop.reason, bare.clock) == ("nowhere", 1)
    assert "50000000" in stop.message


def test_halted_with_interrupts_off(bare) -> None:
    assert bare.run(b"\xf4").reason == "halted"
    assert bare.clock == 1


@pytest.mark.parametrize("step", [None, 1, 2, 3])
def test_a_block_that_runs_into_a_missing_page_faults_when_it_gets_there(bare, step: int | None) -> None:
    flat = [i << 12 | 7 for i in range(1024)]
    flat[CODE // 4096 + 1] = 0
    bare.put(0x200000, b"".join(map(word, flat)))
    bare.put(0x201000, word(0x200007) + bytes(4092))
    bare.registers.cr3, bare.registers.eip = 0x201000, CODE + 0xFFC
    bare.registers.cr0 |= 0x80000000
    bare.put(CODE + 0xFFC, b"\x40\x40\x40\xb8")  # three INC, and MOV EAX, imm32 that is cut
    while bare.monitor.run(step).reason == "instructions":
        pass
    assert bare.vector == 14
    assert bare.frame(4, stack=0x8000)[1] == CODE + 0xFFF
    assert (bare.registers.cr2, int(bare.registers.general[0]), bare.clock) == (CODE + 0x1000, 3, 3 + 3)


def test_int_8_is_no_double_fault(bare) -> None:
    bare.user()
    assert bare.run(b"\xcd\x08").reason == "halted"
    assert bare.vector == GP
    assert bare.frame(6)[:2] == [DF * 8 + 2, CODE]


def paged(bare, supervisor: int) -> None:
    """Flat 4 KB pages for everybody, but one."""
    entries = b"".join(word(i << 12 | (3 if i == supervisor >> 12 else 7)) for i in range(1024))
    bare.put(0x200000, entries)
    bare.put(0x201000, word(0x200007))
    bare.registers.cr3, bare.registers.cr0 = 0x201000, bare.registers.cr0 | 1 << 31
    bare.machine.processor.flush_tlb()


LOADS = {"mov es, [GDT]": b"\x8e\x05" + word(GDT), "les eax, [GDT]": b"\xc4\x05" + word(GDT),
         "mov es, [si]": b"\x67\x8e\x04", "pop es": b"\x07"}  # fmt: skip


@pytest.mark.parametrize("load", LOADS.values(), ids=LOADS)
def test_ring_3_cannot_read_a_descriptor_table_by_loading_a_segment_from_it(bare, load: bytes) -> None:
    paged(bare, GDT)
    bare.user()
    bare.registers.general[4] = GDT if load == b"\x07" else 0x8000
    bare.registers.general[6] = GDT
    bare.run(load + b"\xc7\x05" + word(GDT) + word(0x12345678) + b"\xeb\xfe")
    assert bare.number(GDT) == 0
    assert bare.vector == 14
    assert bare.frame(6)[:2] == [5, CODE]


def test_ring_3_loads_segments_from_a_table_of_the_supervisor(bare) -> None:
    paged(bare, GDT)
    bare.user()
    bare.run(b"\x66\xb8\x23\x00\x8e\xc0\x8e\xc0\xf4")  # mov ax, 23h; mov es, ax; mov es, ax; hlt
    assert bare.vector == GP
    assert bare.machine.registers.es.selector == 0x23


def test_a_second_timeline_on_a_machine(bare) -> None:
    bare.put(CODE, b"\xff\x05" + word(0x8000) + b"\xeb\xf8")  # inc dword [8000h]; jmp
    for _ in range(2):
        timeline = Timeline(bare.machine)
        timeline.run(100)
        written = timeline.last_writer(0x8000)
        assert written is not None
        assert written.point.instructions >= timeline.end - 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_comes_before_a_hook_begins_ends_the_run(bare, monkeypatch) -> None:
    def interrupted(*_arguments: int) -> tuple[int, int, int, int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(bare.machine.processor, "cpuid", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bare.run(b"\x0f\xa2\xeb\xfe")
    assert not bare.machine.halted
