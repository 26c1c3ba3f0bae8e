"""What the tests of machine and monitor share: a bare computer that runs a few hand-made instructions.

    00500  vector of the last exception that reached a handler       01000  GDT   02000  IDT   03000  handlers
    06000  task-state segment (ring 0 stack at 09000)                10000  code

`LABKIT_FULL=1` makes the long tests as long as they are meant to be; by default they are cut to a fraction.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, Stop

VECTOR, GDT, IDT, HANDLERS, TSS, STACK, CODE = 0x500, 0x1000, 0x2000, 0x3000, 0x6000, 0x9000, 0x10000
CODE0, DATA0, CODE3, DATA3, TASK, TASK2 = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
HANDLER_SIZE = 16


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def descriptor(base: int, limit: int, kind: int, flags: int = 0xC) -> bytes:
    low = (limit & 0xFFFF) | (base & 0xFFFF) << 16
    high = (base >> 16 & 0xFF) | kind << 8 | (limit & 0xF0000) | flags << 20 | (base & 0xFF000000)
    return word(low) + word(high)


def gate(offset: int, selector: int = CODE0, kind: int = 0x8E) -> bytes:
    return word((offset & 0xFFFF) | selector << 16) + word((offset & 0xFFFF0000) | kind << 8)


@dataclass
class Bare:
    """A machine with 32-bit tables in place; every exception stores its vector at 500h, then CLI, HLT."""

    memory: int = 4 << 20
    mmu: str = "labkit"
    segmentation: bool = False
    machine: Machine = field(init=False)
    monitor: Monitor = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Machine(memory=self.memory, mmu=self.mmu, segmentation=self.segmentation)
        self.monitor = Monitor(self.machine)
        self.put(GDT, b"".join((
            bytes(8), descriptor(0, 0xFFFFF, 0x9B), descriptor(0, 0xFFFFF, 0x93),
            descriptor(0, 0xFFFFF, 0xFB), descriptor(0, 0xFFFFF, 0xF3), descriptor(TSS, 0x2FFF, 0x8B, 0),
            descriptor(TSS + 0x800, 0x67, 0x89, 0),
        )))  # fmt: skip
        for vector in range(256):
            at = HANDLERS + HANDLER_SIZE * vector
            # mov dword [500h], vector; cli; hlt
            self.put(at, b"\xc7\x05" + word(VECTOR) + word(vector) + b"\xfa\xf4")
            self.put(IDT + 8 * vector, gate(at))
        self.put(TSS + 4, word(STACK) + word(DATA0))
        self.put(TSS + 0x64, word(0xFFFF << 16))  # no I/O bitmap
        self.put(VECTOR, word(0xFFFF))
        registers = self.registers
        registers.set_flat(CODE0, DATA0)
        registers.segments[8].base, registers.segments[8].limit = GDT, 0x37
        registers.segments[9].base, registers.segments[9].limit = IDT, 0x7FF
        task = int.from_bytes(self.get(GDT + TASK, 8), "little")
        registers.load_segment(7, TASK, task & 0xFFFFFFFF, task >> 32)
        registers.eflags, registers.eip, registers.general[4] = 2, CODE, 0x8000

    @property
    def registers(self):
        return self.machine.processor.registers

    @property
    def clock(self) -> int:
        return self.machine.processor.clock

    def put(self, address: int, data: bytes) -> None:
        self.machine.processor.write_physical(address, data)

    def get(self, address: int, size: int = 4) -> bytes:
        return self.machine.memory.read(address, size)

    def number(self, address: int) -> int:
        return self.machine.memory.read32(address)

    @property
    def vector(self) -> int:
        """Vector of the exception that reached its handler, FFFFh for none."""
        return self.number(VECTOR)

    def user(self, eflags: int = 2) -> None:
        """Go on in ring 3."""
        registers = self.registers
        for index, selector in ((1, CODE3), (0, DATA3), (2, DATA3), (3, DATA3)):
            packed = int.from_bytes(self.get(GDT + (selector & ~7), 8), "little")
            registers.load_segment(index, selector, packed & 0xFFFFFFFF, packed >> 32)
        registers.eflags = eflags
        registers.derive(3)

    def run(self, code: bytes = b"", instructions: int | None = 10_000) -> Stop:
        if code:
            self.put(CODE, code)
        return self.monitor.run(instructions)

    def frame(self, count: int, stack: int = STACK) -> list[int]:
        """The top words of a stack that `count` words were pushed on."""
        return [self.number(stack - 4 * count + 4 * i) for i in range(count)]


@pytest.fixture
def bare() -> Bare:
    return Bare()


@pytest.fixture
def make_bare() -> Callable[..., Bare]:
    return Bare
