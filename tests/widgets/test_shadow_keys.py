"""The picture of shadow keys: text and drawing say the same, and what the unit says."""

import re
from html import unescape
from xml.etree import ElementTree as ET

import pytest

from labkit.vm.keys import KeyVirtualizer
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry
from labkit.widgets.shadow_keys import draw, key_registers, rights_table, shadow_keys


@pytest.fixture
def unit():
    made = KeyVirtualizer()
    made.set_register(0, KeyRegister(0xB1))
    made.insert(Entry(0xE0008, 0x10, 4, 3, 0xB1))
    made.insert(Entry(0xE0009, 0x11, 2, 3, 0xB1))
    return made


def words(svg: str) -> str:
    ET.fromstring(svg)
    return " ".join(unescape(piece) for piece in re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_the_key_stops_what_the_shadow_permits(unit):
    unit.set_level(3)
    picture = shadow_keys(unit, 0xE0008, Access.WRITE)
    assert picture.title == "write at level 3 to e000 8000: access rights"
    assert "2 RW  level 3 key 000 + -w-" in picture.text
    assert "the hardware says key permission" in picture.text
    drawn = words(picture.svg)
    for fact in ("2 RW  level 3 key 000 + -w-", "000 r-x", "stops here", "not filled yet", picture.title):
        assert fact in drawn, fact


def test_at_level_0_all_gates_let_it_pass(unit):
    picture = shadow_keys(unit, 0xE0008, Access.WRITE)
    assert "stops here" not in words(picture.svg)
    assert picture.text.endswith("all gates let it pass: the access is made")


def test_a_hidden_fault_is_said_to_be_one(unit):
    picture = draw(unit, 0xE0008, Access.WRITE, unit.hardware.check(0xE0008, Access.WRITE), None)
    assert "the hardware says miss, which the guest's own unit would not" in " ".join(picture.text.split())


def test_a_miss_is_the_first_gate(unit):
    assert "passes: none" in shadow_keys(unit, 5, Access.READ).text


@pytest.mark.parametrize("level", range(4))
def test_rights_in_text_and_drawing(level):
    picture = rights_table(3, level)
    assert f">{level}" in picture.text
    drawn = words(picture.svg)
    assert f"{level} now" in drawn
    for line in picture.text.splitlines()[2:]:
        assert " ".join(line.split()) in " ".join(drawn.split())
    with pytest.raises(ValueError):
        rights_table(4, 0)


def test_key_registers_at_each_level_are_what_they_become_there(unit):
    assert "no shadow key" in key_registers(KeyVirtualizer()).text
    for page in (0xE0008, 0xE0009):
        unit.access(page, Access.READ)
    picture = key_registers(unit)
    columns = [line.split()[-4:] for line in picture.text.splitlines()[2:]]
    assert columns == [["rwx", "rwx", "rwx", "r-x"], ["rwx"] * 4]
    for level in range(4):
        unit.set_level(level)
        held = [str(unit.hardware.registers[i]).split()[1] for i in range(2)]
        assert held == [row[level] for row in columns]
        assert key_registers(unit).text.splitlines()[2:] == picture.text.splitlines()[2:]
    for word in ("r-x", "key 0b1 class"):
        assert word in words(picture.svg)
