"""i8042 with keyboard: what guests do to find it, translation, spacing of keys, reset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.i8042 import I8042


class Wire:
    """An interrupt line that counts its edges."""

    def __init__(self) -> None:
        self.level = False
        self.edges = 0

    def set(self, level: bool) -> None:
        self.edges += level and not self.level
        self.level = level


class Bench:
    """The controller with both wires."""

    def __init__(self, *, mouse: bool = False) -> None:
        self.time = 0
        self.irq1, self.irq12 = Wire(), Wire()
        self.resets: list[str] = []
        self.chip = I8042(self, self.irq1, self.irq12, lambda: None, reset=self.resets.append, mouse=mouse)

    def now(self) -> int:
        return self.time

    def command(self, value: int, *data: int) -> None:
        self.chip.write(0x64, 1, value)
        for byte in data:
            self.chip.write(0x60, 1, byte)

    def answers(self) -> list[int]:
        """Everything the controller has to say, time passing as it likes."""
        got = []
        while True:
            if self.chip.read(0x64, 1) & 1:
                got.append(self.chip.read(0x60, 1))
            elif (due := self.chip.deadline()) is not None:
                self.time = max(due, self.time)
                self.chip.on_time(self.time)
            else:
                return got


def test_self_test_and_command_byte() -> None:
    bench = Bench()
    bench.command(0xAA)
    assert bench.answers() == [0x55]
    bench.command(0xAB)
    assert bench.answers() == [0]
    bench.command(0x60, 0x45)
    bench.command(0x20)
    assert bench.answers() == [0x45]


def test_keyboard_reset_and_identify_through_the_translation() -> None:
    bench = Bench()
    bench.chip.write(0x60, 1, 0xFF)
    assert bench.answers() == [0xFA, 0xAA]
    bench.chip.write(0x60, 1, 0xF2)
    assert bench.answers() == [0xFA, 0xAB, 0x41]
    bench.command(0x60, 0x05)
    bench.chip.write(0x60, 1, 0xF2)
    assert bench.answers() == [0xFA, 0xAB, 0x83]
    bench.chip.write(0x60, 1, 0xEE)
    assert bench.answers() == [0xEE]
    bench.chip.write(0x60, 1, 0xED)
    bench.chip.write(0x60, 1, 0x02)
    assert bench.answers() == [0xFA, 0xFA]


@given(st.lists(st.sampled_from([*range(1, 0x59), *range(0x81, 0xD9), 0xE0]), max_size=30))
def test_set_1_codes_come_out_as_they_were_typed(codes) -> None:
    bench = Bench()
    bench.chip.keyboard.type(bytes(codes))
    assert bench.answers() == codes


def test_untranslated_guest_sees_set_2() -> None:
    bench = Bench()
    bench.command(0x60, 0x05)
    bench.chip.keyboard.type(bytes.fromhex("1e9e e048e0c8 01"))
    assert bytes(bench.answers()) == bytes.fromhex("1cf01c e075e0f075 76")


def test_each_key_interrupts_and_none_follows_within_a_millisecond() -> None:
    bench = Bench()
    bench.chip.keyboard.type(b"\x1e\x9e")
    assert bench.irq1.level
    assert bench.chip.read(0x60, 1) == 0x1E
    assert not bench.irq1.level
    assert bench.chip.read(0x60, 1) == 0x1E, "reading again gives the last byte and loses nothing"
    assert bench.chip.deadline() == 1_000_000
    bench.time = 1_000_000
    bench.chip.on_time(bench.time)
    assert bench.irq1.edges == 2
    assert bench.chip.read(0x60, 1) == 0x9E


def test_disabled_interface_and_disabled_scanning_keep_keys_waiting() -> None:
    bench = Bench()
    bench.command(0xAD)
    bench.chip.keyboard.type(b"\x1e")
    assert bench.answers() == []
    bench.command(0xAE)
    assert bench.answers() == [0x1E]
    bench.chip.write(0x60, 1, 0xF5)
    bench.chip.keyboard.type(b"\x1f")
    assert bench.answers() == [0xFA]
    bench.chip.write(0x60, 1, 0xF4)
    assert bench.answers() == [0xFA, 0x1F]


def test_interrupt_can_be_switched_off() -> None:
    bench = Bench()
    bench.command(0x60, 0x44)
    bench.chip.keyboard.type(b"\x1e")
    assert not bench.irq1.level
    assert bench.chip.read(0x64, 1) & 1


@pytest.mark.parametrize("mouse", [False, True])
def test_looking_for_a_mouse(mouse) -> None:
    bench = Bench(mouse=mouse)
    bench.command(0xD3, 0x5A)
    assert bench.chip.read(0x64, 1) & 0x20 == (0x20 if mouse else 0)
    assert bench.answers() == [0x5A]
    bench.command(0xA9)
    assert bench.answers() == [0 if mouse else 2]
    bench.command(0xA8)
    bench.command(0x60, 0x47)
    bench.command(0xD4, 0xFF)
    assert bench.irq12.level == mouse
    assert bench.answers() == ([0xFA, 0xAA, 0] if mouse else [])


def test_a20_and_reset_in_the_output_port() -> None:
    bench = Bench()
    bench.command(0xD0)
    assert bench.answers() == [0x03]
    bench.command(0xD1, 0x01)
    bench.command(0xD0)
    assert bench.answers() == [0x01]
    assert bench.resets == []
    bench.command(0xF0)
    bench.command(0xD1, 0x00)
    assert len(bench.resets) == 2
