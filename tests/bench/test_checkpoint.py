import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.bench.checkpoint import fit, measure, medians, samples

seconds = st.floats(1e-7, 1e-2)


@given(fixed=seconds, each=seconds, pages=st.lists(st.integers(1, 5000), min_size=2, unique=True))
def test_the_fit_finds_the_line(fixed: float, each: float, pages: list[int]):
    found = fit([(count, fixed + count * each) for count in pages])
    assert found == pytest.approx((fixed, each), rel=1e-3, abs=1e-8)


def test_samples_of_a_real_guest():
    taken = samples("teaching", 100_000, 4)
    assert len(taken) == 4
    assert all(pages > 0 and seconds > 0 for pages, seconds in taken)


def test_a_guest_that_ends_too_soon_is_said_to():
    with pytest.raises(ValueError, match="hello ended after"):
        measure("hello", lambda _line: None, every=1000)


def test_a_disturbed_round_does_not_count():
    quiet = [(3, 1.0), (5, 2.0)]
    assert medians([quiet, [(3, 9.0), (5, 2.5)], [(3, 0.5), (5, 1.5)]]) == quiet
