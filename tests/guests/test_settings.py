"""Settings of a guest: its variables, and nothing else, hold the numbers."""

import pytest

from labkit import guests
from labkit.guests import GuestError
from labkit.guests.catalog import RINGS_SETTINGS
from labkit.guests.settings import give


def test_variables_hold_the_numbers_and_nothing_else_changes():
    plain, given = guests.boot("rings"), guests.boot("rings", append="rounds=7 turns=4294967295")
    names = {symbol.name: symbol.address for symbol in plain.symbols}
    changed = {
        before.address + i
        for before, after in zip(plain.placements, given.placements, strict=True)
        for i, pair in enumerate(zip(before.data, after.data, strict=True))
        if pair[0] != pair[1]
    }
    allowed = {names[name] + i for name in ("rounds", "turns") for i in range(4)}
    assert changed
    assert changed <= allowed
    for name, value in (("rounds", 7), ("turns", 0xFFFFFFFF)):
        piece = next(p for p in given.placements if p.address <= names[name] < p.end)
        at = names[name] - piece.address
        assert int.from_bytes(piece.data[at : at + 4], "little") == value


def test_every_setting_is_in_the_image():
    for name in RINGS_SETTINGS:
        assert give(guests.boot("rings"), f"{name}=123456", RINGS_SETTINGS) != guests.boot("rings")


@pytest.mark.parametrize(
    "words", ["speed=1", "rounds", "rounds=", "rounds=0", "rounds=-1", "turns=x", "turns=4294967296", "turns=²"]
)
def test_other_words_are_refused(words):
    with pytest.raises(GuestError):
        give(guests.boot("rings"), words, RINGS_SETTINGS)
