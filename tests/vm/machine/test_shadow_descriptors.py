"""Shadow tables: levels, coherence and reversibility."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.descriptors import SegmentDescriptor, decode
from labkit.vm.machine.shadow_descriptors import NOTHING, CachedDescriptor, ShadowTable, shadow_of
from labkit.vm.machine.truncation import FULL, allowed

WORD = st.integers(0, 0xFFFFFFFF)
FLAT_SEGMENT = SegmentDescriptor(0, 0xFFFFF, 3, system=False, dpl=3, present=True, granular=True, wide=True)
FLAT_KERNEL, FLAT_USER = (0xFFFF, 0xCF9300), (0xFFFF, 0xCFF300)


@given(WORD, WORD)
def test_no_shadow_of_any_64_bits_is_a_way_in(low, high):
    shadow = shadow_of(decode(low, high))
    assert shadow == NOTHING or (shadow.dpl > 0 and not shadow.system)
    if shadow.present:
        offsets = allowed(shadow)
        assert not offsets or shadow.base + offsets[-1] < FULL.monitor or shadow.expands_down


@given(st.lists(st.tuples(st.integers(0, 7), WORD, WORD), max_size=20))
def test_traced_writes_keep_every_shadow_coherent(writes):
    table = ShadowTable([(0, 0)] * 8)
    for index, low, high in writes:
        table.written(index, low, high)
        assert table.stale == ()
    assert table.updates == len(writes)


def test_a_write_that_nobody_notices_leaves_a_stale_shadow():
    table = ShadowTable([(0, 0), FLAT_USER])
    table.written(1, 0xFFFF, 0x4FF300, traced=False)
    assert table.stale == (1,)


def test_reversible_until_the_entry_or_the_mode_changes():
    table = ShadowTable([(0, 0), FLAT_KERNEL, FLAT_USER])
    held = CachedDescriptor(0x13, FLAT_SEGMENT)
    assert held.reversible(table)
    assert not held.reversible(table, protected=False)
    table.written(2, *FLAT_KERNEL)
    assert not held.reversible(table)
    assert CachedDescriptor(0, None).reversible(table)
    assert not CachedDescriptor(0x83, FLAT_SEGMENT).reversible(table)


def test_level_0_becomes_1_and_entries_of_the_monitor_are_refused():
    table = ShadowTable([(0, 0), FLAT_KERNEL, FLAT_USER])
    assert (table.shadow(1).dpl, table.shadow(2).dpl) == (1, 3)
    assert table.accepts(0x10)
    assert not table.accepts(0x18)
    whole = table.shadow(2, truncated=False)
    assert isinstance(whole, SegmentDescriptor)
    assert whole.last == 0xFFFFFFFF
    assert "shadow" in str(table)
