"""Local APIC: priorities by the manual's rule, timer by arithmetic, virtual wire, self-interrupts."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.lapic import Lapic

ID, TPR, PPR, EOI, LDR, DFR, SVR, ISR, TMR, IRR = (
    0x20,
    0x80,
    0xA0,
    0xB0,
    0xD0,
    0xE0,
    0xF0,
    0x100,
    0x180,
    0x200,
)
ESR, ICR, ICR2, TIMER, LINT0, ERROR = 0x280, 0x300, 0x310, 0x320, 0x350, 0x370
INITIAL, CURRENT, DIVIDE = 0x380, 0x390, 0x3E0
MASKED, PERIODIC, LEVEL = 0x10000, 0x20000, 0x8000


class Bench:
    """The chip, guest time, and what it says."""

    def __init__(self) -> None:
        self.time = 0
        self.levels: list[bool] = []
        self.ended: list[int] = []
        self.nmis = 0
        self.apic = Lapic(self, self.levels.append, self.ended.append, lambda: None, nmi=self._nmi)

    def _nmi(self) -> None:
        self.nmis += 1

    def now(self) -> int:
        return self.time

    def get(self, offset: int) -> int:
        return self.apic.read_mmio(offset, 4)

    def put(self, offset: int, value: int) -> None:
        self.apic.write_mmio(offset, 4, value)

    def send(self, vector: int, *, level: bool = False) -> bool:
        return self.apic.receive(0, False, 0, vector, level)

    def fire(self, count: int) -> list[int]:
        """Guest times of the next `count` timer interrupts."""
        times = []
        for _ in range(count):
            due = self.apic.deadline()
            if due is None:
                break
            self.time = due
            self.apic.on_time(due)
            times.append(due)
            if self.apic.level:
                self.apic.acknowledge()
                self.put(EOI, 0)
        return times


@given(
    st.lists(st.tuples(st.sampled_from(("send", "take", "end", "tpr")), st.integers(16, 255)), max_size=40)
)
def test_priority_is_by_class_of_16_vectors(steps) -> None:
    bench = Bench()
    asked: set[int] = set()
    serving: list[int] = []
    tpr = 0
    for kind, number in steps:
        floor = max(tpr >> 4, max(serving, default=0) >> 4)
        best = max(asked, default=0)
        if kind == "send":
            bench.send(number)
            asked.add(number)
        elif kind == "tpr":
            tpr = number
            bench.put(TPR, tpr)
        elif kind == "end":
            bench.put(EOI, 0)
            if serving:
                serving.remove(max(serving))
        elif best >> 4 > floor:
            assert bench.apic.acknowledge() == best
            asked.discard(best)
            serving.append(best)
        floor = max(tpr >> 4, max(serving, default=0) >> 4)
        assert bench.apic.level == (max(asked, default=0) >> 4 > floor)
        assert bench.get(PPR) >> 4 == floor
        for base, vectors in ((IRR, asked), (ISR, serving)):
            bits = sum(bench.get(base + 16 * i) << 32 * i for i in range(8))
            assert bits == sum(1 << vector for vector in vectors)


def test_nothing_to_take_gives_the_spurious_vector() -> None:
    bench = Bench()
    assert bench.apic.acknowledge() == 0xFF
    assert bench.get(ISR + 0x70) == 0


def test_virtual_wire_at_reset_and_cut_by_masking_or_software_disable() -> None:
    bench = Bench()
    bench.apic.set_lint0(True)
    assert bench.apic.level
    assert bench.apic.acknowledge() is None
    bench.put(LINT0, 0x10700)
    assert not bench.apic.level
    bench.put(LINT0, 0x700)
    assert bench.apic.level
    bench.put(SVR, 0xFF)
    assert not bench.apic.level
    assert bench.get(LINT0) & MASKED
    bench.put(LINT0, 0x700)
    assert bench.get(LINT0) & MASKED, "the mask cannot be cleared while the chip is disabled"


def test_lint0_as_a_plain_vector() -> None:
    bench = Bench()
    bench.put(LINT0, 0x31)
    bench.apic.set_lint0(True)
    assert bench.apic.acknowledge() == 0x31
    bench.put(EOI, 0)
    assert not bench.apic.level
    bench.put(LINT0, LEVEL | 0x31)
    assert bench.apic.acknowledge() == 0x31
    bench.put(EOI, 0)
    assert bench.apic.level, "the line is still high"


@given(
    st.integers(1, 10**9),
    st.sampled_from([(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)]),
)
def test_periodic_timer(count, divisor) -> None:
    bench = Bench()
    code, by = divisor
    bench.time = 77
    bench.put(DIVIDE, code)
    bench.put(TIMER, PERIODIC | 0x40)
    bench.put(INITIAL, count)
    assert bench.fire(3) == [77 + count * by * n for n in (1, 2, 3)]


def test_one_shot_timer_counts_down_once() -> None:
    bench = Bench()
    bench.put(DIVIDE, 11)
    bench.put(TIMER, 0x40)
    bench.put(INITIAL, 1000)
    bench.time = 400
    assert bench.get(CURRENT) == 600
    bench.put(DIVIDE, 0)
    bench.time = 600
    assert bench.get(CURRENT) == 500, "a new divisor counts on from the present count"
    assert bench.fire(5) == [1600]
    assert bench.get(CURRENT) == 0
    bench.put(INITIAL, 10)
    bench.put(INITIAL, 0)
    assert bench.apic.deadline() is None


def test_masked_timer_counts_but_does_not_interrupt() -> None:
    bench = Bench()
    bench.put(DIVIDE, 11)
    bench.put(INITIAL, 1000)
    bench.time = 900
    assert bench.get(CURRENT) == 100
    assert bench.apic.deadline() is None
    bench.put(TIMER, 0x40)
    assert bench.apic.deadline() == 1000


def test_interrupting_oneself() -> None:
    bench = Bench()
    bench.put(ICR, 0x40041)
    assert bench.apic.acknowledge() == 0x41
    bench.put(EOI, 0)
    bench.put(LDR, 0x02000000)
    bench.put(ICR2, 0x03000000)
    bench.put(ICR, 0x842)
    assert bench.apic.acknowledge() == 0x42
    bench.put(EOI, 0)
    for command in (0xC0043, 0x44):  # all but self; then physical destination 3, which is nobody
        bench.put(ICR, command)
    assert not bench.apic.level
    assert not bench.get(ICR) & 0x1000
    bench.put(DFR, 0)
    bench.put(LDR, 0x12000000)
    bench.put(ICR2, 0x13000000)
    bench.put(ICR, 0x845)
    assert bench.apic.acknowledge() == 0x45, "cluster 1, member 2"
    bench.put(ICR2, 0)
    bench.put(ICR, 0x400)
    assert bench.nmis == 1


def test_illegal_vectors_are_reported() -> None:
    bench = Bench()
    bench.put(ERROR, 0x33)
    bench.put(ICR, 0x40005)
    assert bench.apic.acknowledge() == 0x33
    assert bench.get(ESR) == 0
    bench.put(ESR, 0)
    assert bench.get(ESR) == 0x20
    bench.send(3)
    bench.put(ESR, 0)
    assert bench.get(ESR) == 0x40


def test_end_of_a_level_interrupt_is_broadcast() -> None:
    bench = Bench()
    bench.send(0x51, level=True)
    bench.send(0x42)
    for _ in range(2):
        bench.apic.acknowledge()
        bench.put(EOI, 0)
    assert bench.ended == [0x51]


def test_disabled_chip_takes_no_messages() -> None:
    bench = Bench()
    bench.put(SVR, 0xFF)
    assert not bench.send(0x41)
    bench.put(SVR, 0x1FF)
    assert bench.send(0x41)


def test_version_and_identifier() -> None:
    bench = Bench()
    assert bench.get(0x30) == 0x00050014
    assert bench.get(ID) == 0
    assert bench.apic.read_mmio(0x30, 1) == 0x14
    assert bench.apic.read_mmio(0x32, 2) == 0x0005


def test_late_call_interrupts_once_and_keeps_the_rhythm() -> None:
    bench = Bench()
    bench.put(DIVIDE, 11)
    bench.put(TIMER, PERIODIC | 0x40)
    bench.put(INITIAL, 1000)
    bench.time = 3500
    bench.apic.on_time(3500)
    assert bench.apic.acknowledge() == 0x40
    assert bench.apic.deadline() == 4000
