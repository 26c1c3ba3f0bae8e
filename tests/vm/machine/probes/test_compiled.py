import hashlib
import io
import sys

import pytest
from elftools.elf.elffile import ELFFile

from labkit.vm.machine.probes import block, compiled, decode, fill


@pytest.fixture
def kept() -> bytes:
    """The object file that is in use."""
    compiled.load()
    digest = compiled._digest(compiled._llvm(), compiled.sources("run"))
    code, found = compiled._kept("run", f"run-{digest}.o")
    assert found
    return code


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Two places of the test's own; and how often something was compiled."""
    folders = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(compiled, "_places", lambda: folders)
    count = []

    def make(_name):
        count.append(1)
        return b"code"

    monkeypatch.setattr(compiled, "_make", make)
    return folders, count


def test_hooks_and_entries_are_different_places_in_the_machine_code():
    assert len({block.block_hook.address, fill.tlb_fill.address, 0}) == 3
    code = b"\x66\xb8\x34\x12" + bytes(16)  # MOV AX, 1234h
    import ctypes

    buffer = ctypes.create_string_buffer(code)
    assert decode.instruction(ctypes.addressof(buffer), 1) & decode.LENGTH == 4
    assert decode.instruction(ctypes.addressof(buffer), 0) & decode.LENGTH == 6


@pytest.mark.skipif(sys.platform != "linux", reason="object files are ELF on Linux")
def test_the_machine_code_refers_to_nothing_outside_itself(kept: bytes):
    symbols = ELFFile(io.BytesIO(kept)).get_section_by_name(".symtab")
    outside = [s.name for s in symbols.iter_symbols() if s["st_shndx"] == "SHN_UNDEF" and s.name]
    assert not outside


def test_a_run_needs_no_numba():
    import subprocess

    program = "import sys, labkit.vm.machine.machine as m; m.Machine(1 << 20); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_what_was_compiled_is_kept(places):
    folders, count = places
    assert compiled._kept("run", "a.o") == (b"code", False)
    assert compiled._kept("run", "a.o") == (b"code", True)
    assert compiled._kept("run", "b.o") == (b"code", False)
    assert len(count) == 2
    assert not folders[1].exists()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-1] + b"X", lambda _data: b""])
def test_a_damaged_file_is_not_run(places, damage):
    folders, count = places
    compiled._kept("run", "a.o")
    path = folders[0] / "a.o"
    path.write_bytes(damage(path.read_bytes()))
    assert compiled._kept("run", "a.o") == (b"code", False)
    assert path.read_bytes() == hashlib.sha256(b"code").digest() + b"code"
    assert len(count) == 2


def test_where_the_sources_cannot_be_written_the_users_cache_is_used(places):
    folders, _count = places
    folders[0].write_text("a file where a folder should be")
    assert compiled._kept("run", "a.o") == (b"code", False)
    assert compiled._kept("run", "a.o") == (b"code", True)


def test_a_failure_to_compile_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="could not be made: no word why"):
        compiled._make("run")


def test_every_hook_is_in_one_object_file_that_is_named_after_all_its_sources():
    names = compiled.objects()
    assert {"run", "trace", "segment_check"} <= set(names)
    assert not compiled.IN_EVERY_RUN & set(names)
    for name in names:
        assert {"compiled", "build"} <= {path.stem for path in compiled.sources(name)}
    run = {path.stem for path in compiled.sources("run")}
    assert run >= {*compiled.IN_EVERY_RUN, "cells", "intrinsics", "layout", "walk"}
    assert not run & (set(names) - {"run"}), "a change of what few runs need would have all made again"


def test_a_change_of_a_source_makes_another_file(monkeypatch):
    llvm = compiled._llvm()
    before = {name: compiled._digest(llvm, compiled.sources(name)) for name in ("run", "trace")}
    text = compiled._text
    monkeypatch.setattr(compiled, "_text", lambda path: text(path) + "#" * (path.stem == "trace"))
    after = {name: compiled._digest(llvm, compiled.sources(name)) for name in ("run", "trace")}
    assert after["run"] == before["run"]
    assert after["trace"] != before["trace"]
