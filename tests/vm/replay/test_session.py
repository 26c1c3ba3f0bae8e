"""A live Linux session (boot, commands typed, a file written): however it is replayed, it ends the same.

Replayed plainly, stepped, seeked, and with three expansions, each of which is the projection of the full trace.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labkit.vm.replay import Recording, Replayer, Timeline
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.recording import End
from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch
from labkit.vm.replay.trace_expand import expand
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Replayed
from labkit.vm.replay.trace_spans import Window

pytestmark = [pytest.mark.guest("linux"), pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]
TYPED = r"dd if=/dev/urandom of=/tmp/r bs=1k count=8; md5sum /tmp/r; date; poweroff -f\n"
LENGTH = 1_500_000


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, End]:
    path = str(tmp_path_factory.mktemp("session") / "linux.rec")
    command = [sys.executable, "-m", "labkit", "record", "linux", "-o", path, "--input", TYPED, "--json"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True, timeout=280)
    end = Recording.read(path).end
    assert end is not None
    return path, end


def test_plain(session: tuple[str, End]):
    replayer = Replayer.open(session[0])
    replayer.run()
    assert replayer.divergence is None
    assert replayer.verify() == []


def test_seeked_and_stepped(session: tuple[str, End]):
    path, end = session
    timeline = Timeline.open(path)
    timeline.run()
    for part in (3, 1, 2):
        timeline.seek(end.clock * part // 4)
    timeline.seek(end.clock - 40)
    while timeline.cursor < end.clock:
        timeline.step()
    machine = timeline.machine
    assert (machine.registers.sha256(), machine.ram_sha256()) == (end.registers_sha256, end.ram_sha256)


def whole(batches: list[Batch], column: str) -> np.ndarray:
    return np.concatenate([getattr(batch, column) for batch in batches])


def test_three_expansions(session: tuple[str, End]):
    path, end = session
    source = Replayed(path)
    first = end.clock * 2 // 3
    window = (first, first + LENGTH)
    full = list(full_trace(source, [Window(*window)], values=True))
    cases = (
        (ExpansionParameters(windows=(window,)), np.ones(LENGTH, bool)),
        (
            ExpansionParameters(windows=(window,), what=frozenset({"branches"})),
            (whole(full, "kind") & KIND_BRANCH) != 0,
        ),
        (
            ExpansionParameters(windows=(window,), what=frozenset({"values"}), privilege=frozenset({0}), every=7),
            (whole(full, "cpl") == 0) & (whole(full, "point") % 7 == 0),
        ),
    )
    for parameters, kept in cases:
        shown = list(expand(source, parameters))
        for column in ("point", "linear", "physical", "size", "kind", "cpl"):
            assert np.array_equal(whole(shown, column), whole(full, column)[kept]), column
        source.forward(end.clock)
        state = source.machine.registers.sha256(), source.machine.ram_sha256()
        assert state == (end.registers_sha256, end.ram_sha256)
