from labkit.bench import translator


def test_ratios_and_goals() -> None:
    figures = {figure.name: figure for figure in translator._figures("find", [2.0, 4.0, 2.0], [3.0, 5.0, 4.0])}
    assert figures["bt.find.ratio"].value == 1.5
    assert figures["bt.find.ratio"].met is True
    speed = {figure.name: figure for figure in translator._figures("compute", [1.0], [2.0])}
    assert speed["bt.compute.ratio"].value == 0.5
    assert speed["bt.compute.ratio"].met is False
