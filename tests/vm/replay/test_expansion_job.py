"""A job says how far it is and can be cancelled; a live session can be run, recorded and traced."""

import threading

import pytest

from labkit.vm.replay import Recording, Replayer, TimelineError
from labkit.vm.replay.entries import Given, Vector
from labkit.vm.replay.expansion_job import Job
from labkit.vm.replay.session import Session, record
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window


def test_a_job_goes_on_until_it_is_cancelled():
    begun = threading.Event()

    def work(tell):
        for clock in range(10**9):
            tell(clock, 10**9)
            begun.set()

    job = Job(work)
    assert begun.wait(5)
    assert job.state == "running"
    job.cancel()
    assert job.wait(5)
    assert job.state == "cancelled"
    assert job.done < 1


def test_a_job_has_a_result_or_an_error_in_a_sentence():
    def work(tell):
        tell(5, 10)
        return 42

    done = Job(work)
    assert done.wait(5)
    assert (done.state, done.result, done.done) == ("done", 42, 1.0)
    failed = Job(lambda _tell: 1 // 0)
    assert failed.wait(5)
    assert failed.state == "failed"
    assert "zero" in failed.error


def test_a_session_types_at_each_prompt_and_its_recording_replays(tmp_path):
    recording = record("teaching", tmp_path / "run.rec", [b"ps\n", b"echo me\n"], memory=8 << 20)
    assert [e.data for e in recording.entries if isinstance(e, Given)] == [b"ps\n", b"echo me\n"]
    replayer = Replayer.open(tmp_path / "run.rec")
    replayer.run()
    assert replayer.verify() == []
    assert Recording.read(tmp_path / "run.rec").end is not None


def test_a_live_session_can_be_traced_and_pays_for_it():
    def interrupts(traced: bool) -> int:
        session = Session("teaching", [b"primes 400000\n"], memory=8 << 20)
        seen: list[int] = []
        session.monitor.on_interrupt = seen.append
        if traced:
            for batch in full_trace(session, [Window(0, 1 << 40)], registers=True):
                assert len(batch)
        else:
            session.run()
        assert "primes below" in session.console
        return len(seen)

    assert interrupts(traced=True) > 1.3 * interrupts(traced=False)


def test_a_guest_without_a_prompt_is_refused():
    with pytest.raises(TimelineError, match="no prompt"):
        Session("hello")


def test_interrupts_of_a_recording_are_those_of_its_trace(tmp_path):
    from labkit.vm.replay.expansion_parameters import ExpansionParameters
    from labkit.vm.replay.trace_expand import expand
    from labkit.vm.replay.trace_parts import RecordingRecipe

    recording = record("teaching", tmp_path / "run.rec", [b"primes 200000\n"], memory=8 << 20)
    recorded = [entry.clock for entry in recording.entries if isinstance(entry, Vector)]
    wanted = ExpansionParameters(what=frozenset({"events"}))
    batches = expand(RecordingRecipe(str(tmp_path / "run.rec")).source(), wanted)
    traced = [event.point.instructions for batch in batches for event in batch.events if event.kind == "interrupt"]
    assert traced == recorded
