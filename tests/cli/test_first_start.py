from labkit.cli.first_start import announce
from labkit.vm.machine.probes import compiled


def test_who_has_to_wait_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compiled, "_places", lambda: (tmp_path,))
    announce()
    told = capsys.readouterr().err
    assert told.startswith("labkit: compiling")
    assert len(told.splitlines()) == 1


def test_nobody_else_is(capsys):
    compiled.load()
    announce()
    assert not capsys.readouterr().err
