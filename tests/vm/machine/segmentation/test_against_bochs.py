"""The segmentation unit against Bochs, which we did not write: a few thousand random cases, the same each time.

`python -m tests.vm.machine.segmentation.campaign 100000` runs as many as one likes.
"""

import os
import shutil

import pytest

from tests.vm.machine.segmentation.cases import random_cases
from tests.vm.machine.segmentation.image import ARENA, Case
from tests.vm.machine.segmentation.runners import on_labkit


@pytest.fixture(autouse=True)
def bochs():
    if shutil.which("bochs") is None:
        leave = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        leave("Bochs is not here: install the packages bochs, bochs-term and vgabios")


def test_every_kind_of_access(tmp_path):
    from tests.vm.machine.segmentation.campaign import mismatches

    assert mismatches(20, 6000, tmp_path) == []


@pytest.mark.parametrize(("prefix", "load"), [("", "8ed8"), ("26", "8ec0")])
def test_a_loop_that_counts_itself_is_checked_once_its_segment_is_not_plain(tmp_path, prefix, load):
    """A hundred rounds through a flat segment, then one through a segment of 4 KB."""
    from tests.vm.machine.segmentation.runners import on_bochs

    begin = b"\xbb" + (ARENA + 0x10000).to_bytes(4, "little") + b"\xb9\x64\0\0\0"
    body = bytes.fromhex(prefix + "8b03" + "49") + b"\x75"
    loop = body + (-len(body) - 1 & 0xFF).to_bytes(1, "little")
    again = bytes.fromhex("66b83300" + load + "b901000000eb")
    code = begin + loop + again + (-len(loop) - len(again) - 1 & 0xFF).to_bytes(1, "little")
    words = (0xFFF, 0x40F200)
    case = Case((words, words, words), code)
    expected, found = on_bochs([case], tmp_path), on_labkit([case])
    assert expected == found
    assert (found[0].vector, found[0].ecx) == (13, 1)


def test_what_a_store_of_an_empty_register_leaves_is_nobodys_operand(tmp_path):
    """Two of a hundred thousand: FST of an empty register, and a load thousands of cases later from where it stored.

    The processor stores the indefinite, Unicorn what the register last held: no matter of the segmentation unit.
    """
    from tests.vm.machine.segmentation.runners import on_bochs

    cases = random_cases(6, 14054)
    pair = [cases[5394], cases[14053]]
    assert [case.code[-2:].hex() for case in pair] == ["dd13", "2404"]
    assert on_bochs(pair, tmp_path) == on_labkit(pair)


def test_the_unit_is_what_makes_them_equal(tmp_path):
    """Without it thousands of these cases go wrong: the oracle would notice."""
    from tests.vm.machine.segmentation.runners import on_bochs

    cases = random_cases(21, 500)
    differ = sum(a != b for a, b in zip(on_bochs(cases, tmp_path), on_labkit(cases, segmentation=False), strict=True))
    assert differ > 50
