"""Scancode tables."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.scancodes import Translator, text_to_set1, to_set2


def test_codes_that_everybody_knows() -> None:
    #                 Esc   1     A     Enter Space LShift F1    F7    F11
    known = zip(
        (0x01, 0x02, 0x1E, 0x1C, 0x39, 0x2A, 0x3B, 0x41, 0x57),
        (0x76, 0x16, 0x1C, 0x5A, 0x29, 0x12, 0x05, 0x83, 0x78),
        strict=True,
    )
    for set1, set2 in known:
        assert to_set2(set1) == bytes([set2])
        assert to_set2(set1 | 0x80) == bytes([0xF0, set2])


@given(st.integers(1, 0xD8).filter(lambda code: 1 <= code & 0x7F <= 0x58))
def test_translation_undoes_what_the_keyboard_sends(code) -> None:
    translator = Translator()
    out = [translator.to_set1(byte) for byte in to_set2(code)]
    assert [byte for byte in out if byte is not None] == [code]


def test_typing() -> None:
    assert text_to_set1("aB\n") == bytes.fromhex("1e9e 2a30b0aa 1c9c")
    assert text_to_set1("\u20ac") == b""
