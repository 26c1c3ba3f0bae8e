"""The board as a whole: any guest behaviour is survived, saved and repeated; wires, map, deadlines, speed."""

import itertools
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.vm.machine.board import Board

DISK = bytes(itertools.islice(itertools.cycle(range(251)), 64 * 512))


class ManualClock:
    """Guest time that a test moves."""

    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time


class Bench:
    """A board, its clock, and the trace of everything that can be seen from outside."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.board = Board(self.clock, 64 << 20, (DISK, DISK[:5000], None, b"x"), mouse=True)
        self.trace: list[object] = []
        self.board.reset_requested = self.trace.append
        self.board.on_nmi = lambda: self.trace.append("nmi")

    def pass_time(self, span: int) -> None:
        end = self.clock.time + span
        for _ in range(64):
            due = self.board.deadline()
            if due is None or due > end:
                break
            self.clock.time = max(due, self.clock.time)
            self.board.on_time(self.clock.time)
            after = self.board.deadline()
            assert after is None or after > self.clock.time, "a deadline that does not move stops the guest"
        self.clock.time = max(end, self.clock.time)

    def do(self, operation: tuple[str, int, int, int]) -> None:
        kind, where, size, value = operation
        board = self.board
        if kind == "read":
            seen = board.read_port(where, size)
            assert 0 <= seen < 1 << 8 * size
            self.trace.append(seen)
        elif kind == "write":
            board.write_port(where, size, value & (1 << 8 * size) - 1)
        elif kind == "load":
            seen = board.read_mmio(where, size)
            assert 0 <= seen < 1 << 8 * size
            self.trace.append(seen)
        elif kind == "store":
            board.write_mmio(where, size, value & (1 << 8 * size) - 1)
        elif kind == "time":
            self.pass_time(value)
        elif kind == "type":
            board.serial.type(value.to_bytes(4, "little") * 5)
            board.keyboard.type(value.to_bytes(4, "little"))
        elif board.interrupt_pending():
            vector = board.acknowledge()
            assert 0 <= vector < 256
            self.trace.append(("vector", vector))
        times = [at for chip in board._timed if (at := chip.deadline()) is not None]
        assert board.deadline() == min(times, default=None), "the cached deadline is stale"
        self.trace.append((board.interrupt_pending(), board.deadline()))


KNOWN = sorted({port for chip in Bench().board.devices for ports in chip.ports for port in ports})
PORT = st.sampled_from(KNOWN) | st.integers(0, 0xFFFF)
SIZE = st.sampled_from((1, 1, 1, 2, 4))
VALUE = (
    st.integers(0, 255)
    | st.sampled_from((0x20, 0x24, 0x30, 0x36, 0x90, 0xEC, 0xA1, 0xC4, 0xC6))
    | st.integers(0, 2**32 - 1)
)
MMIO = st.builds(
    lambda base, register, offset: base + register * 16 + offset,
    st.sampled_from((0xFEC00000, 0xFEE00000)),
    st.integers(0, 63),
    st.sampled_from((0, 0, 0, 0, 1, 2, 4, 8)),
)
OPERATION = (
    st.tuples(st.just("read"), PORT, SIZE, st.just(0))
    | st.tuples(st.just("write"), PORT, SIZE, VALUE)
    | st.tuples(st.just("load"), MMIO, SIZE, st.just(0))
    | st.tuples(st.just("store"), MMIO, st.sampled_from((4, 4, 4, 1, 2)), VALUE)
    | st.tuples(st.just("time"), st.just(0), st.just(0), st.integers(0, 3_000_000) | st.integers(0, 10**11))
    | st.tuples(st.sampled_from(("type", "take")), st.just(0), st.just(0), st.integers(0, 2**32 - 1))
)
SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(st.lists(OPERATION, max_size=60), st.lists(OPERATION, max_size=40), st.lists(OPERATION, max_size=20))
def test_any_guest_is_survived_and_a_restored_board_goes_on_identically(before, after, detour) -> None:
    bench = Bench()
    for operation in before:
        bench.do(operation)
    saved, when = bench.board.save(), bench.clock.time
    bench.trace.clear()
    for operation in after:
        bench.do(operation)
    trace, text, end = list(bench.trace), bytes(bench.board.serial.output), bench.board.save()
    for operation in detour:
        bench.do(operation)

    def again(other: Bench) -> None:
        other.board.load(saved)
        other.clock.time = when
        assert other.board.save() == saved
        other.trace.clear()
        for operation in after:
            other.do(operation)
        assert other.trace == trace
        assert bytes(other.board.serial.output) == text
        assert other.board.save() == end

    again(bench)
    again(Bench())
    bench.board.load(end)  # forward again, to a state that this board has left
    assert bytes(bench.board.serial.output) == text
    assert bench.board.save() == end


def test_save_is_cheap_also_after_much_output() -> None:
    bench = Bench()
    for _ in range(200_000):
        bench.board.write_port(0x3F8, 1, 0x41)
    bench.board.save()
    best = min(_timed(bench.board.save) for _ in range(200))
    assert best < 100e-6, f"{best * 1e6:.0f} us"


def _timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def test_absent_ports_read_all_ones() -> None:
    board = Bench().board
    assert [board.read_port(0x2F8, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]
    assert board.read_port(0x1F7, 1) == 0x50
    assert Board(ManualClock(), 1 << 20).read_port(0x1F7, 1) == 0xFF


def test_wide_accesses_are_split_into_bytes() -> None:
    board = Bench().board
    board.write_port(0x70, 2, 0x5A0F)  # index 0Fh at port 70h, then its data at port 71h
    board.write_port(0x70, 1, 0x0F)
    assert board.read_port(0x71, 1) == 0x5A
    assert board.read_port(0x70, 2) == 0x5AFF
    assert board.read_port(0x6F, 4) == 0xFF_5A_FF_FF


def test_empty_pci_bus_keeps_its_address_register() -> None:
    board = Bench().board
    board.write_port(0xCF8, 4, 0x80000000)
    assert board.read_port(0xCF8, 4) == 0x80000000
    assert board.read_port(0xCFC, 4) == 0xFFFFFFFF
    assert board.read_port(0xCFE, 2) == 0xFFFF
    board.write_port(0xCF8, 1, 0x12)
    assert board.read_port(0xCF8, 4) == 0x80000000


@pytest.mark.parametrize(
    ("writes", "word"),
    [
        ([(0x64, 0xFE)], "keyboard controller"),
        ([(0x92, 1)], "92h"),
        ([(0xCF9, 2), (0xCF9, 6)], "CF9h"),
        ([(0x64, 0xD1), (0x60, 2)], "output port"),
    ],
)
def test_reset_requests_give_their_reason(writes, word) -> None:
    bench = Bench()
    for port, value in writes:
        bench.board.write_port(port, 1, value)
    (reason,) = bench.trace
    assert word in str(reason)


def _vectors_of_timer(board: Board, clock: ManualClock) -> list[int]:
    for port, value in ((0x43, 0x34), (0x40, 0xA9), (0x40, 4)):
        board.write_port(port, 1, value)
    seen = []
    for _ in range(6):
        due = board.deadline()
        assert due is not None
        clock.time = due
        board.on_time(due)
        if board.interrupt_pending():
            seen.append(board.acknowledge())
            board.write_port(0x20, 1, 0x20)
            board.write_mmio(0xFEE000B0, 4, 0)
    return seen


def test_timer_reaches_the_processor_through_the_8259() -> None:
    bench = Bench()
    assert _vectors_of_timer(bench.board, bench.clock) == [8, 8, 8]


def test_timer_reaches_the_processor_through_the_io_apic_at_pin_2() -> None:
    bench = Bench()
    board = bench.board
    board.write_port(0x21, 1, 0xFF)
    board.write_mmio(0xFEE00350, 4, 0x10000)
    board.write_mmio(0xFEC00000, 4, 0x14)
    board.write_mmio(0xFEC00010, 4, 0x31)
    assert _vectors_of_timer(board, bench.clock) == [0x31, 0x31, 0x31]


def test_interrupt_callback_comes_when_the_pin_rises() -> None:
    bench = Bench()
    calls: list[bool] = []
    bench.board.on_interrupt = lambda: calls.append(bench.board.interrupt_pending())
    bench.board.keyboard.type(b"\x1e")
    assert calls == [True]
    assert bench.board.acknowledge() == 9
    assert not bench.board.interrupt_pending()


def test_masked_local_apic_input_cuts_the_8259_off_and_nolapic_does_not() -> None:
    board = Bench().board
    board.keyboard.type(b"\x1e")
    board.write_mmio(0xFEE00350, 4, 0x10700)
    assert not board.interrupt_pending()
    board.lapic.base = 0  # IA32_APIC_BASE: the chip is off, INTR goes straight to the processor
    assert board.interrupt_pending()
    assert board.acknowledge() == 9


def test_too_many_disks_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="5 disks given; the board has places for 4"):
        Board(ManualClock(), 1 << 20, [b""] * 5)
    with pytest.raises(FileNotFoundError, match="no disk image at"):
        Board(ManualClock(), 1 << 20, ["/nowhere/at/all.img"])


def test_firmware_lies_where_guests_look() -> None:
    memory = bytearray(1 << 20)
    for address, data in Bench().board.firmware():
        memory[address : address + len(data)] = data
    assert int.from_bytes(memory[0x40E:0x410], "little") << 4 == 0x9FC00
    assert int.from_bytes(memory[0x413:0x415], "little") == 639
    assert int.from_bytes(memory[0x44A:0x44C], "little") == 80
    assert int.from_bytes(memory[0x400:0x402], "little") == 0x3F8
    assert memory[0x475] == 3
    assert memory.find(b"_MP_") % 16 == 0
    assert memory[0xFFFF5:0xFFFFD] == b"01/01/24"
