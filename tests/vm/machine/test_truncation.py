"""Truncation on every descriptor of a space of 256 bytes whose top 32 are the monitor's."""

import itertools

import pytest

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.truncation import FULL, AddressSpace, Cut, allowed, portions, truncate

SMALL = AddressSpace(bits=8, field=5, monitor=224)
READ_ONLY, WRITABLE, DOWN, WRITABLE_DOWN, CODE = 0, 2, 4, 6, 10


def every_descriptor():
    kinds, granular = (WRITABLE, WRITABLE_DOWN, CODE), (False, True)
    for base, limit, kind, g, wide in itertools.product(range(256), range(32), kinds, granular, granular):
        yield SegmentDescriptor(base, limit, kind, system=False, dpl=3, present=True, granular=g, wide=wide)


def test_nothing_that_is_allowed_reaches_the_monitor():
    tried = 0
    for guest in every_descriptor():
        made = truncate(guest, SMALL)
        left, whole = allowed(made.shadow, SMALL), allowed(guest, SMALL)
        reached = {(guest.base + offset) % 256 for offset in left}
        assert not any(address >= 224 for address in reached), made
        assert made.shadow.base == guest.base
        assert made.lost == len(whole) - len(left)
        assert all(offset in whole for offset in (left[0], left[-1])) if left else True, made
        tried += 1
    assert tried == 256 * 32 * 3 * 4


def test_what_can_be_kept_is_kept():
    for guest in every_descriptor():
        made = truncate(guest, SMALL)
        first, second, third = portions(guest, SMALL)
        if made.cut is Cut.NONE:
            assert second + third == 0
            assert made.shadow == guest
        if made.cut is Cut.SHORTENED:  # less than one unit is given up
            assert first - len(allowed(made.shadow, SMALL)) in range(SMALL.unit)
        if made.cut is Cut.EMPTY:
            assert guest.expands_down or first == 0


def test_portions_are_the_segment_in_order():
    for guest in every_descriptor():
        kinds = ["m" if (guest.base + o) % 256 >= 224 else "." for o in allowed(guest, SMALL)]
        first, second, third = portions(guest, SMALL)
        assert first + second + third == len(kinds)
        assert set(kinds[:first]) <= {"."}
        assert set(kinds[first : first + second]) <= {"m"}


def test_flat_and_thread_local_segments():
    flat = SegmentDescriptor(0, 0xFFFFF, 2, system=False, dpl=3, present=True, granular=True, wide=True)
    cut = truncate(flat)
    assert (FULL.last(cut.shadow), cut.lost) == (0xFFBFFFFF, 4 << 20)
    tls = SegmentDescriptor(0xB7D00000, 0xFFFFF, 2, system=False, dpl=3, present=True, granular=True, wide=True)
    assert portions(tls) == (0xFFC00000 - 0xB7D00000, 4 << 20, 0xB7D00000)
    assert "cut before the monitor" in str(truncate(tls))


def test_a_system_segment_is_refused():
    with pytest.raises(ValueError, match="code and data"):
        truncate(SegmentDescriptor(0, 0x67, 9, system=True, dpl=0, present=True, granular=False, wide=False))
