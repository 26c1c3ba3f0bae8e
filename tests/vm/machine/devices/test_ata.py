"""ATA disks, driven as guests drive them: polling and by interrupt, in every way of addressing."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.vm.machine.devices.ata import COMMAND_NS, Ata
from labkit.vm.machine.devices.disk import SECTOR, Disk

SECTORS = 3000
IMAGE = b"".join(struct.pack("<I", number) * 128 for number in range(SECTORS))


class Driver:
    """A polling driver, as simple kernels have one."""

    def __init__(self, *disks: bytes | None) -> None:
        self.time = 0
        self.level = False
        self.interrupts = 0
        first, second = (Disk(disk) if disk is not None else None for disk in (*disks, None)[:2])
        self.ata = Ata(self, self, lambda: None, (first, second))

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        self.interrupts += level and not self.level
        self.level = level

    def out(self, register: int, value: int) -> None:
        self.ata.write(0x1F0 + register, 1, value)

    def get(self, register: int) -> int:
        return self.ata.read(0x1F0 + register, 1)

    def wait(self) -> int:
        """Let the disk finish; its status."""
        while self.ata.read(0x3F6, 1) & 0x80:
            due = self.ata.deadline()
            assert due is not None, "busy for ever"
            self.time = due
            self.ata.on_time(due)
        return self.get(7)

    def command(self, value: int, *registers: int, device: int = 0xE0) -> int:
        """Features, count, low, middle, high as far as given; then the command."""
        self.out(6, device)
        for number, register in enumerate(registers):
            self.out(1 + number, register)
        self.out(7, value)
        return self.wait()

    def receive(self, words: int, width: int = 2) -> bytes:
        return b"".join(
            self.ata.read(0x1F0, width).to_bytes(width, "little") for _ in range(words * 2 // width)
        )

    def send(self, data: bytes, width: int = 2) -> None:
        for place in range(0, len(data), width):
            self.ata.write(0x1F0, width, int.from_bytes(data[place : place + width], "little"))

    def address(self, way: str, sector: int, count: int) -> int:
        """Set address and count; the device register's value."""
        if way == "lba48":
            for value in (count >> 8, count & 0xFF):
                self.out(2, value)
            for register, shift in ((3, 24), (3, 0), (4, 32), (4, 8), (5, 40), (5, 16)):
                self.out(register, sector >> shift & 0xFF)
            return 0x40
        if way == "lba28":
            self.out(2, count & 0xFF)
            for register, shift in ((3, 0), (4, 8), (5, 16)):
                self.out(register, sector >> shift & 0xFF)
            return 0xE0 | sector >> 24
        cylinder, rest = divmod(sector, 16 * 63)
        head, track = divmod(rest, 63)
        for register, value in ((2, count & 0xFF), (3, track + 1), (4, cylinder & 0xFF), (5, cylinder >> 8)):
            self.out(register, value)
        return 0xA0 | head


WAYS = {"lba28": (0x20, 0x30, 0xC4, 0xC5), "lba48": (0x24, 0x34, 0x29, 0x39), "chs": (0x20, 0x30, 0xC4, 0xC5)}
TRANSFER = st.tuples(
    st.booleans(),
    st.sampled_from(sorted(WAYS)),
    st.sampled_from((0, 1, 2, 8, 16)),
    st.integers(0, SECTORS - 41),
    st.integers(1, 40),
    st.sampled_from((1, 2, 4)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(TRANSFER, min_size=1, max_size=6))
def test_every_way_of_reading_and_writing(transfers) -> None:
    driver, expected = Driver(IMAGE), bytearray(IMAGE)
    for number, (write, way, multiple, sector, count, width) in enumerate(transfers):
        if multiple:
            assert driver.command(0xC6, 0, multiple) == 0x50
        device = driver.address(way, sector, count)
        command = WAYS[way][(1 if write else 0) + (2 if multiple else 0)]
        driver.interrupts = 0
        driver.out(6, device)
        driver.out(7, command)
        got, left = bytearray(), count
        while left:
            block = min(left, multiple or 1)
            assert driver.wait() & 0x89 == 0x08
            if write:
                driver.send(bytes([number + 1]) * (SECTOR * block), width)
            else:
                got += driver.receive(256 * block, width)
            left -= block
        assert driver.wait() == 0x50
        blocks = -(-count // (multiple or 1))
        assert driver.interrupts == blocks, "one interrupt for each block"
        place = slice(sector * SECTOR, (sector + count) * SECTOR)
        if write:
            expected[place] = bytes([number + 1]) * (SECTOR * count)
        else:
            assert got == expected[place]
    drive = driver.ata._drives[0]
    assert drive is not None
    disk = drive.disk
    assert b"".join(disk.read(sector) for sector in range(SECTORS)) == expected


def test_interrupt_comes_after_a_realistic_time_and_reading_status_takes_it_away() -> None:
    driver = Driver(IMAGE)
    driver.time = 1000
    driver.out(6, 0xE0)
    driver.out(2, 1)
    driver.out(7, 0x20)
    assert driver.ata.deadline() == 1000 + COMMAND_NS
    assert driver.get(7) == 0x80
    assert not driver.level
    driver.time = 1000 + COMMAND_NS
    driver.ata.on_time(driver.time)
    assert driver.level
    assert driver.ata.read(0x3F6, 1) == 0x58
    assert driver.level
    assert driver.get(7) == 0x58
    assert not driver.level


def test_polling_guest_sees_the_end_without_anybody_calling_on_time() -> None:
    driver = Driver(IMAGE)
    driver.out(7, 0xEC)
    driver.time += COMMAND_NS
    assert driver.get(7) == 0x58


def test_interrupts_can_be_switched_off() -> None:
    driver = Driver(IMAGE)
    driver.ata.write(0x3F6, 1, 2)
    driver.command(0xEC)
    assert driver.interrupts == 0


def test_identify() -> None:
    driver = Driver(IMAGE)
    assert driver.command(0xEC) == 0x58
    raw = driver.receive(256)
    words = struct.unpack("<256H", raw)
    assert (words[1], words[3], words[6]) == (SECTORS // 1008, 16, 63)
    assert words[60] | words[61] << 16 == SECTORS
    assert words[100] | words[101] << 16 == SECTORS
    assert words[49] & 0x200
    assert words[83] & 0x400
    assert sum(raw) & 0xFF == 0
    model = b"".join(struct.pack(">H", word) for word in words[27:47])
    assert model.decode("ascii").rstrip() == "LABKIT DISK"
    assert driver.get(7) == 0x50


def test_bounds_and_nonsense_are_refused() -> None:
    driver = Driver(IMAGE)
    assert driver.command(0x20, 0, 2, SECTORS - 1 & 0xFF, SECTORS - 1 >> 8, 0) == 0x51
    assert driver.get(1) == 0x10
    assert driver.command(0x20, 0, 1, 0, 0, 0, device=0xA0) == 0x51, "sectors of a track count from 1"
    assert driver.command(0xC4, 0, 1, 0, 0, 0) == 0x51, "multiple mode is not set"
    assert driver.get(1) == 0x04
    assert driver.command(0xC8, 0, 1, 0, 0, 0) == 0x51, "no DMA"
    assert driver.command(0xC6, 0, 3) == 0x51
    assert driver.command(0xA1) == 0x51


@pytest.mark.parametrize("command", [0xE7, 0xEA, 0x10, 0x70, 0xE0, 0x40])
def test_commands_without_data(command) -> None:
    driver = Driver(IMAGE)
    assert driver.command(command, 0, 1, 1, 0, 0) == 0x50
    assert driver.interrupts == 1


def test_geometry_can_be_set() -> None:
    driver = Driver(IMAGE)
    assert driver.command(0x91, 0, 32, device=0xA7) == 0x50
    assert driver.command(0x20, 0, 1, 5, 2, 0, device=0xA3) == 0x58
    assert driver.receive(2) == struct.pack("<I", (2 * 8 + 3) * 32 + 4)


def test_set_features_and_native_size() -> None:
    driver = Driver(IMAGE)
    assert driver.command(0xEF, 0x03, 0x0C) == 0x50
    assert driver.command(0xEF, 0x99) == 0x51
    assert driver.command(0xF8) == 0x50
    assert driver.get(3) | driver.get(4) << 8 | driver.get(5) << 16 == SECTORS - 1


def test_software_reset_and_diagnostic_leave_the_signature() -> None:
    driver = Driver(IMAGE)
    driver.out(4, 0x55)
    driver.ata.write(0x3F6, 1, 4)
    assert driver.get(7) == 0x80
    driver.ata.write(0x3F6, 1, 0)
    assert driver.wait() == 0x50
    assert [driver.get(register) for register in range(1, 6)] == [1, 1, 1, 0, 0]
    assert driver.interrupts == 0
    assert driver.command(0x90) == 0x50
    assert driver.interrupts == 1


def test_absent_slave_has_status_0_and_takes_no_commands() -> None:
    driver = Driver(IMAGE)
    driver.out(6, 0xF0)
    assert driver.get(7) == 0
    driver.out(7, 0xEC)
    assert driver.ata.deadline() is None
    driver.out(6, 0xE0)
    assert driver.get(7) == 0x50


def test_slave_without_master() -> None:
    driver = Driver(None, IMAGE)
    driver.out(6, 0xE0)
    assert driver.get(7) == 0
    assert driver.command(0x20, 0, 1, 7, 0, 0, device=0xF0) == 0x58
    assert driver.receive(2) == struct.pack("<I", 7)


def test_two_disks_are_two() -> None:
    driver = Driver(b"A" * 512, b"B" * 512)
    for device, letter in ((0xE0, b"A"), (0xF0, b"B")):
        driver.command(0x20, 0, 1, 0, 0, 0, device=device)
        assert driver.receive(256) == letter * 512
    assert driver.command(0x90) == 0x50


def test_old_register_contents_can_be_read_back() -> None:
    driver = Driver(IMAGE)
    driver.out(3, 0x12)
    driver.out(3, 0x34)
    assert driver.get(3) == 0x34
    driver.ata.write(0x3F6, 1, 0x80)
    assert driver.get(3) == 0x12
    driver.out(4, 0)
    assert driver.get(3) == 0x34
