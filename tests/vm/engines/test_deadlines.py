"""What a port access brings about comes at its instruction, whatever the translator leaves to the monitor meanwhile."""


from tests.vm.conftest import IDT, gate

HANDLER = 0x20000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def out(port: int, value: int) -> bytes:
    return bytes((0xB0, value, 0xE6, port))  # mov al, value; out port, al


INTERRUPTS = (
    out(0x20, 0x11) + out(0x21, 0x20) + out(0x21, 4) + out(0x21, 1) + out(0x21, 0xFE)  # 8259: IRQ 0 at vector 20h
    + out(0x43, 0x34) + out(0x40, 0x10) + out(0x40, 0)  # 8254: every 16 counts
)  # fmt: skip


def test_an_interrupt_that_a_port_access_has_set_up(both) -> None:
    # sti; L: clts (the monitor's); inc ebx; jmp L        the handler halts
    ran = both(INTERRUPTS + b"\x31\xc0\xfb\x0f\x06\x43\xeb\xfb")
    assert ran.bt.vector == 0x20
    assert ran.engine.counts["callouts"] > 500


def test_a_nonmaskable_interrupt_after_each_return_from_one(both) -> None:
    counter = b"\x42\xcf"  # inc edx; iret

    def prepare(bare) -> None:
        bare.put(HANDLER, counter)
        bare.put(IDT + 8 * 2, gate(HANDLER))

    send = b"\xc7\x05" + word(0xFEE00300) + word(0x44400) + b"\x90"  # to itself, by the local APIC's command register
    ran = both(b"\x31\xd2" + send * 3 + b"\xb9" + word(200) + b"\xe2\xfe\xf4", prepare)
    assert ran.bt.registers.general[2] == 3
