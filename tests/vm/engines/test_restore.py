"""A restored machine has other page tables: what was translated since is not taken for the code of its pages."""

from labkit.vm.engines import BinaryTranslator
from labkit.vm.monitor import Monitor

CODE, TABLES, PAGE = 0x10000, 0x100000, 0x400000
FIRST, SECOND = 0x5000, 0x30000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def test_a_page_leads_where_it_led(make_bare) -> None:
    bare = make_bare()
    monitor = Monitor(bare.machine, engine=BinaryTranslator(bare.machine.processor))
    bare.put(TABLES, word(0x83) + word(TABLES + 0x1000 | 3))
    bare.put(TABLES + 0x1000, word(FIRST | 3))
    bare.put(FIRST, b"\x43\xc3")  # inc ebx; ret
    bare.put(SECOND, b"\x41\xc3")  # inc ecx; ret
    bare.registers.cr3, bare.registers.cr4 = TABLES, 0x10
    bare.registers.cr0 |= 0x80000000
    call = b"\xb8" + word(PAGE) + b"\xff\xd0"
    bare.put(CODE, call + b"\xc7\x05" + word(TABLES + 0x1000) + word(SECOND | 3) + b"\x0f\x01\x38" + call + b"\xfa\xf4")
    start = bare.machine.checkpoint()
    for _ in range(3):
        monitor.run(10)  # to behind the second call; an instruction that the monitor does would forget it all
        assert [int(bare.registers.general[i]) for i in (3, 1)] == [1, 1]
        bare.machine.restore(start)
