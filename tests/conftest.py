"""What all tests share: `@pytest.mark.guest("linux")` runs a test where that guest was fetched.

Elsewhere it is left out with a word; in CI (CI=true) it fails, because there the guests have to be had.
"""

import os
from functools import cache

import pytest


@cache
def is_fetched(name: str) -> bool:
    from labkit.guests.fetch import fetched

    return fetched(name) is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("guest"):
        for name in marker.args:
            if not is_fetched(name):
                leave = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
                leave(f"the guest {name} is not here: labkit fetch {name}")


@pytest.fixture
def full() -> bool:
    """Was the whole of the long tests asked for?"""
    return os.environ.get("LABKIT_FULL") == "1"
