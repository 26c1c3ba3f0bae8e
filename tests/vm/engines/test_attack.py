"""Random attacks by a guest under binary translation: nothing comes through, and without a safeguard something does."""

import os

import pytest

from labkit.bench.engine_attacks import REMOVALS, WAYS, assault
from labkit.vm.machine.shadow_segments import LeftOut

ACCESSES = 1_000_000 if os.environ.get("LABKIT_FULL") else 4_000
FEW = 1_500


@pytest.mark.parametrize("way", WAYS)
def test_no_random_access_comes_to_the_monitors_memory(way: str) -> None:
    found = assault(way, ACCESSES, 1)
    assert found.leaks == 0, str(found)
    assert found.accesses >= ACCESSES
    assert found.hidden > found.accesses // 20
    assert found.reflected


@pytest.mark.parametrize(("safeguard", "way"), REMOVALS)
def test_without_a_safeguard_some_do(safeguard: LeftOut, way: str) -> None:
    assert assault(way, FEW, 2, safeguard).leaks
