"""Disk contents: overlay, and states that branch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.disk import SECTOR, Disk


@given(st.lists(st.tuples(st.sampled_from(("write", "save", "load")), st.integers(0, 7)), max_size=60))
def test_contents_follow_a_timeline(steps) -> None:
    image = bytes(range(256)) * 16
    disk = Disk(image)
    expected = {sector: image[sector * SECTOR : (sector + 1) * SECTOR] for sector in range(8)}
    states = [(disk.save(), dict(expected))]
    for number, (kind, which) in enumerate(steps):
        if kind == "write":
            data = bytes([number]) * SECTOR
            disk.write(which, data)
            expected[which] = data
        elif kind == "save":
            states.append((disk.save(), dict(expected)))
        else:
            state, then = states[which % len(states)]
            disk.load(state)
            expected = dict(then)
        assert {sector: disk.read(sector) for sector in range(8)} == expected
    assert disk.sectors == 8


def test_the_file_is_never_changed(tmp_path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"A" * 700)
    disk = Disk(path)
    assert disk.sectors == 2
    assert disk.read(1) == b"A" * 188 + b"\0" * 324
    disk.write(0, b"B" * SECTOR)
    assert disk.read(0) == b"B" * SECTOR
    assert path.read_bytes() == b"A" * 700


def test_states_compare_by_content() -> None:
    one, two = Disk(b""), Disk(b"")
    one.write(0, b"x" * SECTOR)
    one.save()
    one.write(0, b"y" * SECTOR)
    two.write(0, b"y" * SECTOR)
    assert one.save() == two.save()
    assert one.save() is one.save()


def test_missing_image_is_told_in_words(tmp_path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"no disk image at .*; give a path to a raw image, or its bytes"
    ):
        Disk(tmp_path / "no.img")
