"""16550A: FIFO, interrupts, loopback, and the text printed on every branch of a timeline."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.uart import Uart

RBR = THR = 0
IER, IIR, LCR, MCR, LSR, MSR, SCR = range(1, 8)


class Bench:
    """COM1 with its wire."""

    def __init__(self) -> None:
        self.time = 0
        self.levels: list[bool] = [False]
        self.uart = Uart(self, self, lambda: None)

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        if level != self.levels[-1]:
            self.levels.append(level)

    def get(self, register: int) -> int:
        return self.uart.read(0x3F8 + register, 1)

    def put(self, register: int, value: int) -> None:
        self.uart.write(0x3F8 + register, 1, value)


def test_prints_at_once() -> None:
    bench = Bench()
    heard: list[bytes] = []
    bench.uart.on_output.append(heard.append)
    for byte in b"hi":
        assert bench.get(LSR) & 0x60 == 0x60
        bench.put(THR, byte)
    assert bench.uart.output == b"hi"
    assert heard == [b"h", b"i"]


@given(st.binary(max_size=100), st.booleans())
def test_typed_bytes_arrive_in_order_and_none_is_lost(data, fifo) -> None:
    bench = Bench()
    if fifo:
        bench.put(IIR, 0x01)
    bench.uart.type(data)
    got = bytearray()
    while bench.get(LSR) & 1:
        assert not bench.get(LSR) & 2
        got.append(bench.get(RBR))
    assert got == data


def test_transmitter_interrupt_rises_falls_and_rises() -> None:
    bench = Bench()
    bench.put(MCR, 8)
    bench.put(IER, 2)
    assert bench.levels[-1]
    assert bench.get(IIR) & 0xF == 2
    assert bench.get(IIR) & 0xF == 1
    assert not bench.levels[-1]
    bench.put(THR, 65)
    bench.put(THR, 66)
    assert bench.levels == [False, True, False, True, False, True], "each character makes an edge"


def test_out2_opens_the_interrupt_line_and_loopback_shuts_it() -> None:
    bench = Bench()
    bench.put(IER, 2)
    assert bench.levels[-1], "a guest that has never touched OUT2 does not need it"
    bench.put(MCR, 0x0B)
    assert bench.levels[-1]
    bench.put(MCR, 0x03)
    assert not bench.levels[-1]
    bench.put(MCR, 0x0B)
    assert bench.levels[-1]
    bench.put(MCR, 0x1B)
    assert not bench.levels[-1]


def test_receive_trigger_level_and_timeout() -> None:
    bench = Bench()
    bench.put(MCR, 8)
    bench.put(IIR, 0xC1)
    bench.put(IER, 1)
    bench.uart.type(b"abc")
    assert bench.get(IIR) == 0xC1
    due = bench.uart.deadline()
    assert due == 4 * 10 * 1_000_000_000 // 115200
    bench.time = due
    bench.uart.on_time(due)
    assert bench.get(IIR) == 0xCC
    bench.get(RBR)
    assert bench.get(IIR) == 0xC1
    bench.uart.type(b"d" * 12)
    assert bench.get(IIR) == 0xC4


def test_loopback_joins_the_modem_lines_and_data() -> None:
    bench = Bench()
    bench.put(MCR, 0x1F)
    assert bench.get(MSR) & 0xF0 == 0xF0
    bench.get(MSR)
    bench.put(MCR, 0x1A)
    assert bench.get(MSR) == 0x90 | 0x06, "DSR fell, the ring indicator's trailing edge"
    assert bench.get(MSR) == 0x90
    bench.put(THR, 0xAE)
    assert bench.get(LSR) & 1
    assert bench.get(RBR) == 0xAE
    assert bench.uart.output == b""
    bench.uart.type(b"x")
    assert not bench.get(LSR) & 1, "the wire is cut while the test runs"
    bench.put(MCR, 0x0B)
    assert bench.get(RBR) == ord("x")


def test_overrun_in_loopback() -> None:
    bench = Bench()
    bench.put(MCR, 0x10)
    bench.put(THR, 1)
    bench.put(THR, 2)
    assert bench.get(LSR) & 2
    assert not bench.get(LSR) & 2
    assert bench.get(RBR) == 2


def test_divisor_latch_and_identification() -> None:
    bench = Bench()
    bench.put(LCR, 0x83)
    bench.put(0, 12)
    bench.put(1, 1)
    assert (bench.get(0), bench.get(1)) == (12, 1)
    bench.put(LCR, 3)
    bench.put(SCR, 0x5A)
    bench.put(IER, 0xFF)
    bench.put(IIR, 0x21)
    assert (bench.get(SCR), bench.get(IER), bench.get(IIR) >> 6) == (0x5A, 0x0F, 3)
    bench.put(IIR, 0)
    assert bench.get(IIR) >> 6 == 0


@given(st.lists(st.tuples(st.sampled_from(("print", "save", "load")), st.integers(0, 9)), max_size=50))
def test_output_follows_a_timeline_back_forward_and_into_branches(steps) -> None:
    bench = Bench()
    states = [(bench.uart.save(), b"")]
    text = bench.uart.output
    expected = b""
    for number, (kind, which) in enumerate(steps):
        if kind == "print":
            bench.put(THR, number)
            expected += bytes([number])
        elif kind == "save":
            states.append((bench.uart.save(), expected))
        else:
            state, expected = states[which % len(states)]
            bench.uart.load(state)
        assert text == expected
        assert text is bench.uart.output
