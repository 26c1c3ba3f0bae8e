import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.cli.console import Conversation, Finder, Stream

PROMPT = b"/ # "


class FakeSerial:
    """A serial port that prints what it is told to, in pieces."""

    def __init__(self) -> None:
        self.on_output = []
        self.typed = b""

    def type(self, data: bytes) -> None:
        self.typed += data

    def say(self, data: bytes, pieces: int = 1) -> None:
        for start in range(0, len(data), pieces):
            for hear in self.on_output:
                hear(data[start : start + pieces])


class Stops(list):
    def __call__(self) -> None:
        self.append("stop")


# A small alphabet makes near misses and overlaps of the text with itself likely.
@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("ab", max_size=5), max_size=12))
def test_a_text_is_found_however_it_is_split(text: str, pieces: list[str]):
    finder, seen = Finder(text.encode()), ""
    for piece in pieces:
        seen += piece
        if finder.feed(piece.encode()):
            assert text in seen
            return
        assert text not in seen


def test_an_empty_text_is_wrong_use():
    with pytest.raises(ValueError, match="empty"):
        Finder(b"")


@pytest.mark.parametrize("pieces", [1, 2, 3, 1000])
def test_it_stops_once_when_the_text_is_there(pieces: int):
    serial, stops = FakeSerial(), Stops()
    talk = Conversation(serial, stops, until=PROMPT)
    serial.say(b"booting / #", pieces)
    assert not stops
    serial.say(b" \n/ # / # ", pieces)
    assert stops == ["stop"]
    assert talk.done


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_input_waits_for_its_text_and_until_counts_only_what_comes_after(pieces: int):
    serial, stops = FakeSerial(), Stops()
    talk = Conversation(serial, stops, say=b"echo hi\n", after=PROMPT, until=PROMPT)
    serial.say(b"/ # "[:3], pieces)
    assert not serial.typed
    serial.say(b" ", pieces)
    assert serial.typed == b"echo hi\n"
    assert not stops
    serial.say(b"echo hi\r\nhi\r\n", pieces)
    assert not talk.done
    serial.say(b"/ # ", pieces)
    assert (serial.typed, stops) == (b"echo hi\n", ["stop"])


def test_what_came_in_one_piece_with_the_prompt_was_there_before_the_input():
    serial, stops = FakeSerial(), Stops()
    Conversation(serial, stops, say=b"x", after=b"login:", until=b"ok")
    serial.say(b"login: ok", 100)
    assert serial.typed == b"x"
    assert not stops
    serial.say(b"ok")
    assert stops


def test_a_text_before_the_input_does_not_count():
    serial, stops = FakeSerial(), Stops()
    talk = Conversation(serial, stops, say=b"x", after=b"ready", until=b"done")
    serial.say(b"done, ready")
    assert (talk.said, stops) == (True, [])


def test_input_without_a_text_to_wait_for_is_typed_at_once():
    serial, stops = FakeSerial(), Stops()
    Conversation(serial, stops, say=b"x", until=b"x")
    assert serial.typed == b"x"
    serial.say(b"x")
    assert stops


@given(st.lists(st.binary(max_size=8)))
def test_every_byte_reaches_the_stream(pieces: list[bytes]):
    serial, out = FakeSerial(), io.BytesIO()
    Stream(serial, out, closed=lambda: pytest.fail("nobody left"))
    for piece in pieces:
        serial.say(piece, 1000)
    assert out.getvalue() == b"".join(pieces)


class Gone(io.BytesIO):
    def write(self, data) -> int:
        raise BrokenPipeError


def test_a_reader_who_left_ends_it_without_an_exception():
    serial, stops = FakeSerial(), Stops()
    stream = Stream(serial, Gone(), stops)
    serial.say(b"abc")
    assert stream.broken
    assert stops == ["stop"]
