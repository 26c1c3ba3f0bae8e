"""What a port access brings about comes at its instruction, whatever the translator leaves to the monitor meanwhile."""


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
