"""The campaign of attacks as figures: nothing comes through, and something does without each safeguard."""

from labkit.bench import attacks


def test_every_mode_strategy_and_safeguard(monkeypatch):
    monkeypatch.setattr(attacks, "FEW", 1000)
    said = []
    figures = attacks.measure(100, 2, said.append)
    assert len(figures) > 8 + len(attacks.REMOVALS)
    assert all(figure.met for figure in figures), [figure for figure in figures if not figure.met]
    assert sum("nothing of the monitor's" in line for line in said) == 8
