"""However a trace is captured it is the same: by blocks and accesses that note themselves, or by Unicorn's hooks.

On programs that change themselves, fault in the middle of an instruction, are interrupted between the repetitions
of a REP, or page.
"""

import numpy as np
import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.replay.expansion_parameters import ExpansionParameters
from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch
from labkit.vm.replay.trace_expand import expand
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_source import Rerun
from labkit.vm.replay.trace_spans import Window
from tests.vm.replay.test_points import interrupted_strings

MEMORY, COUNT = 4 << 20, 60_000
PROGRAMS = ["strings", "selfmod", "exceptions", "paging32"]
INSTRUCTION = ("point", "linear", "physical", "size", "kind", "cpl", "refs", "space")
REFERENCE = ("address", "meta")


def source_of(name: str) -> Rerun:
    def make() -> Machine:
        machine = Machine(memory=MEMORY)
        machine.load(interrupted_strings() if name == "strings" else guests.boot(name, memory=MEMORY))
        return machine

    return Rerun(make)


def whole(batches: list[Batch], column: str) -> np.ndarray:
    return np.concatenate([getattr(batch, column) for batch in batches])


def trace(name: str, **how: bool) -> tuple[list[Batch], tuple[str, str]]:
    source = source_of(name)
    batches = list(full_trace(source, [Window(0, COUNT)], **how))
    return batches, (source.machine.registers_sha256(), source.machine.ram_sha256())


@pytest.fixture(params=PROGRAMS)
def traced(request: pytest.FixtureRequest) -> tuple[str, list[Batch]]:
    batches, state = trace(request.param)
    plain = source_of(request.param)
    plain.forward(COUNT)
    assert state == (plain.machine.registers_sha256(), plain.machine.ram_sha256())
    assert sum(map(len, batches)) == plain.machine.processor.clock
    return request.param, batches


@pytest.mark.parametrize("how", ["hooks", "turns", "calls", "unlogged"])
def test_every_way_is_the_same(traced, how: str, monkeypatch: pytest.MonkeyPatch):
    name, batches = traced
    if how == "calls":
        monkeypatch.setenv("LABKIT_INLINE", "0")
    given = {"calls": {}, "unlogged": {"events": False}}.get(how, {how: True})
    other, _state = trace(name, **given)
    assert any(batch.rows for batch in other) == (how != "unlogged" and any(batch.rows for batch in batches))
    for column in (*INSTRUCTION, *REFERENCE, "value"):
        assert np.array_equal(whole(batches, column), whole(other, column)), column


def test_references_belong_to_their_instructions(traced):
    name, batches = traced
    exact, _state = trace(name, exact=True)
    for column in (*INSTRUCTION, *REFERENCE):
        assert np.array_equal(whole(batches, column), whole(exact, column)), column
    for batch in exact:
        assert batch.value is not None
        mask = (np.uint64(1) << (np.minimum(batch.width, 4).astype(np.uint64) * np.uint64(8))) - np.uint64(1)
        wrong = np.count_nonzero(batch.linear[batch.owner] & mask != batch.value & mask)
        assert wrong in (0, 2)  # LLDT of nothing, then LTR, in one block: whose is the descriptor?


def test_branches_alone_are_those_of_the_whole(traced):
    name, batches = traced
    source = source_of(name)
    source.end = COUNT  # type: ignore[attr-defined]
    found = list(expand(source, ExpansionParameters(what=frozenset({"branches"}))))
    kept = (whole(batches, "kind") & KIND_BRANCH) != 0
    for column in ("point", "linear", "physical", "size", "kind", "cpl", "space"):
        assert np.array_equal(whole(found, column), whole(batches, column)[kept]), column


def test_registers_are_those_of_the_machine(traced):
    name, _batches = traced
    batches, _state = trace(name, registers=True)
    rows = np.concatenate([batch.registers for batch in batches])
    source = source_of(name)
    for clock in range(0, len(rows), 1777):
        source.goto(clock)
        assert rows[clock].tobytes()[:32] == source.machine.registers.pack_general()[:32], clock


def test_a_refused_fetch_is_one_walk_by_the_instruction_that_faults():
    """Unicorn translates ahead, again and again: what the guest does not see is no walk."""
    batches = list(full_trace(source_of("exceptions"), [Window(0, 80_000)], walks=True))
    walks = np.concatenate([batch.walks for batch in batches if batch.walks is not None])
    refused = walks[(walks[:, 3] == 2) & (walks[:, 2] >> np.uint64(62) != 0)]
    events = [event for batch in batches for event in batch.events if event.kind == "page fault"]
    mine = [(e.point.instructions, e.linear & ~0xFFF, e.value) for e in events if e.linear == e.point.eip]
    assert [(int(w[0]), int(w[1]), int(w[2]) & 0xFFF) for w in refused] == mine
    assert mine
