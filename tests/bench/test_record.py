"""What `labkit bench record` measures is what it says: a computation, and not what a prompt waits for."""

from pathlib import Path

import pytest

from labkit.bench import record
from labkit.vm.replay import Recording
from labkit.vm.replay.entries import Read


def test_the_computation_computes_all_the_while(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "COMPUTED", 20_000_000)
    file = Path(tmp_path, "run.rec")
    found = record._compute(file)
    assert found.instructions >= 20_000_000
    begun = Recording.read(file).clock - found.instructions
    clock, reads = 0, 0
    for entry in Recording.read(file).entries:
        clock = getattr(entry, "clock", clock)
        reads += clock > begun and isinstance(entry, Read)
    assert reads == 0
    assert 1000 * found.log_bytes / found.instructions < record.COMPUTE


def test_a_guest_that_is_done_too_early_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "PRIMES", b"primes 400000\n")
    monkeypatch.setattr(record, "WARMED", 500_000)
    with pytest.raises(RuntimeError, match="came back to its prompt"):
        record._compute(Path(tmp_path, "run.rec"))
