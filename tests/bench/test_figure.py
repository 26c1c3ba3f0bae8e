import pytest

from labkit.bench.figure import Figure, median, spread


def test_a_goal_can_be_a_minimum_or_a_maximum():
    assert Figure("a", 3.0, "x", "m", goal=3.0).met is True
    assert Figure("a", 2.9, "x", "m", goal=3.0).met is False
    assert Figure("a", 3.1, "us", "m", goal=3.0, at_least=False).met is False
    assert Figure("a", 2.9, "us", "m", goal=3.0, at_least=False).met is True


def test_the_document_names_unit_and_method_and_a_goal_only_where_there_is_one():
    plain = Figure("a", 1.0, "s", "by hand").document()
    assert plain == {"value": 1.0, "unit": "s", "method": "by hand", "spread": 0.0}
    assert Figure("a", 1.0, "s", "m", goal=2.0, at_least=False).document()["met"] is True


def test_median_and_spread():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert spread([3.0, 1.0, 2.0]) == pytest.approx(0.5)
