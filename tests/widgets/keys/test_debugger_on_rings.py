"""The debugger opens on a guest of the protection unit, steps over its calls and faults, and back."""

import pytest

from labkit.vm.keys.engine import KeysEngine
from labkit.vm.keys.rings import machine_with_rings
from labkit.vm.replay import Timeline
from labkit.widgets.debugger import Debugger
from labkit.widgets.debugger.text import as_text

FIRST_WORK_PAGE = 0x480 << 12
"""WORK in rings.c; its loop counts 64 bytes into each page."""


@pytest.fixture(scope="module")
def timeline():
    made = Timeline(machine_with_rings(rounds=9, turns=5, skip_trials=1), engine=KeysEngine)
    made.run()
    return made


def test_it_shows_code_registers_and_the_guests_level(timeline):
    timeline.seek(timeline.end - 40)
    text = str(Debugger(timeline))
    assert "guest level 0, real ring 3" in text
    assert "int" in text
    assert "rings: 0 trials, 0 wrong" in text


def test_steps_over_calls_and_faults_are_taken_back(timeline):
    timeline.seek(timeline.end - 350)
    debugger, levels, seen = Debugger(timeline), set(), []
    session = debugger.session
    for _ in range(150):
        seen.append((timeline.cursor, timeline.machine.registers_sha256(), timeline.engine.save()))
        session.do({"do": "step"})
        assert not session.state.message
        levels.add(timeline.engine.unit.level)
    assert len(levels) > 1
    for clock, registers, engine in reversed(seen):
        session.do({"do": "back"})
        assert (timeline.cursor, timeline.machine.registers_sha256(), timeline.engine.save()) == (
            clock, registers, engine,
        )  # fmt: skip
    session.do({"do": "event"})
    assert as_text(session.view())


def test_an_edit_forks_it_with_its_unit(timeline):
    timeline.seek(timeline.end // 2)
    before, session = timeline._history.monitor.save(), Debugger(timeline).session
    session.do({"do": "edit", "name": "esi", "text": "7"})
    assert session.timeline is not timeline
    assert session.timeline._history.monitor.save() == before
    assert session.timeline.registers.esi == 7
    assert session.timeline.run().reason == "halted"


def test_who_wrote_a_byte_and_a_register(timeline):
    timeline.seek(timeline.end)
    write = timeline.last_writer("eax")
    assert write is not None
    found = timeline.last_writer(FIRST_WORK_PAGE + 64, 4)
    assert found is not None
    assert (timeline.symbol(found.eip) or "").startswith("work")
