from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import layout
from labkit.guests.errors import GuestError
from labkit.guests.layout import Extent

MB = 1 << 20


@given(st.integers(1, 3 << 18))
def test_the_memory_map_covers_memory_in_order_and_without_overlap(pages):
    memory = max(pages * 4096, 2 * MB)
    regions = layout.memory_map(memory)
    assert regions[-1].address + regions[-1].size == memory
    for first, second in pairwise(regions):
        assert first.address + first.size <= second.address
    usable = sum(r.size for r in regions if r.kind is layout.RegionKind.USABLE)
    assert memory - usable == 0x10_0000 - 0x9FC00


@pytest.mark.parametrize("memory", [-1, 0, 4096, 2 * MB + 1, (3 << 30) + 4096, 1 << 40])
def test_a_size_of_memory_that_a_pc_cannot_have_is_refused(memory):
    with pytest.raises(GuestError, match="of memory: a guest can have 2 MB to 3,072 MB"):
        layout.check_memory(memory)


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (0, 16),
        (0x4FF, 1),
        (0x9FC00, 1),
        (0x9F000, 0x1000),
        (0xB8000, 2),
        (0xFFFFF, 2),
        (64 * MB - 1, 2),
        (1 << 32, 1),
    ],
)
def test_outside_usable_memory_is_refused(address, size):
    with pytest.raises(GuestError, match="thing"):
        layout.check_extents([Extent(address, size, "thing")], 64 * MB)


def test_too_little_memory_says_so():
    with pytest.raises(
        GuestError, match=r"thing \(04000000-04000fff\) lies beyond the guest's 64 MB .* give it more"
    ):
        layout.check_extents([Extent(64 * MB, 4096, "thing")], 64 * MB)


@given(st.lists(st.tuples(st.integers(0x10_0000, 0x10_0100), st.integers(0, 0x40)), max_size=8))
def test_overlap_is_found_exactly_when_two_share_a_byte(spans):
    cells = [cell for address, size in spans for cell in range(address, address + size)]
    extents = [Extent(address, size, "x") for address, size in spans]
    if len(cells) == len(set(cells)):
        layout.check_extents(extents, 64 * MB)
    else:
        with pytest.raises(GuestError, match="overlaps"):
            layout.check_extents(extents, 64 * MB)


@pytest.mark.parametrize("code", [layout.BARE_CODE, layout.LINUX_CODE])
def test_the_boot_gdt_has_flat_code_and_data(code):
    placement = layout.flat_gdt(code_selector=code)
    start, gdt = layout.bare_start(0x10_0000, placement), placement.data
    assert (start.code_selector, start.data_selector) == (code, code + 8)
    for selector, access in ((code, 0x9A), (code + 8, 0x92)):
        descriptor = int.from_bytes(gdt[selector : selector + 8], "little")
        base = (descriptor >> 16 & 0xFF_FFFF) | (descriptor >> 56) << 24
        limit = (descriptor & 0xFFFF) | (descriptor >> 48 & 0xF) << 16
        assert (base, limit, descriptor >> 40 & 0xFF) == (0, 0xF_FFFF, access)
        assert descriptor >> 52 & 0xF == 0b1100  # 4 KB granularity, 32-bit


@given(st.integers(0x500, 0x9FBFF), st.integers(1, 0x20000))
def test_the_boot_gdt_and_its_stack_evade_what_is_there(address, size):
    taken = Extent(address, min(size, 0x9FC00 - address), "image")
    gdt = layout.flat_gdt([taken])
    start = layout.bare_start(0x10_0000, gdt)
    assert start.esp == start.gdt_address == gdt.address
    assert gdt.end <= taken.address or taken.end <= gdt.address - 0x1000
