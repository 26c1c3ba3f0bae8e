"""Ports 61h, 80h, 92h, E9h."""

from labkit.vm.machine.devices.pit import Pit, first_ns
from labkit.vm.machine.devices.sysport import SystemPorts


class Bench:
    """The ports with a timer."""

    def __init__(self) -> None:
        self.time = 0
        self.resets: list[str] = []
        self.pit = Pit(self, self, lambda: None)
        self.shown = bytearray()
        self.ports = SystemPorts(self, self.pit, self.resets.append, self.shown.append)

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        pass


def test_refresh_bit_toggles_every_15_microseconds() -> None:
    bench = Bench()
    changes, before = 0, 0
    for bench.time in range(0, 1_000_000, 500):
        now = bench.ports.read(0x61, 1) & 0x10
        changes += now != before
        before = now
    assert changes == 1_000_000 // 15_085


def test_gate_and_output_of_channel_2() -> None:
    bench = Bench()
    bench.ports.write(0x61, 1, 0x01)
    for port, value in ((0x43, 0xB0), (0x42, 100), (0x42, 0)):
        bench.pit.write(port, 1, value)
    assert bench.ports.read(0x61, 1) & 0x23 == 0x01
    bench.time = first_ns(101)
    assert bench.ports.read(0x61, 1) & 0x23 == 0x21


def test_power_on_code_and_fast_reset() -> None:
    bench = Bench()
    bench.ports.write(0x80, 1, 0x42)
    assert bench.ports.read(0x80, 1) == 0x42
    assert bench.ports.read(0x92, 1) == 2
    bench.ports.write(0x92, 1, 3)
    bench.ports.write(0x92, 1, 3)
    assert len(bench.resets) == 1


def test_port_e9_prints_and_says_that_it_does() -> None:
    bench = Bench()
    assert bench.ports.read(0xE9, 1) == 0xE9
    for byte in b"here":
        bench.ports.write(0xE9, 1, byte)
    assert bench.shown == b"here"
