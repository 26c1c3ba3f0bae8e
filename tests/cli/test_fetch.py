import json
import sys
from pathlib import Path

import pytest

from labkit.cli import main
from labkit.guests.fetch import Fetched, Package


@pytest.fixture
def nothing_fetched(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_fetch_shows_what_goes_on_and_what_came(capsys, monkeypatch, nothing_fetched: Path):
    file = nothing_fetched / "vmlinuz"
    file.write_bytes(bytes(2_000_000))

    def obtain(name: str, progress) -> Fetched:
        for done in (0, 1_000_000, 2_000_000):
            progress("linux-image", done, 2_000_000)
        progress("unpacking", 0, 0)
        return Fetched(name, {"vmlinuz": file}, (Package("linux-image-6.1", "6.1.1", "00"),))

    # labkit.guests offers the function under the module's own name: this is the module
    monkeypatch.setattr(sys.modules["labkit.guests.fetch"], "fetch", obtain)
    assert main(["fetch", "linux"]) == 0
    printed = capsys.readouterr()
    assert "linux: linux-image-6.1 6.1.1" in printed.out
    assert "1 file(s), 2.0 MB" in printed.out
    assert printed.err.splitlines() == ["linux-image", "unpacking"]


def test_without_apt_it_says_what_to_do_instead(capsys, monkeypatch, nothing_fetched: Path):
    monkeypatch.setenv("PATH", str(nothing_fetched))
    assert main(["fetch", "linux"]) == 2
    printed = capsys.readouterr()
    assert "there is no apt-get" in printed.err
    assert "--kernel FILE" in printed.err
    assert len(printed.err.splitlines()) <= 2
    assert not printed.out


def test_an_unknown_guest_is_refused_with_the_names_that_there_are(capsys):
    for command in ("fetch", "run"):
        assert main([command, "plan9"]) == 2
        printed = capsys.readouterr().err
        assert "linux" in printed
        assert "memtest86+" in printed


def test_the_list_says_how_to_get_what_is_not_there(capsys, nothing_fetched: Path):
    assert main(["guests"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "labkit fetch linux" in lines["linux"]
    assert "ready" in lines["hello"]
    assert main(["guests", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["linux"]["ready"] is False
    assert listed["hello"]["ready"] is True
