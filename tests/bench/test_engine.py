import json

import pytest

from labkit import guests
from labkit.bench import checkpoint, engine, exits
from labkit.cli import main


def test_the_two_must_agree(monkeypatch):
    monkeypatch.setattr(engine, "on_labkit", lambda _image: (1000, 0.1, 1))
    monkeypatch.setattr(engine, "on_unicorn", lambda _image: (0.1, 2))
    with pytest.raises(RuntimeError, match="EDX is 00000001 on labkit and 00000002 on Unicorn"):
        engine.measure(1, lambda _line: None, ["compute"])


def test_a_program_runs_to_its_end_on_both():
    image = guests.boot("calls", memory=engine.MEMORY)
    count, seconds, result = engine.on_labkit(image)
    assert count > 55_000_000
    assert seconds > 0
    assert engine.on_unicorn(image)[1] == result


def test_the_document_has_every_figure_with_unit_method_and_goal(capsys, monkeypatch):
    monkeypatch.setattr(engine, "on_labkit", lambda _image: (1000, 0.1, 1))
    monkeypatch.setattr(engine, "on_unicorn", lambda _image: (0.2, 1))
    monkeypatch.setattr(
        checkpoint, "samples", lambda *_: [(count, 1e-4 + count * 1e-6) for count in range(20)]
    )
    assert main(["bench", "engine", "--rounds", "1", "--json"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)["figures"]
    assert set(figures) == {
        *(f"{name}.{side}" for name in engine.PROGRAMS for side in ("labkit", "unicorn", "ratio")),
        "exits.port", "checkpoint.page", "checkpoint.fixed", "checkpoint.page_all_in",
    }  # fmt: skip
    assert all(figure["unit"] and figure["method"] for figure in figures.values())
    assert figures["compute.ratio"]["value"] == pytest.approx(2)
    assert figures["compute.ratio"]["goal"] == 0.8
    assert figures["stores.ratio"]["goal"] == 3.0
    assert figures["exits.port"]["goal"] == 200_000
    assert figures["checkpoint.page"]["value"] == pytest.approx(1)
    assert "compute: round 1 of 1" in captured.err


def test_people_get_a_table_with_the_methods_below_it(capsys, monkeypatch):
    monkeypatch.setattr(engine, "on_labkit", lambda _image: (1000, 0.1, 1))
    monkeypatch.setattr(engine, "on_unicorn", lambda _image: (0.2, 1))
    monkeypatch.setattr(exits, "measure", lambda *_: [])
    monkeypatch.setattr(
        checkpoint, "samples", lambda *_: [(count, 1e-4 + count * 1e-6) for count in range(20)]
    )
    assert main(["bench", "engine", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    assert "compute.ratio" in shown
    assert "at least 0.8: met" in shown
    assert engine.METHOD in shown
