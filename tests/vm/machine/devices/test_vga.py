"""VGA text mode."""

from labkit.vm.machine.devices.vga import CP437, TEXT_BASE, Vga


class Clock:
    """Guest time."""

    time = 0

    def now(self) -> int:
        return self.time


def screen(*, at: int = 0, text: bytes = b"Hello") -> bytearray:
    ram = bytearray(1 << 20)
    for place, code in enumerate(text):
        ram[TEXT_BASE + 2 * (at + place)] = code
        ram[TEXT_BASE + 2 * (at + place) + 1] = 7
    return ram


def crtc(vga: Vga, index: int, value: int) -> None:
    vga.write(0x3D4, 1, index)
    vga.write(0x3D5, 1, value)


def test_text() -> None:
    lines = Vga(Clock()).text(screen(at=81))
    assert len(lines) == 25
    assert {len(line) for line in lines} == {80}
    assert lines[1] == " Hello" + " " * 74


def test_code_page_437() -> None:
    assert len(CP437) == 256
    assert CP437[0x01] + CP437[0x7F] + CP437[0xB0] + CP437[0xE1] + CP437[0x1A] == "☺⌂░ß→"
    assert all(char.isprintable() for char in CP437)


def test_start_address_scrolls_and_wraps() -> None:
    vga = Vga(Clock())
    crtc(vga, 0x0D, 80)
    assert vga.text(screen(at=80))[0].startswith("Hello")
    crtc(vga, 0x0C, 0x3F)
    crtc(vga, 0x0D, 0xFE)
    assert vga.text(screen(at=0))[0].startswith("  Hello")


def test_cursor() -> None:
    vga = Vga(Clock())
    crtc(vga, 0x0F, 85)
    assert vga.cursor() == (1, 5)
    crtc(vga, 0x0A, 0x20)
    assert vga.cursor() is None


def test_status_toggles_with_time() -> None:
    clock = Clock()
    vga = Vga(clock)
    seen = set()
    for clock.time in range(0, 15_000_000, 1_000):
        seen.add(vga.read(0x3DA, 1))
    assert seen == {0, 1, 9}


def test_reading_status_resets_the_attribute_flip_flop() -> None:
    vga = Vga(Clock())
    vga.write(0x3C0, 1, 0x13)
    vga.read(0x3DA, 1)
    vga.write(0x3C0, 1, 0x33)
    vga.write(0x3C0, 1, 0x08)
    assert vga.read(0x3C1, 1) == 8


def test_palette_counts_on() -> None:
    vga = Vga(Clock())
    vga.write(0x3C8, 1, 255)
    for value in (1, 2, 0xFF, 4):
        vga.write(0x3C9, 1, value)
    vga.write(0x3C7, 1, 255)
    assert [vga.read(0x3C9, 1) for _ in range(4)] == [1, 2, 63, 4]


def test_monochrome_addresses_are_absent_until_chosen() -> None:
    vga = Vga(Clock())
    assert vga.read(0x3B4, 1) == 0xFF
    vga.write(0x3C2, 1, 0x66)
    assert vga.read(0x3B4, 1) == 0
    assert vga.read(0x3D4, 1) == 0xFF
