"""Files that cannot be run: an error of one or two lines, exit code 2, no traceback."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.cli import main

ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")


def elf(machine: int, bits: int = 1) -> bytes:
    ident = b"\x7fELF" + bytes([bits, 1, 1]) + bytes(9)
    return ELF_HEADER.pack(ident, 2, machine, 1, 0x100000, 52, 0, 0, 52, 32, 1, 40, 0, 0) + bytes(64)


def refused(capsys, *arguments: str | Path) -> str:
    assert main(["run", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert 1 <= len(printed.err.splitlines()) <= 2, printed.err
    assert "Traceback" not in printed.err
    assert "internal error" not in printed.err
    return printed.err


@pytest.fixture
def file(tmp_path: Path):
    def write(name: str, contents: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(contents)
        return path

    return write


def hello() -> bytes:
    import labkit.guests

    return (Path(labkit.guests.__path__[0]) / "programs" / "hello.elf").read_bytes()


def test_a_kernel_that_is_not_there(capsys):
    assert "does not exist" in refused(capsys, "--kernel", "/nowhere/vmlinuz")


def test_a_folder_for_a_kernel(capsys, tmp_path: Path):
    assert "is not a file" in refused(capsys, "--kernel", tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 4, 20, 51, 52, 60, 84])
def test_a_truncated_elf(capsys, file, keep: int):
    refused(capsys, "--kernel", file("cut.elf", hello()[:keep]))


@pytest.mark.parametrize("machine", [62, 40, 183, 8])
def test_an_elf_for_another_machine(capsys, file, machine: int):
    refused(capsys, "--kernel", file("foreign.elf", elf(machine)))


def test_a_64_bit_elf(capsys, file):
    refused(capsys, "--kernel", file("foreign.elf", elf(62, bits=2)))


@pytest.mark.parametrize("memory", ["0", "1", "4095", "64G", "1K", "0x10000000000000000"])
def test_a_memory_size_that_no_such_machine_has(capsys, memory: str):
    assert "memory" in refused(capsys, "hello", "--memory", memory)


def test_an_initrd_that_is_not_there(capsys, file):
    refused(capsys, "--kernel", file("hello.elf", hello()), "--initrd", "/nowhere/initrd")


def test_input_without_a_prompt_to_wait_for(capsys):
    assert "--input-after" in refused(capsys, "hello", "--input", "x")


@pytest.mark.guest("linux")
class TestLinux:
    @pytest.fixture
    def kernel(self) -> bytes:
        from labkit.guests.fetch import fetched

        found = fetched("linux")
        assert found
        return found.files["vmlinuz"].read_bytes()

    @pytest.mark.parametrize("keep", [513, 0x250, 20_000, 3_000_000])
    def test_a_truncated_kernel(self, capsys, file, kernel: bytes, keep: int):
        refused(capsys, "--kernel", file("vmlinuz", kernel[:keep]))

    def test_an_initrd_that_does_not_fit(self, capsys, file, kernel: bytes):
        parts = ["--kernel", file("vmlinuz", kernel), "--initrd", file("initrd", bytes(60 << 20))]
        assert "initrd" in refused(capsys, *parts, "--memory", "64M")

    def test_a_command_line_that_is_too_long(self, capsys):
        assert "command line" in refused(capsys, "linux", "--append", "x" * 5000)


def test_as_a_program_it_says_the_same():
    ran = subprocess.run(
        [sys.executable, "-m", "labkit", "run", "--kernel", "/nowhere"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parent.parent.parent,
    )  # fmt: skip
    assert ran.returncode == 2
    assert not ran.stdout
    assert ran.stderr.startswith("labkit: kernel /nowhere does not exist")
