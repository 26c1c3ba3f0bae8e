"""Keys and texts on the VGA screen: a guest of a few instructions, with no serial port in sight."""

import json

import pytest

from labkit.cli import main
from labkit.cli.screen import LOOK_EVERY, ScreenWatch, run_watching

# mov dword [B8000h], 1F3E1F6Fh ("o>"); sti; wait for a key (HLT, no interrupt handler needed: polling):
#   in al,64h; test al,1; jz wait; in al,60h; cmp al,1Ch (Enter); jnz wait; mov dword [B8004h], "k!"; jmp $
ECHO = bytes.fromhex("c705 00800b00 6f1f3e1f e464 a801 74fa e460 3c1c 75f4 c705 04800b00 6b1f211f ebfe")


@pytest.fixture
def kernel(tmp_path):
    file = tmp_path / "code.bin"
    file.write_bytes(ECHO)
    return str(file)


def run(kernel: str, *options: str) -> int:
    return main(["run", "--kernel", kernel, "--at", "0x100000", "--memory", "2M", *options])


def test_keys_are_typed_and_the_answer_is_seen(kernel, capsys):
    arguments = ("--keys", r"a\n", "--keys-after", "o>", "--until-screen", "k!", "--for", "100M", "--json")
    assert run(kernel, *arguments) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["message"] == "text seen on the screen"
    assert document["instructions"] % LOOK_EVERY == 0
    assert run(kernel, *arguments) == 0  # and the same every time
    assert json.loads(capsys.readouterr().out)["ram_sha256"] == document["ram_sha256"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--until-screen", "never"), "did not show 'never'"),
        (("--keys", "x", "--keys-after", "never"), "never showed 'never'"),
        (("--keys", "x", "--keys-after", "o>", "--until-screen", "k!"), "did not show 'k!'"),
    ],
)
def test_what_does_not_come_to_pass_is_said(kernel, capsys, options, words):
    assert run(kernel, *options, "--for", "10M") == 1
    assert words in capsys.readouterr().err


def test_what_was_there_before_the_keys_does_not_count():
    screens = iter([["$ "], ["$ ls"], ["$ ls", "a", "$"]])
    typed = bytearray()
    watch = ScreenWatch(lambda: next(screens), typed.extend, keys=b"x", after="$ ", until="$ ")
    assert run_watching(lambda n: ("instructions", "", n or 0), None, watch)[1] == "text seen on the screen"
    assert typed == b"x"
    assert next(screens, None) is None


def test_a_guest_that_waits_for_keys_gets_them():
    ends = iter([("idle", "it waits", 10), ("halted", "off", 20)])
    watch = ScreenWatch(lambda: ["login:"], lambda _: None, keys=b"x", after="login:")
    assert run_watching(lambda _: next(ends), None, watch) == ("halted", "off", 20)
