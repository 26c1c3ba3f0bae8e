"""Recorder and replayer: a live session of our own kernel, had again in every way."""

import threading
import time
from pathlib import Path

import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.pace import Live
from labkit.vm.monitor import Monitor, StopReason
from labkit.vm.replay import Recorder, Recording, Replayer, Source, Timeline
from labkit.vm.replay.entries import Anchor, Given, Vector

MEMORY = 8 << 20


def record(path: Path, guest: str = "teaching", *, text: bytes = b"$ ", say: tuple[bytes, ...] = ()) -> None:
    """A live run: each of `say` is typed by another thread once `text` has appeared again."""
    machine = Machine(memory=MEMORY, clock="live")
    machine.load(guests.boot(guest, memory=MEMORY))
    monitor, left = Monitor(machine), list(say)
    pace = machine.pace
    assert isinstance(pace, Live)
    seen = bytearray()

    def printed(data: bytes) -> None:
        seen.extend(data)
        if seen.endswith(text):
            if left:
                threading.Timer(0.02, pace.type, [left.pop(0)]).start()
            else:
                monitor.request_stop("text seen")

    machine.board.serial.on_output.append(printed)
    with Recorder(machine, monitor, path, Source(guest)) as recorder:
        recorder.finish(recorder.run())


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "session.rec"
    record(path, say=(b"help\n", b"forks 2\n"))
    return path


def state(machine: Machine) -> tuple[str, str]:
    return machine.registers.sha256(), machine.ram_sha256()


def test_it_holds_what_came_from_outside(session):
    recording = Recording.read(session)
    assert not recording.damage
    assert recording.end is not None
    given = [entry.data for entry in recording.entries if isinstance(entry, Given)]
    assert given == [b"help\n", b"forks 2\n"]
    assert any(isinstance(entry, Vector) for entry in recording.entries)
    times = [entry.ticks for entry in recording.entries if isinstance(entry, Anchor)]
    assert times == sorted(times)


def test_a_second_machine_ends_the_same(session):
    replayer = Replayer.open(session)
    stop = replayer.run()
    assert replayer.divergence is None
    assert stop.message == "the recording ends here"
    assert replayer.verify() == []
    assert b"forks" in bytes(replayer.machine.board.serial.output)


def test_in_uneven_pieces_it_ends_the_same(session):
    replayer = Replayer.open(session)
    clock, step = 0, 1
    while clock < replayer.end:
        clock, step = min(clock + step, replayer.end), step * 3 % 100_003
        replayer.run_to(clock)
    assert replayer.verify() == []


def test_as_a_timeline_every_place_is_the_same_from_both_sides(session):
    timeline = Timeline.open(session)
    timeline._history.epoch = 50_000
    timeline.run()
    end = Recording.read(session).end
    assert end is not None
    assert timeline.end == end.clock
    assert state(timeline.machine) == (end.registers_sha256, end.ram_sha256)
    places = [timeline.end * part // 17 for part in range(1, 17)]
    forward = {}
    for place in places:
        timeline.seek(place)
        forward[place] = state(timeline.machine)
    timeline.seek(timeline.end)
    for place in reversed(places):
        timeline.seek(place + 1)
        timeline.back()
        assert state(timeline.machine) == forward[place]
    timeline.seek(timeline.end)
    assert state(timeline.machine) == (end.registers_sha256, end.ram_sha256)


def test_go_live(session):
    replayer = Replayer.open(session)
    replayer.run_to(replayer.end // 2)
    replayer.go_live()
    pace, monitor = replayer.machine.pace, replayer.monitor
    assert isinstance(pace, Live)
    pace.type(b"help\n")
    threading.Timer(0.5, monitor.request_stop, ["enough"]).start()
    before = time.monotonic()
    stop = monitor.run()
    assert stop.reason is StopReason.REQUESTED
    assert time.monotonic() - before > 0.4


def given(path: Path) -> list[int]:
    return [entry.clock for entry in Recording.read(path).entries if isinstance(entry, Given)]


@pytest.mark.parametrize("which", [0, 1])
def test_a_fork_leaves_out_what_the_recording_gives_at_its_very_point(session, which):
    clock = given(session)[which]
    timeline = Timeline.open(session)
    timeline._history.epoch = 5_000  # with a checkpoint near
    timeline.run()
    timeline.seek(clock)
    here = state(timeline.machine)
    forked = timeline.fork()
    assert forked.cursor == clock
    forked.type(b"syscalls\n")
    forked.run(300_000)
    printed = forked.console_at(forked.end)[len(timeline.console_at(clock)) :]
    assert printed.startswith(b"syscalls")
    assert state(timeline.machine) == here
    after = timeline.end
    timeline.seek(after)
    end = Recording.read(session).end
    assert end is not None
    assert state(timeline.machine) == (end.registers_sha256, end.ram_sha256)
    timeline.seek(clock + 1)
    later = timeline.fork()
    later.run(300_000)
    said = (b"help", b"forks")[which]
    assert said in later.console_at(later.end)[len(timeline.console_at(clock + 1)) :]  # it had come by then


@pytest.mark.parametrize("which", [0, 1])
def test_who_goes_live_where_input_comes_can_go_without_it(session, which):
    replayer = Replayer.open(session)
    replayer.run_to(given(session)[which], without_input=True)
    assert replayer.divergence is None
    replayer.go_live()
    before = bytes(replayer.machine.board.serial.output)
    pace, monitor = replayer.machine.pace, replayer.monitor
    assert isinstance(pace, Live)
    pace.type(b"syscalls\n")
    threading.Timer(0.5, monitor.request_stop, ["enough"]).start()
    monitor.run()
    assert bytes(replayer.machine.board.serial.output)[len(before) :].startswith(b"syscalls")


def test_what_was_held_back_comes_when_the_replay_goes_on(session):
    replayer = Replayer.open(session)
    for clock in given(session):
        replayer.run_to(clock, without_input=True)
        assert replayer.clock == clock
    replayer.run()
    assert replayer.verify() == []
