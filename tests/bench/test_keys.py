from labkit.bench import keys


def test_figures_and_goals():
    assert keys.exhaustive() == (3456, 0)
    figures = {figure.name: figure for figure in keys.sweep(10_000)}
    assert figures["keys.10000.fewer_refills"].met
    assert figures["keys.10000.shadow_keys.purges"].met
    assert figures["keys.10000.shadow_keys.rewritten"].met
    assert figures["keys.10000.none.refills"].value <= figures["keys.10000.purge.refills"].value
