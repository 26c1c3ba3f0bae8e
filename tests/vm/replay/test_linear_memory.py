"""Reading by linear address: cut at pages, none of them missed, none that is not mapped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.vm.replay import TimelineError
from labkit.vm.replay.linear_memory import pieces, read

KERNEL = 0xC0000000  # where our kernel sees all physical memory


@settings(deadline=None)
@given(st.integers(0x1000, 0x9000), st.integers(0, 3 * 4096))
def test_a_range_is_its_pieces(recorded, offset, size):
    recorded.seek(recorded.end)
    machine = recorded.machine
    found = pieces(machine, KERNEL + offset, size)
    assert sum(count for _, _, count in found) == size
    assert all(at % 4096 + count <= 4096 for at, _, count in found)
    data = read(machine, KERNEL + offset, size)
    assert data == b"".join(machine.memory.read(physical, count) for _, physical, count in found)
    assert data == machine.memory.read(offset, size)


def test_a_page_that_is_not_mapped(recorded):
    recorded.seek(recorded.end)
    assert read(recorded.machine, 0xF0000000, 4) is None
    assert read(recorded.machine, 0xF0000000, 0) == b""
    with pytest.raises(TimelineError, match="f0000000 is not mapped at instruction"):
        pieces(recorded.machine, 0xF0000000, 1)
