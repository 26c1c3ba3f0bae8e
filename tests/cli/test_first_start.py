import pytest

from labkit.cli.first_start import announce, prepare
from labkit.vm.machine.probes import compiled


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Compiled functions are kept in a folder of the test's own, and take no time to make."""
    monkeypatch.setattr(compiled, "_places", lambda: (tmp_path,))
    monkeypatch.setattr(compiled, "_make", lambda _name: b"code")
    monkeypatch.setattr(compiled, "before_making", None)


def test_who_has_to_wait_is_told_once(capsys):
    announce()
    assert not capsys.readouterr().err
    assert compiled._kept("run", "hooks.o") == (b"code", False)
    told = capsys.readouterr().err
    assert told.startswith("labkit: compiling")
    assert len(told.splitlines()) == 1
    assert compiled._kept("run", "hooks.o") == (b"code", True)
    assert not capsys.readouterr().err


def test_a_library_prints_nothing(capsys):
    compiled._kept("run", "hooks.o")
    printed = capsys.readouterr()
    assert not printed.out + printed.err


def test_the_lab_compiles_before_it_opens(monkeypatch, capsys):
    monkeypatch.setattr(compiled, "load", lambda name=compiled.RUN: compiled._kept(name, "hooks.o"))
    prepare()
    assert "compiling what runs guests (run)" in capsys.readouterr().err
