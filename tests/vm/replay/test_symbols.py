from labkit.vm.machine import Symbol
from labkit.vm.replay.symbols import Symbols

NAMES = Symbols([Symbol(0x3000, "last"), Symbol(0x1000, "first", 0x10), Symbol(0x2000, "second", 0x20)])


def test_names():
    assert NAMES.name(0x1000) == "first"
    assert NAMES.name(0x100F) == "first+fh"
    assert NAMES.name(0x1010) is None
    assert NAMES.name(0xFFF) is None
    assert NAMES.name(0x3000 + 0x100000) == "last+100000h"
    assert NAMES.name(0x3000 + 0x100001) is None
    assert Symbols([]).name(5) is None


def test_addresses():
    assert NAMES.address("second") == 0x2000
    assert NAMES.address("third") is None
    assert Symbols([Symbol(2, "twice"), Symbol(1, "twice")]).address("twice") == 1
