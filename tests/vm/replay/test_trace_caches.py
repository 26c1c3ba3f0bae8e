"""The compiled caches beside a plain model of five dictionaries."""

from collections import OrderedDict

import pytest

from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.trace_caches import Cache, Caches
from labkit.vm.replay.trace_parts import GuestRecipe
from labkit.vm.replay.trace_profile import UNKNOWN, Profile
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window

COUNT = 60_000


class Model:
    def __init__(self, cache: Cache) -> None:
        self.cache, self.sets, self.hits, self.misses = cache, {}, 0, 0

    def look(self, line: int) -> bool:
        rows = self.sets.setdefault(line % self.cache.sets, OrderedDict())
        hit = line in rows
        self.hits, self.misses = self.hits + hit, self.misses + (not hit)
        rows[line] = True
        rows.move_to_end(line)
        if len(rows) > self.cache.ways:
            rows.popitem(last=False)
        return hit


@pytest.fixture(scope="module")
def batches():
    source = GuestRecipe("teaching", 8 << 20).source()
    return source.machine, list(full_trace(source, [Window(200_000, 200_000 + COUNT)]))


def test_caches_are_those_of_the_model(batches):
    tlbs = Cache(8 << 12, 2, 4096), Cache(4 << 12, 4, 4096)
    kinds = (Cache(1 << 10, 2, 32), Cache(1 << 10, 4), Cache(4 << 10, 1), *tlbs)
    models = l1i, l1d, l2, itlb, dtlb = [Model(kind) for kind in kinds]

    def reach(model: Model, address: int, size: int) -> None:
        line = model.cache.line
        for number in range(address // line, (address + size - 1) // line + 1):
            if not model.look(number):
                l2.look(number * line // l2.cache.line)

    for batch in batches[1]:
        refs = iter(zip(batch.address.tolist(), batch.width.tolist(), strict=True))
        columns = batch.linear, batch.physical, batch.size, batch.refs
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for linear, physical, size, count in rows:
            itlb.look(linear >> 12)
            reach(l1i, physical, size)
            for _ in range(count):
                address, width = next(refs)
                dtlb.look(address >> 12)
                reach(l1d, address, width)
    got = Caches(*kinds).feed(batches[1])
    assert [(c.hits, c.misses) for c in got.counts.values()] == [(m.hits, m.misses) for m in models]
    assert "L1D" in str(got)


@pytest.mark.parametrize("wrong", [(1000, 2, 64), (0, 1, 64), (4096, 0, 64), (4096, 2, 48)])
def test_a_cache_that_cannot_be_says_so(wrong):
    with pytest.raises(TimelineError):
        Cache(*wrong)


def test_a_profile_counts_every_instruction_once(batches):
    machine, made = batches
    profile = Profile(machine.symbols).feed(made)
    assert sum(count for _, count in profile.functions) == COUNT
    assert profile.functions[0][0] != UNKNOWN
    assert profile.functions[0][0] in str(profile)
    assert Profile(()).feed(made).functions == [(UNKNOWN, COUNT)]
