"""One recording of the teaching kernel, for all tests of the views of lab 4."""

from pathlib import Path

import pytest

from labkit.vm.replay.session import record


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "run.rec"
    record("teaching", path, [b"help\n"], memory=8 << 20)
    return path
