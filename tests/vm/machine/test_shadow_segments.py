"""The compiled cut of a segment against the pure function, on descriptors of every kind."""

import random

import numpy as np

from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.probes import shadow
from labkit.vm.machine.truncation import FULL, truncate

ROUNDS = 6_000
EDGES = (0, 1, 0x1000, FULL.monitor - 0x1000, FULL.monitor - 1, FULL.monitor, FULL.monitor + 1, FULL.size - 1)


def drawn(choose: random.Random) -> SegmentDescriptor:
    base = choose.choice((choose.choice(EDGES), choose.randrange(FULL.size)))
    near = (FULL.monitor - base >> 12) + choose.randrange(-2, 3) & 0xFFFFF
    limit = choose.choice((0, 0xFFFFF, near, FULL.monitor - base & 0xFFFFF, choose.randrange(1 << 20)))
    return SegmentDescriptor(
        base, limit, choose.randrange(16), system=False, dpl=choose.randrange(4), present=True,
        granular=choose.random() < 0.6, wide=choose.random() < 0.7,
    )  # fmt: skip


def test_the_compiled_cut_is_truncation() -> None:
    choose, cells, changed = random.Random(3), np.zeros(176, np.uint64), 0
    for _ in range(ROUNDS):
        guest = drawn(choose)
        _, high = guest.encode()
        found = int(shadow.cut(cells.ctypes.data, guest.base, guest.last, high))
        limit, flags = found & 0xFFFFFFFF, found >> 32
        wanted = truncate(guest).shadow
        assert (limit, flags >> 8 & 15, bool(flags >> 22 & 1)) == (wanted.last, wanted.type, wanted.wide), str(guest)
        changed += wanted != guest
    assert changed > ROUNDS // 4


def test_a_system_descriptor_is_left_alone() -> None:
    assert int(shadow.cut(np.zeros(176, np.uint64).ctypes.data, 0, 0xFFFFFFFF, 0x8900)) == 0xFFFFFFFF | 0x8900 << 32
