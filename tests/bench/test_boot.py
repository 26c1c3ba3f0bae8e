import json
import shutil
import sys
from types import SimpleNamespace

import pytest

from labkit.bench import boot
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement, StartState

PYTHON = [sys.executable, "-I", "-S", "-c"]


def test_a_process_is_watched_to_its_end():
    run = boot.watch([*PYTHON, "import time; time.sleep(0.05); x = bytes(1 << 25)"])
    assert run.wall >= 0.05
    assert run.cpu > 0
    assert run.peak > 1 << 22


def test_a_childs_peak_is_its_own():
    ballast = bytearray(300 << 20)
    ballast[:: 1 << 12] = bytes(len(range(0, len(ballast), 1 << 12))).replace(b"\0", b"x")
    assert boot.watch([*PYTHON, "pass"]).peak < 100 << 20


def test_a_process_is_ended_when_it_has_printed_the_text():
    talk = "import sys, time; sys.stdout.write('/ '); sys.stdout.flush(); time.sleep(0.05)\n"
    run = boot.watch([*PYTHON, talk + "sys.stdout.write('# '); sys.stdout.flush(); time.sleep(60)"], "/ # ")
    assert 0.05 <= run.wall < 30


@pytest.mark.parametrize("until", ["", "/ # "])
def test_a_process_that_fails_is_said_to_with_its_own_words(until: str):
    with pytest.raises(RuntimeError, match="status 3: it hurts"):
        boot.watch([*PYTHON, "import sys; print('it hurts', file=sys.stderr); sys.exit(3)"], until)


@pytest.fixture
def fake(monkeypatch):
    """Boots that take no time: an image of three bytes, and processes that print the prompt at once."""
    image = BootImage(
        "linux",
        (Placement(0, b"abc", "the initrd"), Placement(8, b"a=1 b=2\0", "the command line")),
        StartState(0),
    )
    monkeypatch.setattr(boot, "fetched", lambda _name: SimpleNamespace(files={"vmlinuz": "/k"}))
    monkeypatch.setattr("labkit.guests.boot", lambda *_names, **_options: image)
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/it")
    seen = []
    real = boot.watch

    def watch(command, until=""):
        seen.append(command)
        return real([*PYTHON, "import os; os.write(1, b'/ # ')"], until)

    monkeypatch.setattr(boot, "watch", watch)
    return seen


def test_both_boot_the_same_in_turn(fake, capsys):
    from labkit.cli import main

    assert main(["bench", "boot", "--rounds", "2", "--json", "--firmware-path"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    figures = document["figures"]
    assert document["benchmark"] == "boot"
    assert document["firmware_path"] is True
    assert {"boot.labkit", "boot.qemu", "boot.ratio", "boot.labkit_peak", "boot.qemu_peak"} <= set(figures)
    assert all(figure["unit"] and figure["method"] for figure in figures.values())
    assert figures["boot.ratio"]["goal"] == 2.0
    assert "round 2 of 2" in captured.err
    assert ["labkit" in command for command in fake] == [True, False, True, False]
    assert "--firmware-path" in fake[0]
    assert fake[1][fake[1].index("-append") + 1] == "a=1 b=2"
    assert fake[1][fake[1].index("-accel") + 1] == "tcg"


def test_without_qemu_labkit_is_measured_alone(fake, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    said: list[str] = []
    figures = boot.measure(1, said.append)
    assert [figure.name for figure in figures] == ["boot.labkit", "boot.labkit_cpu", "boot.labkit_peak"]
    assert any("qemu-system-i386 is not installed" in line for line in said)


def test_without_linux_it_is_said_what_to_do(monkeypatch):
    monkeypatch.setattr(boot, "fetched", lambda _name: None)
    with pytest.raises(GuestError, match="labkit fetch linux"):
        boot.measure(1, lambda _line: None)
