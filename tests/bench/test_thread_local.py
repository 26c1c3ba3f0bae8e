"""Accesses by a negative offset from gs, counted from a trace and the program's code."""

import struct

import pytest

from labkit.bench.thread_local import episodes, figures

# mov eax, gs:[14h]; mov eax, gs:[-60]; mov [ebx], eax; mov gs:[edx], eax
CODE = bytes.fromhex("65a114000000 658b05c4ffffff 8903 658902")


def program(path):
    """The smallest ELF file with a part that can be executed."""
    head = b"\x7fELF\1\1\1".ljust(16, b"\0")
    head += struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048000, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    head += struct.pack("<IIIIIIII", 1, 84, 0x8048000, 0x8048000, len(CODE), len(CODE), 5, 1)
    path.write_bytes(head + CODE)
    return path


def test_episodes(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "runs").mkdir()
    # 4 instructions; the kernel; 1; 3 that go on; the kernel; something that is not of the program
    runs = [(100, 0x8048000, 4), (200, 0x8048000, 1), (201, 0x8048006, 3), (300, 0x9000000, 7)]
    point, linear, count = map(list, zip(*runs, strict=True))
    parquet.write_table(pa.table({"point": point, "linear": linear, "count": count}), tmp_path / "runs" / "0.parquet")
    total, found = episodes(tmp_path, program(tmp_path / "busybox"))
    assert (total, found) == (15, [2, 2, 0])
    by_name = {figure.name: figure.value for figure in figures(total, found)}
    assert by_name["thread_local.never.faults"] == 4
    assert by_name["thread_local.lazy.faults"] == by_name["thread_local.using"] == 2
