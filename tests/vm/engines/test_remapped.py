"""Code whose page leads to another frame: what was translated from the old one is not run as the new one's."""

CODE, TABLES, SHARED, OLD, NEW = 0x10000, 0x100000, 0x30000, 0x50000, 0x60000


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def call(target: int) -> bytes:
    return b"\xb8" + word(target) + b"\xff\xd0"  # mov eax, target; call eax


def paged(bare) -> None:
    """4 KB pages for the first 4 MB, accessed, each itself, but the shared one: it is the old frame."""
    entries = [frame << 12 | 0x23 for frame in range(1024)]
    entries[SHARED >> 12] = OLD | 0x23
    bare.put(TABLES, word(TABLES + 0x1000 | 3) + bytes(4092) + b"".join(map(word, entries)))
    bare.registers.cr3 = TABLES
    bare.registers.cr0 |= 0x80000000
    for frame, first in ((OLD, b"\x43"), (NEW, b"\x4b")):  # inc ebx, dec ebx
        bare.put(frame, first + b"\xc3")
        bare.put(frame + 0x100, b"\x41\xc3")  # inc ecx
        bare.put(frame + 0xFFE, b"\x81\xc2")  # add edx, ... on the next page
        bare.put(frame + 0xFFA, first + b"\x90\x90\x90")


def remapped(then: bytes) -> bytes:
    entry = TABLES + 0x1000 + (SHARED >> 12) * 4
    return b"\xc7\x05" + word(entry) + word(NEW | 0x23) + b"\x0f\x20\xd8\x0f\x22\xd8" + then + b"\xf4"


def test_first_entered_where_nothing_was_translated_yet(both) -> None:
    before = call(SHARED) + call(SHARED)
    ran = both(before + remapped(call(SHARED + 0x100) + call(SHARED) + call(SHARED)), paged)
    assert ran.bt.machine.registers.ebx == 0
    assert ran.bt.machine.registers.ecx == 1


def test_first_entered_where_something_was(both) -> None:
    ran = both(call(SHARED) + remapped(call(SHARED) + call(SHARED)), paged)
    assert ran.bt.machine.registers.ebx == 0xFFFFFFFF


def test_an_instruction_on_the_page_before_leads_into_it(both) -> None:
    def prepare(bare) -> None:
        paged(bare)
        bare.put(SHARED - 2, b"\x81\xc2")  # add edx, the first bytes of the shared page
        for frame, first in ((OLD, 5), (NEW, 7)):
            bare.put(frame, word(first) + b"\xc3")
            bare.put(frame + 0x100, b"\x41\xc3")

    before = call(SHARED - 2) + call(SHARED - 2)
    ran = both(before + remapped(call(SHARED + 0x100) + call(SHARED - 2)), prepare)
    assert ran.bt.machine.registers.edx == 5 + 5 + 7
