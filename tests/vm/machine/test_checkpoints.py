"""Checkpoints: whatever is restored, run, kept or given up, the past stays what it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.guests import boot
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor

MEMORY, STEP = 16 << 20, 20_011


def teaching() -> Monitor:
    machine = Machine(memory=MEMORY)
    machine.load(boot("teaching", memory=MEMORY))
    return Monitor(machine)


def state(monitor: Monitor) -> tuple[str, str]:
    return monitor.machine.ram_sha256(), monitor.machine.registers_sha256()


@pytest.fixture(scope="module")
def straight() -> list[tuple[str, str]]:
    monitor, states = teaching(), []
    for _ in range(31):
        states.append(state(monitor))
        monitor.run(STEP)
    return states


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(1, 5)),
        st.tuples(st.just("checkpoint"), st.just(0)),
        st.tuples(st.just("restore"), st.integers(0, 1000)),
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(acts=ACTS, budget=st.sampled_from((None, 1)))  # with one byte every second checkpoint is given up
def test_any_sequence_ends_where_a_straight_run_does(straight, acts, budget) -> None:
    monitor = teaching()
    machine = monitor.machine
    machine.checkpoints.budget = budget
    machine.checkpoint()
    for act, number in acts:
        at = machine.processor.clock // STEP
        if act == "run":
            monitor.run(STEP * min(number, 30 - at))
        elif act == "checkpoint":
            machine.checkpoint()
        elif act == "restore":
            machine.restore_number(number % len(machine.checkpoints))
        assert state(monitor) == straight[machine.processor.clock // STEP]
    for number in reversed(range(len(machine.checkpoints))):
        machine.restore_number(number)
        assert state(monitor) == straight[machine.processor.clock // STEP]


def test_a_checkpoint_of_another_machine_is_refused() -> None:
    made = teaching().machine.checkpoint()
    with pytest.raises(ValueError, match="does not have that checkpoint"):
        teaching().machine.restore(made)


def test_one_block_may_be_gone_back_through_instruction_by_instruction(bare):
    """Each stop inside it begins at the same clock: that is no deadline which cannot be met."""
    bare.put(bare.registers.eip, b"\x40" * 60 + b"\xeb\xfe")  # inc eax
    checkpoint = bare.machine.checkpoint()
    for clock in range(59, 0, -1):
        bare.machine.restore(checkpoint)
        bare.run(instructions=clock)
        assert bare.clock == bare.registers.general[0] == clock
    assert not bare.machine.processor.counts["inexact"]
