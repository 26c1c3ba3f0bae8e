"""The tracing benchmark's QEMU: each release is asked for one instruction per block in its own words."""

import subprocess

import pytest

from labkit.bench import trace

OLD = "-singlestep     always run in singlestep mode\n"
NEW = OLD + "                one-insn-per-tb=on|off (one guest instruction per TCG translation block)\n"


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [(OLD, ("-accel", "tcg", "-singlestep")), (NEW, ("-accel", "tcg,one-insn-per-tb=on"))],
    ids=["7.2", "8.1"],
)
def test_one_instruction_per_block(monkeypatch: pytest.MonkeyPatch, shown: str, wanted: tuple[str, ...]) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *a, **_: subprocess.CompletedProcess(a, 0, shown, ""))
    assert trace._one_by_one() == wanted
