"""MP tables, read back by a parser that knows only the specification."""

from labkit.vm.machine.devices.firmware import firmware

SIZES = {0: 20, 1: 8, 2: 8, 3: 8, 4: 8}


def _memory() -> bytes:
    memory = bytearray(1 << 20)
    for address, data in firmware(1):
        assert not any(memory[address : address + len(data)]), "two pieces overlap"
        memory[address : address + len(data)] = data
    return bytes(memory)


def _table() -> tuple[bytes, list[bytes]]:
    memory = _memory()
    (pointer,) = (
        at
        for at in range(0xF0000, 0x100000, 16)
        if memory[at : at + 4] == b"_MP_" and sum(memory[at : at + memory[at + 8] * 16]) % 256 == 0
    )
    assert memory[pointer + 9] == 4
    assert memory[pointer + 11] == 0, "a configuration table is there"
    assert not memory[pointer + 12] & 0x80, "no IMCR: virtual wire"
    at = int.from_bytes(memory[pointer + 4 : pointer + 8], "little")
    length = int.from_bytes(memory[at + 4 : at + 6], "little")
    table = memory[at : at + length]
    assert table[:4] == b"PCMP"
    assert sum(table) % 256 == 0
    assert table[6] == 4
    assert int.from_bytes(table[36:40], "little") == 0xFEE00000
    entries, place = [], 44
    for _ in range(int.from_bytes(table[34:36], "little")):
        size = SIZES[table[place]]
        entries.append(table[place : place + size])
        place += size
    assert place == length
    return table, entries


def test_entries_come_in_the_order_of_their_types() -> None:
    _, entries = _table()
    assert [entry[0] for entry in entries] == [0, 1, 2] + [3] * 15 + [4] * 2


def test_one_enabled_boot_processor() -> None:
    _, entries = _table()
    assert (entries[0][1], entries[0][3]) == (0, 3)


def test_io_apic() -> None:
    _, entries = _table()
    _, identifier, version, flags = entries[2][:4]
    assert (identifier, version, flags & 1) == (1, 0x11, 1)
    assert int.from_bytes(entries[2][4:], "little") == 0xFEC00000
    assert entries[1][2:] == b"ISA   "


def test_isa_interrupts_go_to_their_pins_and_the_timer_to_pin_2() -> None:
    _, entries = _table()
    wires = {entry[5]: entry[7] for entry in entries if entry[0] == 3}
    assert wires == {0: 2, 1: 1, **{irq: irq for irq in range(3, 16)}}
    assert all(entry[6] == 1 and entry[1] == 0 for entry in entries if entry[0] == 3)


def test_local_inputs() -> None:
    _, entries = _table()
    local = {entry[7]: entry[1] for entry in entries if entry[0] == 4}
    assert local == {0: 3, 1: 1}, "LINT0: ExtINT, LINT1: NMI"
