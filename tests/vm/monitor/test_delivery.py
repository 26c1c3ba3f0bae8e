"""Delivery through the IDT: what it does to descriptors, and the room it needs."""

import pytest

from labkit.vm.monitor import StopReason
from labkit.vm.monitor.delivery import _check_room
from labkit.vm.monitor.faults import DeliveryFault

GDT, INT_40, UD2 = 0x1000, b"\xcd\x40", b"\x0f\x0b"
SS, DATA = 2, 0x409300
BIG, DOWN = 1 << 22, 1 << 22 | 0x400


def test_loaded_descriptors_are_marked_accessed(bare) -> None:
    bare.put(GDT + 8 + 5, b"\x9a")
    bare.put(GDT + 16 + 5, b"\x92")
    bare.user()
    bare.run(UD2)
    assert bare.vector == 6
    assert (bare.get(GDT + 8 + 5, 1), bare.get(GDT + 16 + 5, 1)) == (b"\x9b", b"\x93")
    assert [bare.registers.segments[k].flags >> 8 & 1 for k in (1, 2)] == [1, 1]


@pytest.mark.parametrize(("limit", "ends"), [(0x7FFF, StopReason.HALTED), (0x7FFE, StopReason.SHUTDOWN)])
def test_a_stack_needs_room_for_the_frame(bare, limit: int, ends: StopReason) -> None:
    stack = bare.registers.segments[SS]
    stack.limit, stack.flags = limit, DATA  # ESP is 8000h; without room there is none for #SS and #DF either
    assert bare.run(UD2).reason is ends


def test_an_inner_stack_without_room_is_reported_with_its_selector(bare) -> None:
    bare.put(GDT + 16, (0x8FFE).to_bytes(2, "little") + b"\0\0\0\x93\x40\0")  # ESP0 is 9000h
    bare.put(0x2000 + 8 * 12, b"\0\0\x30\0\0\x85\0\0")  # #SS by a task gate
    task = 0x6800
    for at, value in ((0x20, 0x10000), (0x24, 2), (0x38, 0x7000), (0x48, 0), (0x4C, 8), (0x54, 0)):
        bare.put(task + at, value.to_bytes(4, "little"))
    bare.put(GDT + 0x18, b"\xff\xff\0\0\0\xfb\xcf\0")
    bare.put(task + 0x50, (0x10).to_bytes(4, "little"))
    bare.user()
    bare.put(0x10000, b"\xcc\xf4")
    bare.put(0x11000, UD2)
    bare.registers.eip = 0x11000
    bare.monitor.run(1)
    assert bare.number(0x7000 - 4) == 0x10 | 1


@pytest.mark.parametrize(
    ("limit", "high", "pointer", "size", "count", "fits"),
    [
        (0xFFFFFFFF, BIG, 4, 4, 3, True),  # a flat stack wraps
        (0xFFFF, 0, 2, 4, 1, False),  # FFFEh..10001h
        (0xFFFF, 0, 4, 4, 2, True),
        (0x1000, DOWN, 0x1010, 4, 3, True),
        (0x1000, DOWN, 0x100C, 4, 3, False),
        (0x2000, BIG, 0x2004, 4, 1, False),
        (0x2000, BIG, 0x2001, 4, 1, True),
    ],
)
def test_room(limit, high, pointer, size, count, fits) -> None:
    if fits:
        _check_room(limit, high, pointer, size, count, 5)
    else:
        with pytest.raises(DeliveryFault) as found:
            _check_room(limit, high, pointer, size, count, 5)
        assert (found.value.vector, found.value.error) == (12, 5)
