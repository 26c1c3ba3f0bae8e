"""The serial console as the command line uses it: output to a stream, text waited for, input typed."""

import contextlib
from collections.abc import Callable
from typing import BinaryIO, Protocol

__all__ = ["Conversation", "Finder", "Serial", "Stream"]


class Serial(Protocol):
    """What is used of the machine's serial port."""

    @property
    def on_output(self) -> list[Callable[[bytes], None]]:
        """Called with every piece of output."""
        ...

    def type(self, data: bytes) -> None:
        """Queue input."""
        ...


class Finder:
    """Finds a text in a stream that arrives in pieces of any size."""

    def __init__(self, text: bytes) -> None:
        if not text:
            raise ValueError("an empty text is found at once: give a text")
        self._text = text
        self._tail = b""

    def feed(self, piece: bytes) -> bool:
        """Whether the text is complete with this piece. Afterwards the search starts anew."""
        seen = self._tail + piece
        if self._text in seen:
            self._tail = b""
            return True
        keep = len(self._text) - 1
        self._tail = seen[-keep:] if keep else b""
        return False


class Conversation:
    """Types `say` once `after` has appeared, then calls `found` once `until` appears in what comes after.

    Without `say`, `until` counts from the start. Without `after`, `say` is typed at once. What was printed
    in the same piece as the end of `after` was there before the input, so it does not count for `until`.
    """

    def __init__(
        self,
        serial: Serial,
        found: Callable[[], None],
        *,
        say: bytes = b"",
        after: bytes = b"",
        until: bytes = b"",
    ) -> None:
        self.done = False
        self.said = not say
        self._serial = serial
        self._found = found
        self._say = say
        self._after = Finder(after) if after and say else None
        self._until = Finder(until) if until else None
        if self._after is None:
            self._speak()
        serial.on_output.append(self.hear)

    def hear(self, piece: bytes) -> None:
        """A piece of output."""
        if not self.said:
            if self._after and self._after.feed(piece):
                self._speak()
        elif not self.done and self._until and self._until.feed(piece):
            self.done = True
            self._found()

    def _speak(self) -> None:
        if not self.said:
            self.said = True
            self._serial.type(self._say)


class Stream:
    """Copies the console to a binary stream as it comes; `closed` is called once if its reader has left."""

    def __init__(self, serial: Serial, out: BinaryIO, closed: Callable[[], None]) -> None:
        self.broken = False
        self._out = out
        self._closed = closed
        serial.on_output.append(self.hear)

    def hear(self, piece: bytes) -> None:
        """A piece of output. Never raises: the guest is in the middle of an instruction."""
        if self.broken:
            return
        try:
            self._out.write(piece)
            self._out.flush()
        except (OSError, ValueError):
            self.broken = True
            with contextlib.suppress(OSError, ValueError):
                self._out.close()
            self._closed()
