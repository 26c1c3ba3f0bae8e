"""`labkit run` on a fake machine: what is printed, when it stops, and the exit codes."""

import io
import os
import signal

import pytest

from labkit.cli import run as run_module
from labkit.cli.request import Request
from labkit.cli.run import perform

OPTIONS = {
    "guest": "toy", "kernel": None, "initrd": None, "at": None, "append": "", "disks": [], "memory": "16M",
    "firmware_path": False, "until_text": None, "say": None, "input_after": None, "limit": None,
    "clock": None, "terminal": False,
}  # fmt: skip


def request(**options) -> Request:
    return Request.parse(**(OPTIONS | options))


class ToySerial:
    def __init__(self) -> None:
        self.on_output = []
        self.typed = b""

    def type(self, data: bytes) -> None:
        self.typed += data


class ToyGround:
    """Prints a greeting and a prompt; answers a line that is typed; then ends as it is told to."""

    engine = "toy"

    def __init__(self, greeting=b"hello\r\n# ", end="halted", before_end=lambda: None) -> None:
        self.serial = ToySerial()
        self.printed = b""
        self.exits = {"io": 3}
        self.translator: dict[str, int] = {}
        self.protection: dict[str, int | str] = {}
        self.stopped = ""
        self._greeting, self._end, self._before_end = greeting, end, before_end

    def run(self, instructions):
        done = 0
        for text in (self._greeting, b"\xff\xfeecho\r\n# " if self._greeting else b""):
            for index in range(len(text)):
                piece = text[index : index + 1]
                self.printed += piece
                done += 10
                for hear in self.serial.on_output:
                    hear(piece)
                if self.stopped:
                    return "requested", self.stopped, done
                if instructions and done >= instructions:
                    return "instructions", "the instructions were run", instructions
            if not self.serial.typed:
                break
        self._before_end()
        if self.stopped:
            return "requested", self.stopped, done
        return self._end, f"the guest {self._end}", done

    def stop(self, message: str) -> None:
        self.stopped = message

    def screen(self):
        return ["a screen"]

    def press(self, scancodes):
        raise AssertionError("nobody asked for keys")

    def hashes(self):
        return "aa", "bb"


def outcome_of(ground: ToyGround, out=None, **options):
    return perform(request(**options), ground, screen=False, out=out)


@pytest.mark.parametrize(
    ("end", "options", "code"),
    [
        ("halted", {}, 0),
        ("reset", {}, 0),
        ("shutdown", {}, 1),
        ("nowhere", {}, 1),
        ("halted", {"until_text": "hello"}, 0),
        ("halted", {"until_text": "goodbye"}, 1),
        ("shutdown", {"until_text": "goodbye"}, 1),
        ("halted", {"limit": "30"}, 0),
        ("halted", {"limit": "1e6"}, 1),
        ("halted", {"limit": "30", "until_text": "goodbye"}, 1),
        ("halted", {"say": r"x\n", "input_after": "# ", "until_text": "# "}, 0),
        ("halted", {"say": r"x\n", "input_after": "login:"}, 1),
    ],
)
def test_exit_codes(end: str, options: dict, code: int):
    assert outcome_of(ToyGround(end=end), **options).exit_code() == code


def test_until_text_counts_after_the_input():
    ground = ToyGround()
    outcome = outcome_of(ground, say=r"x\n", input_after="# ", until_text="# ")
    assert ground.serial.typed == b"x\n"
    assert outcome.console == b"hello\r\n# \xff\xfeecho\r\n# "
    assert (outcome.reason, outcome.message) == ("requested", "text seen")


def test_the_console_is_copied_byte_by_byte():
    out = io.BytesIO()
    outcome_of(ToyGround(), out, say="x", input_after="#")
    assert out.getvalue() == b"hello\r\n# \xff\xfeecho\r\n# "


def test_the_json_object_has_exactly_what_was_promised():
    document = outcome_of(ToyGround(), say="x", input_after="#").document()
    assert set(document) == {
        "guest", "engine", "clock", "reason", "message", "instructions", "seconds", "exits", "ram_sha256",
        "registers_sha256", "console",
    }  # fmt: skip
    assert document["console"] == "hello\r\n# \ufffd\ufffdecho\r\n# "
    assert document["exits"] == {"io": 3}


def test_the_closing_line_says_why_and_how_much():
    line = outcome_of(ToyGround(), until_text="hello").closing_line()
    assert line.startswith("text seen (50 instructions in ")
    assert line.endswith(" s, 3 exits)")


class Gone(io.BytesIO):
    def write(self, data) -> int:
        raise BrokenPipeError


def test_a_reader_who_leaves_stops_the_run():
    outcome = outcome_of(ToyGround(), Gone())
    assert (outcome.exit_code(), len(outcome.console)) == (141, 1)


def test_ctrl_c_asks_the_guest_to_stop():
    def ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            if ground.stopped:
                return
            signal.sigtimedwait([], 0.005)

    ground = ToyGround(before_end=ctrl_c)
    before = signal.getsignal(signal.SIGINT)
    outcome = outcome_of(ground)
    assert (outcome.reason, outcome.message, outcome.exit_code()) == ("interrupted", "interrupted", 130)
    assert outcome.console, "nothing that was printed is lost"
    assert signal.getsignal(signal.SIGINT) is before


def test_all_that_is_printed(monkeypatch, capfdbinary):
    monkeypatch.setattr(run_module, "_prepare", lambda request: (request, ToyGround()))
    assert run_module.run(request(until_text="never"), screen=True, as_json=False) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b"hello\r\n# \na screen\n"
    assert printed.err.count(b"\n") == 2
    assert b"the text 'never' did not appear" in printed.err
    assert run_module.run(request(until_text="hello"), screen=True, as_json=True) == 0
    printed = capfdbinary.readouterr()
    assert printed.out.count(b"\n") == 1
    assert b'"screen": ["a screen"]' in printed.out
    assert not printed.err
