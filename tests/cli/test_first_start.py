import pytest

from labkit.cli.first_start import announce, announcing_all, prepare
from labkit.vm.machine.probes import compiled
from labkit.vm.machine.probes.compiled import missing


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


@pytest.mark.parametrize("terminal", [False, True])
def test_all_parts_are_one_line(monkeypatch, capsys, terminal):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    names, now = missing(), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    assert names == compiled.objects(), "nothing is kept here"
    with announcing_all():
        for name in names:
            compiled._kept(name, f"{name}.o")
            now[0] += 30
    told = capsys.readouterr().err
    assert told.count("\n") == (0 if terminal else 1)
    count = len(names)
    if terminal:
        assert f"once on this machine: 3 of {count} ({names[2]}), {count - 1} min left" in told
        assert f"{count} of {count} ({names[-1]})" in told
        assert told.endswith("\r\x1b[K"), "and what follows begins a line"
    else:
        assert f"{count} parts" in told


def test_what_is_kept_is_not_missing():
    name = compiled.objects()[0]
    compiled._kept(name, f"{name}-{compiled._digest(compiled._llvm(), compiled.sources(name))}.o")
    assert name not in missing()
