"""Packets are part of a run: the same each time on the virtual clock, entries of the recording on the live one."""

from pathlib import Path

import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.pace import Live
from labkit.vm.monitor import Monitor, StopReason
from labkit.vm.replay import Recorder, Recording, Replayer, Source, Timeline
from labkit.vm.replay.entries import Coder, Decoder, Given

MEMORY = 8 << 20
PACKETS = 1 + 6 + 50 + 1  # ARP, echoes, more echoes, UDP


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "ping.rec"
    machine = Machine(memory=MEMORY, clock="live")
    machine.load(guests.boot("ping", memory=MEMORY))
    with Recorder(machine, Monitor(machine), path, Source("ping")) as recorder:
        stop = recorder.run(200_000_000)
        recorder.finish(stop)
    assert stop.reason is StopReason.HALTED
    assert b"ping: PASS, 10 checks" in bytes(machine.board.serial.output)
    return path


def test_every_packet_that_came_is_an_entry(recorded):
    recording = Recording.read(recorded)
    packets = [entry for entry in recording.entries if isinstance(entry, Given)]
    assert {entry.kind for entry in packets} == {"packet"}
    assert len(packets) == PACKETS
    assert Decoder().decode(Coder().code(recording.entries)) == recording.entries


def test_a_replay_is_given_the_same_packets_and_ends_the_same(recorded):
    replayer = Replayer.open(recorded)
    replayer.run()
    assert replayer.divergence is None
    assert replayer.verify() == []


def test_a_changed_packet_is_found(recorded):
    recording = Recording.read(recorded)
    entries = list(recording.entries)
    at = next(i for i, entry in enumerate(entries) if isinstance(entry, Given))
    entry = entries[at]
    assert isinstance(entry, Given)
    entries[at] = Given(entry.clock, "packet", bytes(6) + entry.data[6:])  # for another station
    replayer = Replayer(Recording(recording.header, entries, recording.end, recording.image))
    replayer.run()
    assert replayer.divergence is not None


def test_a_replay_that_goes_live_has_a_network_again(recorded):
    replayer = Replayer.open(recorded)
    replayer.run_to(replayer.end // 3)
    replayer.go_live()
    assert isinstance(replayer.machine.pace, Live)
    replayer.monitor.run(200_000_000)
    assert b"ping: PASS, 10 checks" in bytes(replayer.machine.board.serial.output)


def test_on_the_virtual_clock_two_runs_are_one_and_time_goes_back():
    timeline = Timeline.boot("ping", memory=MEMORY)
    timeline._history.epoch = 20_000  # checkpoints while packets are on the wire
    timeline.run()
    assert b"ping: PASS, 10 checks" in timeline.console_at(timeline.end)
    states = {}
    for part in range(1, 12):
        timeline.seek(timeline.end * part // 12)
        states[timeline.cursor] = timeline.machine.registers.sha256(), timeline.machine.ram_sha256()
    other = Machine(memory=MEMORY)
    other.load(guests.boot("ping", memory=MEMORY))
    monitor = Monitor(other)
    for clock, state in states.items():
        monitor.run(clock - other.processor.clock)
        assert (other.registers.sha256(), other.ram_sha256()) == state
    for clock in reversed(states):
        timeline.seek(clock)
        assert (timeline.machine.registers.sha256(), timeline.machine.ram_sha256()) == states[clock]
