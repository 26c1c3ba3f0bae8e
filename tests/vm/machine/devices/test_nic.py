"""NE2000: reset, remote DMA, the receive ring with its header and its wrap, filters, loopback; and it never raises."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.nic import ADDRESS, WIRE_NS, Nic

CR, PSTART, PSTOP, BNRY, TPSR, TBCR0, TBCR1, ISR, RSAR0, RSAR1, RBCR0, RBCR1, RCR, TCR, DCR, IMR = range(16)
DATA, RESET = 0x10, 0x1F
STOP, START, PAGE1, ABORT, READ, WRITE, TRANSMIT = 0x01, 0x02, 0x40, 0x20, 0x08, 0x10, 0x04
FIRST, LAST = 0x46, 0x80
FRAME = ADDRESS + bytes.fromhex("52550a000202 0800") + bytes(range(200))


class Bench:
    """The card on the bus, its interrupt wire, and a driver's usual steps."""

    def __init__(self) -> None:
        self.time, self.level = 0, False
        self.nic = Nic(self, self, lambda: None)

    def now(self) -> int:
        return self.time

    def set(self, level: bool) -> None:
        self.level = level

    def get(self, register: int, size: int = 1) -> int:
        return self.nic.read(0x300 + register, size)

    def put(self, register: int, value: int, size: int = 1) -> None:
        self.nic.write(0x300 + register, size, value)

    def dma(self, address: int, count: int, command: int) -> None:
        for register, value in ((RBCR0, count & 0xFF), (RBCR1, count >> 8), (RSAR0, address & 0xFF),
                                (RSAR1, address >> 8), (CR, START | command)):  # fmt: skip
            self.put(register, value)

    def load(self, address: int, count: int) -> bytes:
        self.dma(address, count, READ)
        return b"".join(self.get(DATA, 2).to_bytes(2, "little") for _ in range(count // 2))

    def store(self, address: int, data: bytes) -> None:
        self.dma(address, len(data), WRITE)
        for at in range(0, len(data), 2):
            self.put(DATA, int.from_bytes(data[at : at + 2], "little"), 2)

    def begin(self, rcr: int = 0x04, tcr: int = 0) -> None:
        for register, value in ((CR, ABORT | STOP), (DCR, 0x49), (RCR, rcr), (TCR, tcr), (PSTART, FIRST),
                                (PSTOP, LAST), (BNRY, LAST - 1), (ISR, 0xFF), (IMR, 0x51),
                                (CR, PAGE1 | ABORT | STOP)):  # fmt: skip
            self.put(register, value)
        for place, byte in enumerate(ADDRESS, 1):
            self.put(place, byte)
        self.put(7, FIRST)
        self.put(CR, ABORT | START)

    def current(self) -> int:
        self.put(CR, PAGE1 | ABORT | START)
        found = self.get(7)
        self.put(CR, ABORT | START)
        return found

    def send(self, frame: bytes) -> None:
        self.store(0x4000, frame + b"\0" * (len(frame) % 2))
        for register, value in ((TPSR, 0x40), (TBCR0, len(frame) & 0xFF), (TBCR1, len(frame) >> 8)):
            self.put(register, value)
        self.put(CR, ABORT | START | TRANSMIT)

    def take(self) -> bytes:
        """What a driver does with the next packet of the ring."""
        at = self.get(BNRY) + 1
        at = FIRST if at >= LAST else at
        status, following, low, high = self.load(at << 8, 4)
        assert status & 1
        count = (low | high << 8) - 4
        data = self.load((at << 8) + 4, count + count % 2)[:count]  # the card goes round the ring by itself
        self.put(BNRY, FIRST + (following - FIRST - 1) % (LAST - FIRST))
        return data


def test_a_driver_finds_the_card_and_its_address():
    bench = Bench()
    bench.get(RESET)
    assert bench.get(ISR) & 0x80
    bench.put(DCR, 0x48)
    prom = bytearray()
    bench.dma(0, 32, READ)
    for _ in range(32):
        prom.append(bench.get(DATA))
    assert bytes(prom[0:12:2]) == ADDRESS
    assert prom[0::2] == prom[1::2], "a card of 16 bits"
    assert prom[28:32] == b"WWWW"
    assert bench.get(ISR) & 0x40, "remote DMA is complete"


@given(st.binary(min_size=2, max_size=600).filter(lambda data: len(data) % 2 == 0), st.integers(0x4000, 0x7C00))
def test_what_is_stored_is_loaded(data, address):
    bench = Bench()
    bench.begin()
    bench.store(address, data)
    assert bench.load(address, len(data)) == data or address + len(data) > 0x8000
    assert bench.get(ISR) & 0x40


@given(st.lists(st.binary(min_size=0, max_size=1500), max_size=60))
def test_packets_come_out_of_the_ring_as_they_went_in_however_often_it_wraps(bodies):
    bench = Bench()
    bench.begin()
    for body in bodies:
        frame = ADDRESS + body
        bench.nic.receive(frame)
        assert bench.level
        assert bench.take() == frame.ljust(60, b"\0")
        bench.put(ISR, 0xFF)
        assert not bench.level


def test_a_full_ring_loses_what_is_more_and_says_so():
    bench = Bench()
    bench.begin()
    count = 0
    while not bench.get(ISR) & 0x10:
        bench.nic.receive(FRAME)
        count += 1
        assert count < 100
    kept = []
    while bench.get(BNRY) + 1 != bench.current() and len(kept) < 100:
        kept.append(bench.take())
    assert kept == [FRAME] * (count - 1)


def test_only_what_is_for_this_station_is_received():
    bench = Bench()
    bench.begin(rcr=0)
    for address in (b"\xff" * 6, bytes(6), bytes.fromhex("01005e000001")):
        bench.nic.receive(address + FRAME[6:])
    assert bench.current() == FIRST
    bench.put(RCR, 0x04)
    bench.nic.receive(b"\xff" * 6 + FRAME[6:])
    assert bench.take()[:6] == b"\xff" * 6
    bench.put(RCR, 0x10)
    bench.nic.receive(bytes(6) + FRAME[6:])
    assert bench.take()[:6] == bytes(6)
    bench.put(CR, ABORT | STOP)
    before = bench.nic.save().registers.curr
    bench.nic.receive(FRAME)
    assert bench.nic.save().registers.curr == before, "a card that stands still receives nothing"


def test_in_loopback_a_frame_comes_back_and_does_not_leave():
    bench, left = Bench(), []
    bench.nic.on_transmit.append(left.append)
    bench.begin(tcr=0x02)
    bench.send(FRAME)
    assert bench.take() == FRAME
    assert left == []
    bench.begin()
    bench.send(FRAME)
    assert left == [FRAME]
    assert bench.get(ISR) & 0x02
    assert bench.get(TPSR) & 1


def test_a_peer_answers_after_its_time_and_the_state_holds_what_is_on_the_wire():
    bench = Bench()
    bench.nic.peer = lambda frame: [ADDRESS + frame[6:]]
    bench.begin()
    bench.send(FRAME)
    assert bench.nic.deadline() == WIRE_NS
    state, other = bench.nic.save(), Bench()
    other.nic.load(state)
    for one in (bench, other):
        one.time = WIRE_NS
        one.nic.on_time(one.time)
        assert one.take() == FRAME
        assert one.nic.deadline() is None
    assert bench.nic.save() == other.nic.save()


@given(st.lists(st.tuples(st.integers(0, 31), st.sampled_from([1, 2, 4]), st.integers(0, 2**32 - 1), st.booleans()),
                max_size=200), st.binary(max_size=1600))  # fmt: skip
def test_nothing_that_a_guest_or_the_wire_does_makes_it_fail(accesses, frame):
    bench = Bench()
    bench.nic.peer = lambda sent: [sent, frame]
    for register, size, value, out in accesses:
        if out:
            bench.nic.write(0x300 + register, size, value)
        else:
            assert 0 <= bench.nic.read(0x300 + register, size) < 1 << 8 * size
    bench.nic.receive(frame)
    bench.nic.on_time(10**12)
    state = bench.nic.save()
    bench.nic.load(state)
    assert bench.nic.save() == state
