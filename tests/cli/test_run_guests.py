"""`labkit run` as a program, on our own guests: console, JSON, exit codes, signals, a reader who leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LABKIT = [sys.executable, "-m", "labkit"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    ran = subprocess.run(
        [*LABKIT, "run", *arguments], capture_output=True, env=ENVIRONMENT, timeout=120, check=False
    )
    assert b"Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2, ran.stderr
    return ran


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*LABKIT, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )


def read_until(stream, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        piece = os.read(stream.fileno(), 4096)
        assert piece, seen
        seen += piece
    return seen


def test_a_guest_that_switches_itself_off():
    ran = run("hello")
    assert (ran.returncode, ran.stdout) == (0, b"hello\r\n")
    assert b"switched itself off (90 instructions in " in ran.stderr


def test_a_triple_fault_is_an_end_with_a_reason():
    ran = run("triple", "--json")
    assert ran.returncode == 1
    document = json.loads(ran.stdout)
    assert document["reason"] == "shutdown"
    assert "triple fault" in document["message"]


def test_so_many_instructions():
    ran = run("compute", "--for", "1e6", "--json")
    assert ran.returncode == 0
    document = json.loads(ran.stdout)
    assert (document["reason"], document["instructions"]) == ("instructions", 1_000_000)


def test_a_line_is_typed_at_the_prompt_and_the_next_prompt_ends_it():
    ran = run("teaching", "--input", r"echo A$((6*7))\n", "--until-text", "$ ")
    assert ran.returncode == 0
    assert ran.stdout.count(b"$ ") >= 2
    assert b"\nA42\r\n" in ran.stdout
    assert ran.stdout.endswith(b"$ \n")


def test_two_runs_are_the_same_run():
    first, second = (json.loads(run("teaching", "--until-text", "$ ", "--json").stdout) for _ in range(2))
    del first["seconds"], second["seconds"]
    assert first == second
    assert len(first["ram_sha256"]) == len(first["registers_sha256"]) == 64
    assert first["console"].endswith("$ ")
    assert (first["guest"], first["engine"], first["clock"]) == ("teaching", "hw", "virtual")


def test_a_text_that_never_comes():
    ran = run("teaching", "--until-text", "no such text", "--for", "1e6")
    assert ran.returncode == 1
    assert b"'no such text' did not appear" in ran.stderr
    assert b"user mode" in ran.stdout, "nothing that was printed is lost"


def test_the_screen_is_printed_at_the_end():
    ran = run("hello", "--screen")
    assert len(ran.stdout.splitlines()) == 1 + 25


@pytest.mark.parametrize("clock", ["virtual", "live"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_in_order(number: int, clock: str):
    process = start("teaching", "--clock", clock)
    read_until(process.stdout, b"$ ")
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.startswith(b"labkit: interrupted (")
    assert len(said.splitlines()) == 1


def test_a_loop_without_an_exit_can_be_interrupted(tmp_path: Path):
    loop = tmp_path / "loop.bin"
    loop.write_bytes(b"\xeb\xfe")  # jmp to itself, interrupts off
    process = start("--kernel", str(loop), "--at", "0x100000", "--json")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["reason"] == "interrupted"


def test_a_reader_who_leaves_ends_it(tmp_path: Path):
    talker = tmp_path / "talker.bin"
    talker.write_bytes(b"\x66\xba\xf8\x03\xb0x\xee\xeb\xfd")  # mov dx, 3F8h; mov al, 'x'; out dx, al; jmp to it
    process = start("--kernel", str(talker), "--at", "0x100000")
    assert process.stdout
    read_until(process.stdout, b"x")
    process.stdout.close()
    _, said = process.communicate(timeout=30)
    assert process.returncode == 141
    assert not said


def test_a_disk_of_any_contents_is_no_error(tmp_path: Path):
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512 * 100))
    before = disk.stat().st_mtime_ns
    assert run("teaching", "--disk", str(disk), "--until-text", "$ ").returncode == 0
    assert disk.stat().st_mtime_ns == before


@pytest.mark.parametrize("way", ["shadow", "checked", "own"])
def test_what_translated_code_runs_on(way: str) -> None:
    found = json.loads(run("teaching", "--engine", "bt", "--descriptors", way, "--for", "300k", "--json").stdout)
    plain = json.loads(run("teaching", "--for", "300k", "--json").stdout)
    assert ("segment reloads" in found["translator"]) is (way != "own")
    assert found["ram_sha256"] == plain["ram_sha256"]
    assert found["registers_sha256"] == plain["registers_sha256"]
