"""The segmentation unit against Bochs, which we did not write: a few thousand random cases, the same each time.

`python -m tests.vm.machine.segmentation.campaign 100000` runs as many as one likes.
"""

import os
import shutil

import pytest

from tests.vm.machine.segmentation.cases import random_cases
from tests.vm.machine.segmentation.runners import on_labkit


@pytest.fixture(autouse=True)
def bochs():
    if shutil.which("bochs") is None:
        leave = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        leave("Bochs is not here: install the packages bochs, bochs-term and vgabios")


def test_every_kind_of_access(tmp_path):
    from tests.vm.machine.segmentation.campaign import mismatches

    assert mismatches(20, 6000, tmp_path) == []


def test_the_unit_is_what_makes_them_equal(tmp_path):
    """Without it thousands of these cases go wrong: the oracle would notice."""
    from tests.vm.machine.segmentation.runners import on_bochs

    cases = random_cases(21, 500)
    differ = sum(a != b for a, b in zip(on_bochs(cases, tmp_path), on_labkit(cases, segmentation=False), strict=True))
    assert differ > 50
