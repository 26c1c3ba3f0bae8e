"""One timeline of the teaching kernel, up to its prompt, for all tests of the debugger."""

import time

import pytest

from labkit.vm.replay import Timeline
from labkit.widgets.debugger.session import Session


def run_out(session: Session, seconds: float = 30) -> None:
    """Drive the runner as the widget's task does, without waiting."""
    deadline = time.monotonic() + seconds
    while session.state.running:
        assert time.monotonic() < deadline, "the run did not end"
        session.runner.tick()


def boot() -> Timeline:
    timeline = Timeline.boot("teaching", memory=32 << 20)
    timeline.run(until_text="$ ")
    return timeline


@pytest.fixture(scope="session")
def shared_timeline() -> Timeline:
    return boot()


@pytest.fixture
def timeline(shared_timeline: Timeline) -> Timeline:
    """The shared history, with the cursor in its middle; may be moved, must not be lengthened."""
    shared_timeline.breakpoints.clear()
    shared_timeline.seek(shared_timeline.end // 2)
    return shared_timeline


@pytest.fixture
def own_timeline() -> Timeline:
    """A history of one's own."""
    return boot()
