"""Append-only bytes with shared pieces."""

from hypothesis import given
from hypothesis import strategies as st

from labkit.vm.machine.devices.history import EMPTY


@given(st.lists(st.binary(max_size=5), max_size=20), st.integers(0, 120), st.integers(0, 20))
def test_is_the_bytes_it_was_made_of(pieces, start, fork) -> None:
    text, whole, chain = EMPTY, b"", [EMPTY]
    for piece in pieces:
        text, whole = text.extended(piece), whole + piece
        chain.append(text)
    assert text.whole() == whole
    assert text.length == len(whole)
    assert text.after(start) == whole[start:]
    trunk = chain[fork % len(chain)]
    branch = trunk.extended(b"else")
    assert text.common(branch) == branch.common(text) == trunk.length
    assert text == EMPTY.extended(whole)
    assert (text == branch) == (whole == branch.whole())


def test_a_long_history_needs_no_deep_recursion() -> None:
    text = EMPTY
    for _ in range(100_000):
        text = text.extended(b"x")
    assert text == EMPTY.extended(b"x" * 100_000)
    del text
