"""The pure segmentation unit: corners of limits, types, null; and what it calls plain never faults."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.descriptors import SegmentDescriptor, decode
from labkit.vm.machine.segmentation import Access, check, is_plain, linear, offsets

WORD = st.integers(0, 0xFFFFFFFF)


def segment(**changes):
    given_ = {"base": 0, "limit": 0xFFF, "type": 2, "system": False, "dpl": 3, "present": True}
    return SegmentDescriptor(**{**given_, "granular": False, "wide": True, **changes})


def test_the_last_byte():
    assert check(segment(), 0xFFC, 4, Access.READ) is None
    assert check(segment(), 0xFFD, 4, Access.READ).vector == 13
    assert check(segment(), 0xFFD, 4, Access.WRITE, stack=True).vector == 12
    assert "#SS(0)" in str(check(segment(), 0xFFD, 4, Access.WRITE, stack=True))


def test_expand_down():
    down = segment(type=6)
    assert check(down, 0x1000, 1, Access.WRITE) is None
    assert check(down, 0xFFF, 1, Access.WRITE)
    assert check(down, 0xFFFFFFFD, 4, Access.WRITE)
    assert check(segment(type=6, wide=False), 0xFFFD, 4, Access.WRITE)


def test_types_and_null():
    assert check(None, 0, 1, Access.READ)
    assert check(segment(type=0), 0, 1, Access.WRITE)
    assert check(segment(type=8), 0, 1, Access.READ)
    assert check(segment(type=8), 0, 1, Access.EXECUTE) is None
    assert check(segment(type=10), 0, 1, Access.WRITE)
    assert check(segment(), 0, 1, Access.EXECUTE)


@given(WORD, WORD, WORD, st.sampled_from((1, 2, 4, 8)))
def test_plain_segments_never_fault(low, high, offset, size):
    made = decode(low, high | 0x8F9200)
    assert isinstance(made, SegmentDescriptor)
    if is_plain(made):
        kind = Access.READ if made.code else Access.WRITE
        assert check(made, offset, size, kind) is None


@given(WORD, WORD, WORD)
def test_one_byte_is_allowed_exactly_where_the_limit_says(low, high, offset):
    made = decode(low, high & ~0xF00 | 0x9200 | high & 0x400)
    assert isinstance(made, SegmentDescriptor)
    assert (check(made, offset, 1, Access.READ) is None) == (offset in offsets(made))
    assert linear(made, offset) == (made.base + offset) % (1 << 32)
