"""The committed images are what their sources build, byte for byte."""

import io
from importlib.util import find_spec
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from labkit.guests import build

needs_compiler = pytest.mark.skipif(find_spec("ziglang") is None, reason="needs the ziglang wheel")


@needs_compiler
@pytest.mark.parametrize("name", build.IMAGES)
def test_rebuilding_gives_the_committed_bytes(name: str, tmp_path: Path) -> None:
    built = tmp_path / f"{name}.elf"
    build.build(name, built)
    same = built.read_bytes() == build.IMAGES[name].read_bytes()
    assert same, f"{name}: run python -m labkit.guests.build {name}"


@pytest.mark.parametrize("name", build.IMAGES)
def test_an_image_tells_nothing_of_the_machine_that_built_it(name: str) -> None:
    data = build.IMAGES[name].read_bytes()
    for trace in (b"/tmp", b"/home", b"/root", b"/Users", b"github", b"clang version", b"C:\\"):
        assert trace not in data


@pytest.mark.parametrize("name", build.IMAGES)
def test_an_image_is_a_multiboot_elf_with_symbols(name: str) -> None:
    data = build.IMAGES[name].read_bytes()
    elf = ELFFile(io.BytesIO(data))
    assert elf["e_machine"] == "EM_386"
    header = data.index((0x1BADB002).to_bytes(4, "little"))
    words = [int.from_bytes(data[header + i : header + i + 4], "little") for i in (0, 4, 8)]
    assert sum(words) % 2**32 == 0
    segments = [s for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
    assert min(s["p_paddr"] for s in segments) == 0x100000
    assert any(s["p_offset"] <= header < s["p_offset"] + 8192 - 12 for s in segments)
    assert any(s["p_paddr"] <= elf["e_entry"] < s["p_paddr"] + s["p_filesz"] for s in segments)
    symbols = elf.get_section_by_name(".symtab")
    assert isinstance(symbols, SymbolTableSection)
    assert symbols.get_symbol_by_name("_start")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(build.BuildError, match="no guest named 'nothing'"):
        build.build("nothing", Path("nothing.elf"))


def test_another_compiler_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(build, "version", lambda _: "0.0.1")
    with pytest.raises(build.BuildError, match=r"ziglang 0\.0\.1 makes other code"):
        build.build("hello", tmp_path / "hello.elf")


@needs_compiler
def test_a_mistake_in_the_source_is_reported_with_the_compilers_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hello.S").write_text(".globl _start\n_start: nosuchinstruction\n")
    (tmp_path / "program.ld").write_text((build.PROGRAMS / "program.ld").read_text())
    monkeypatch.setattr(build, "PROGRAMS", tmp_path)
    with pytest.raises(build.BuildError, match="nosuchinstruction"):
        build.build("hello", tmp_path / "hello.elf")
