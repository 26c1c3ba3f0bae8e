"""The view of shadow keys without a browser: attempts, going back, rules, and that its faces agree."""

import random
import re
from html import unescape
from xml.etree import ElementTree as ET

import pytest

from labkit.vm.keys import KeyVirtualizer, Retranslation
from labkit.vm.keys.rings import Rings
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault
from labkit.widgets.keys import KeysSession, KeysView
from labkit.widgets.keys.text import as_text
from labkit.widgets.keys.view import look

SHARED, HEAP = 0xE0008, 0xE0010
NAMES = {SHARED: "shared page", HEAP: "kernel heap"}


@pytest.fixture
def unit():
    made = KeyVirtualizer(registers=4, entries=6)
    for number, key in enumerate((0xB1, 1)):
        made.set_register(number, KeyRegister(key))
    for page in range(0xA0000, 0xA0006):
        made.insert(Entry(page, page, page % 8, 3, 0xB1))
    made.insert(Entry(SHARED, 1, 4, 3, 0xB1))
    made.insert(Entry(HEAP, 2, 3, 0, 1))
    made.set_level(3)
    return made


@pytest.fixture
def session(unit):
    return KeysSession(unit, NAMES, SHARED)


def test_an_access_is_made_in_attempts(session):
    said = []
    for _ in range(3):
        session.do({"do": "step"})
        said.append((session.now.verdict.fault, session.now.seen))
    assert said == [
        (Fault.MISS, None), (Fault.KEY_MISS, None), (Fault.KEY_PERMISSION, Fault.ACCESS_RIGHTS),
    ]  # fmt: skip
    assert [gate.state for gate in look(session).gates][:5] == ["passes"] * 3 + ["stops", "not reached"]
    assert "would say access rights" in look(session).outcome


def test_what_the_hardware_did_and_what_the_architecture_says_agree_after_any_steps(session):
    rng, unit = random.Random(4), session.unit
    for _ in range(400):
        session.do(rng.choice((
            {"do": "level", "to": rng.randrange(4)}, {"do": "choose", "to": rng.choice(session.pages)},
            {"do": "kind", "to": rng.choice([str(kind) for kind in Access])}, {"do": "access"}, {"do": "step"},
            {"do": "back"}, {"do": "move", "to": rng.choice((1, -1))},
        )))  # fmt: skip
        assert session.message in ("", "this is the start: there is no step back")
        if session.now.seen is not None:
            assert session.now.seen is unit.expected(session.now.page, session.now.access).fault
        text = as_text(look(session))
        assert "stale" not in text


def test_each_step_is_taken_back_exactly(session):
    rng, seen = random.Random(9), [look(session)]
    for _ in range(60):
        before = session.at
        session.do(rng.choice(({"do": "level", "to": rng.randrange(4)}, {"do": "step"}, {"do": "keys"})))
        if session.at > before:
            seen.append(look(session))
    last = len(seen) - 1
    for number in range(last - 1, -1, -1):
        session.do({"do": "back"})
        assert look(session).rows == seen[number].rows
        assert look(session).registers == seen[number].registers
        assert [c.value for c in look(session).counters] == [c.value for c in seen[number].counters]


def test_a_change_of_level_marks_key_registers_and_nothing_else(session):
    for page in session.pages[-4:]:
        session.choose(page, Access.READ)
        session.access()
    session.level(0)
    view = look(session)
    assert [row.changed for row in view.rows] == [False] * len(view.rows)
    changed = [register for register in view.registers if register.changed]
    counted = {counter.name: counter.step for counter in view.counters}
    assert len(changed) == counted["key registers written"] > 0
    assert counted["TLB purges"] == counted["TLB entries rewritten"] == counted["TLB refills"] == 0
    assert counted["purges spared"] == 1
    assert all(any(bit.mark == "≠" for bit in register.bits) for register in changed)


def test_every_bit_has_a_rule_that_is_true(session):
    for page in session.pages:
        for kind in Access:
            session.choose(page, kind)
            session.access()
    for level in range(4):
        session.level(level)
        view = look(session)
        for row in view.rows:
            assert all(bit.rule for bit in (*row.virtual, *row.shadow))
            entry = session.unit.translations[row.page]
            for bit in row.shadow[:3]:
                permits = session.unit.expected(row.page, Access(bit.name)).fault is Fault.NONE
                assert (bit.mark == "+") == ((bit.text != "-") and not permits), (entry, bit)
        for register in view.registers:
            for bit in register.bits[1:]:
                assert ("disabled" in bit.rule) == (bit.text == "-")


def test_without_keys_the_shadow_rights_permit_too_much(session):
    session.do({"do": "keys"})
    session.access()
    view = look(session)
    assert session.now.verdict.passed
    assert view.outcome == (
        "all gates let it pass, though the guest's own unit would say access rights: too much is permitted"
    )
    assert "NOT checked" in as_text(view)


def test_the_unit_that_is_given_stays_as_it_is(unit):
    before = unit.save()
    view = KeysView(unit, NAMES, SHARED)
    view.session.access()
    view.session.level(0)
    assert unit.save() == before


def test_a_machines_unit_can_be_looked_at():
    rings = Rings(KeyVirtualizer())
    rings.monitor.run(100_000)
    state = rings.machine.registers_sha256(), rings.engine.save()
    view = KeysView(rings.unit)
    view.session.do({"do": "access"})
    assert len(view.view["rows"]) <= 12
    assert (rings.machine.registers_sha256(), rings.engine.save()) == state


def test_text_picture_and_live_view_say_the_same(unit):
    view = KeysView(unit, NAMES, SHARED)
    view.session.access()
    view.refresh()
    bundle = view._repr_mimebundle_()[0]
    ET.fromstring(bundle["image/svg+xml"])
    drawn = " ".join(unescape(piece) for piece in re.findall(r"<text[^>]*>([^<]*)</text>", bundle["image/svg+xml"]))
    text, live = bundle["text/plain"], view.view
    assert live["outcome"] in text
    assert "the hardware says key permission" in drawn
    for row in live["rows"]:
        assert row["address"] in text
        assert row["address"] in drawn
    used = [register for register in live["registers"] if len(register["bits"]) > 1]
    assert used
    for register in used:
        key, *bits = (bit["text"] for bit in register["bits"])
        assert f"{key} {''.join(bits)}" in text
        assert f"{key} {''.join(bits)}" in drawn
    for bit in next(row for row in live["rows"] if row["selected"])["shadow"]:
        assert bit["rule"] in text


@pytest.mark.parametrize(
    "content",
    [None, 5, [], {}, {"do": 3}, {"do": "fly"}, {"do": "level", "to": 4}, {"do": "level", "to": "x"}, {"do": "level"},
     {"do": "choose", "to": 5}, {"do": "choose", "to": []}, {"do": "kind", "to": "look"}, {"do": "kind", "to": {}}],
)  # fmt: skip
def test_wrong_commands_are_told_and_change_nothing(session, content):
    before = session.unit.save(), session.now
    session.do(content)
    assert session.message
    assert (session.unit.save(), session.now) == before


def test_wrong_units_are_refused():
    with pytest.raises(ValueError, match="insert one first"):
        KeysSession(KeyVirtualizer())
    for other in (Retranslation(), PkuVirtualizer()):
        with pytest.raises(TypeError, match="give a KeyVirtualizer"):
            KeysSession(other)


def test_of_many_pages_those_around_the_chosen_one_are_shown(unit):
    for page in range(0x100, 0x120):
        unit.insert(Entry(page, 1, 0, 3, 1))
    view = look(KeysSession(unit, page=0x118))
    assert len(view.rows) == 12
    assert view.more == "28 more pages"
    assert [row.page for row in view.rows if row.selected] == [0x118]


def test_the_past_is_bounded(session):
    for turn in range(600):
        session.do({"do": "level", "to": turn % 4})
    assert len(session.moments) <= 500
    session.do({"do": "start"})
    assert session.at == 0
