from labkit.bench import keys


def test_figures_and_goals():
    assert keys.exhaustive() == (3456, 0)
    figures = {figure.name: figure for figure in keys.sweep(10_000)}
    assert figures["keys.10000.fewer_refills"].met
    assert figures["keys.10000.shadow_keys.purges"].met
    assert figures["keys.10000.shadow_keys.rewritten"].met
    assert figures["keys.10000.none.refills"].value <= figures["keys.10000.purge.refills"].value


def test_sixty_four_times_as_many_keys_are_really_used():
    figures = {figure.name: figure for figure in keys._random(12_000, lambda _line: None)}
    assert figures["keys.random_64x.keys_used"].value > 900
    assert all(figure.met for name, figure in figures.items() if name.endswith(".wrong"))
    misses = [figures[f"keys.random_{times}x.hidden_misses"].value for times in (1, 4, 64)]
    assert misses == sorted(misses)


def test_a_guest_of_an_ordinary_pc_ends_the_same_by_keys():
    """The teaching guest: what `measure` does with linux."""
    figures = {figure.name: figure for figure in keys.same_end("teaching", b"$ ", lambda _line: None)}
    assert figures["keys.teaching.differing"].met
    assert figures["keys.teaching.stale_keys"].met
    assert figures["keys.teaching.level_changes_seen"].value > 0


def test_guest_code_figures():
    figures = {figure.name: figure for figure in keys.guest_code(1000, lambda _line: None)}
    assert figures["keys.guest_code.accesses"].value in (1000, 1001)
    assert figures["keys.guest_code.wrong"].met
