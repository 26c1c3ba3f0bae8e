"""The strategies on our guests: their crossings are those that lesson 1 draws."""

import pytest

from labkit.bench.strategies import crossings


def test_the_crossings_of_the_lesson() -> None:
    found = {figure.name: figure.value for figure in crossings(1, lambda _line: None)}
    assert found["crossing.never_to_two_tables"] == pytest.approx(12.0)
    assert found["crossing.lazy_to_two_tables"] == pytest.approx(19.7, abs=0.1)
