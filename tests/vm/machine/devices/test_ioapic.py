"""I/O APIC."""

from labkit.vm.machine.devices.ioapic import IoApic

MASKED, LEVEL, REMOTE_IRR = 0x10000, 0x8000, 0x4000


class Bench:
    """The chip and the messages it sends."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, bool, int, int, bool]] = []
        self.accepting = True
        self.chip = IoApic(self._deliver)

    def _deliver(self, destination: int, logical: bool, mode: int, vector: int, level: bool) -> bool:
        self.sent.append((destination, logical, mode, vector, level))
        return self.accepting

    def get(self, register: int) -> int:
        self.chip.write_mmio(0, 4, register)
        return self.chip.read_mmio(0x10, 4)

    def put(self, register: int, value: int) -> None:
        self.chip.write_mmio(0, 4, register)
        self.chip.write_mmio(0x10, 4, value)


def test_identifies_itself() -> None:
    bench = Bench()
    assert bench.get(1) == 0x00170011
    assert bench.get(0) == 1 << 24
    bench.put(0, 0xFF000000)
    assert bench.get(0) == 0x0F000000


def test_all_24_entries_start_masked_and_keep_what_is_written() -> None:
    bench = Bench()
    for pin in range(24):
        assert bench.get(0x10 + 2 * pin) == MASKED
        bench.put(0x11 + 2 * pin, pin << 24)
        bench.put(0x10 + 2 * pin, MASKED | 0x30 + pin)
    for pin in range(24):
        assert bench.get(0x11 + 2 * pin) == pin << 24
        assert bench.get(0x10 + 2 * pin) == MASKED | 0x30 + pin
    assert bench.get(0x40) == 0


def test_edge_is_sent_once_and_lost_while_masked() -> None:
    bench = Bench()
    bench.chip.set_line(4, True)
    bench.put(0x11 + 8, 0x02000000)
    bench.put(0x10 + 8, 0x0934)
    assert bench.sent == []
    bench.chip.set_line(4, True)
    assert bench.sent == []
    bench.chip.set_line(4, False)
    bench.chip.set_line(4, True)
    assert bench.sent == [(2, True, 1, 0x34, False)]


def test_level_is_sent_again_after_its_end_while_the_line_is_high() -> None:
    bench = Bench()
    bench.chip.set_line(5, True)
    bench.put(0x10 + 10, LEVEL | 0x35)
    assert len(bench.sent) == 1
    assert bench.get(0x10 + 10) & REMOTE_IRR
    bench.put(0x10 + 10, LEVEL | 0x35)
    assert len(bench.sent) == 1
    bench.chip.end(0x35)
    assert len(bench.sent) == 2
    bench.chip.set_line(5, False)
    bench.chip.end(0x35)
    assert len(bench.sent) == 2
    assert not bench.get(0x10 + 10) & REMOTE_IRR


def test_switching_to_edge_clears_the_remote_irr() -> None:
    """How kernels end a level interrupt on this version of the chip, which has no EOI register."""
    bench = Bench()
    bench.chip.set_line(5, True)
    bench.put(0x10 + 10, LEVEL | 0x35)
    bench.put(0x10 + 10, MASKED | 0x35)
    assert not bench.get(0x10 + 10) & REMOTE_IRR
    bench.put(0x10 + 10, LEVEL | 0x35)
    assert len(bench.sent) == 2


def test_refused_level_is_not_in_service() -> None:
    bench = Bench()
    bench.accepting = False
    bench.put(0x10 + 10, LEVEL | 0x35)
    bench.chip.set_line(5, True)
    assert not bench.get(0x10 + 10) & REMOTE_IRR
