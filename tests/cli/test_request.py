import pytest

from labkit.cli import main


def said(capsys, *arguments: str) -> str:
    """Run a command that is wrong; what it says, checked for its form."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert not printed.out
    assert 1 <= len(printed.err.splitlines()) <= 2
    assert "Traceback" not in printed.err
    assert printed.err.startswith("labkit: ")
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "neither a guest nor --kernel"),
        (["run", "linux", "--kernel", "x"], "both a guest and --kernel"),
        (["run", "linux", "--until-text", ""], "--until-text is empty"),
        (["run", "linux", "--input-after", "x"], "say what with --input"),
        (["run", "linux", "--keys", "x"], "--keys-after"),
        (["run", "linux", "--keys-after", "x"], "--keys"),
        (["run", "linux", "--keys", "\u00fc", "--keys-after", "x"], "no key types"),
        (["run", "linux", "--until-screen", ""], "--until-screen is empty"),
        (["run", "linux", "--at", "0x100000"], "with --kernel"),
        (["run", "--kernel", "x", "--at", "top"], "not a 32-bit address"),
        (["run", "linux", "--input", r"\q"], "no escape"),
        (["run", "linux", "--memory", "lots"], "not a size"),
        (["run", "linux", "--for", "ever"], "not a number of instructions"),
        (["run", "linux", "--clock", "sundial"], "virtual or live"),
        (["run", "teaching", "--descriptors", "own"], "--engine bt"),
        (["run", "teaching", "--engine", "bt", "--descriptors", "none"], "shadow, checked, own"),
        (["run", "linux", "--disk", "/nowhere/disk.img"], "No such file"),
        (["run", "linux", "--disk", "/"], "is a folder"),
        (["run", "linux", "--disk", "/dev/null"], "shorter than a sector"),
        (["run", "linux", "--disk", "a\0b"], "null byte"),
        (["run", "linux", "--wrong"], "--wrong"),
        (["run", "a", "b"], "unexpected extra argument"),
        (["walk"], "walk"),
        (["lab", "/nowhere"], "not a folder"),
    ],
)
def test_wrong_use_is_said_in_a_line_or_two(capsys, arguments: list[str], words: str):
    assert words in said(capsys, *arguments)


def test_help_is_no_error(capsys):
    assert main([]) == 0
    everything = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == everything
    for name in ("doctor", "fetch", "guests", "run", "lab"):
        assert name in everything
        assert main([name, "--help"]) == 0


def test_a_fault_of_ours_is_said_without_a_traceback(capsys, monkeypatch):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose\nsecond\nthird")

    monkeypatch.setattr("labkit.cli.guests.list_guests", broken)
    monkeypatch.delenv("LABKIT_DEBUG", raising=False)
    assert main(["guests"]) == 70
    printed = capsys.readouterr().err
    assert "internal error, TypeError" in printed or "internal error, ZeroDivisionError" in printed
    assert len(printed.splitlines()) == 2
