"""The recording file: what is written is read, what anybody may have made is refused or read in part.

`LABKIT_FULL=1` reads 100,000 mutated recordings and replays a hundred of them.
"""

import os
import random
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.monitor import Monitor, StopReason
from labkit.vm.replay import Recorder, Recording, RecordingError, Replayer, Source, Timeline
from labkit.vm.replay.entries import Anchor, Coder, Decoder, Entry, Given, Read, Vector
from labkit.vm.replay.recipe import machine_of
from labkit.vm.replay.recording import HEAD, MAGIC, chunk

FULL = os.environ.get("LABKIT_FULL") == "1"
MEMORY = 4 << 20
word = st.integers(0, (1 << 32) - 1)
small = st.integers(0, 1 << 20)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 300,000 instructions of our kernel on the live clock, in several chunks."""
    path = tmp_path_factory.mktemp("recording") / "short.rec"
    machine = Machine(memory=MEMORY, clock="live")
    machine.load(guests.boot("teaching", memory=MEMORY))
    with Recorder(machine, Monitor(machine), path, Source("teaching")) as recorder:
        for _ in range(6):
            stop = recorder.run(50_000)
            recorder.flush()
        recorder.finish(stop)
    return path


@st.composite
def logs(draw):
    """Entries as a recorder makes them: clocks and times only grow."""
    clock = ticks = branches = 0
    entries: list[Entry] = []
    for kind in draw(st.lists(st.integers(0, 3), max_size=30)):
        clock += draw(small)
        branches = max(0, branches + draw(small) - draw(small))
        if kind == 0:
            previous = next((e for e in reversed(entries) if isinstance(e, Anchor)), None)
            line = previous or Anchor(0, 0, 1 << 16, 0, 0, 0)
            ticks = line.ticks + ((clock - line.clock) * line.rate >> 16) + draw(small)
            rate = draw(st.integers(1, (1 << 24)))
            entries.append(Anchor(clock, ticks, rate, branches, draw(word), draw(word)))
        elif kind == 1:
            entries.append(Given(clock, draw(st.sampled_from(["serial", "keys"])), draw(st.binary(max_size=40))))
        elif kind == 2:
            entries.append(Vector(clock, draw(st.integers(0, 255)), branches, draw(word)))
        else:
            entries.append(Read(draw(st.integers(0, 0xFFFF)), draw(st.sampled_from([1, 2, 4])), draw(word)))
    return entries


@given(logs(), st.integers(1, 7))
def test_entries_come_back(entries, pieces):
    coder, decoder = Coder(), Decoder()
    found = []
    for at in range(0, len(entries), pieces):
        found += decoder.decode(coder.code(entries[at : at + pieces]))
    assert found == entries


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and raw bytes of each chunk of a whole recording."""
    found, at = [], len(MAGIC)
    while at < len(data):
        kind, stored, _raw, _crc = HEAD.unpack_from(data, at)
        at += HEAD.size
        found.append((kind, zstandard.ZstdDecompressor().decompress(data[at : at + stored])))
        at += stored
    return found


def together(parts: list[tuple[bytes, bytes]]) -> bytes:
    return MAGIC + b"".join(chunk(kind, raw) for kind, raw in parts)


def scratched(data: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, taken out, put in, or doubled."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(out) + 1) if out else 0
        what = dice.randrange(5)
        if what == 0:
            out[at : at + 1] = bytes((dice.randrange(256),))
        elif what == 1:
            del out[at : at + dice.randint(1, 20)]
        elif what == 2:
            out[at:at] = dice.randbytes(dice.randint(1, 12))
        elif what == 3:
            out[at:at] = out[at : at + dice.randint(1, 50)]
        else:
            out[at : at + 4] = dice.choice((b"\xff" * 4, b"\0" * 4, struct.pack("<I", 1 << 31)))
    return bytes(out)


def mutated(data: bytes, parts: list[tuple[bytes, bytes]], dice: random.Random) -> bytes:
    """A hostile recording: scratched outside, or inside a chunk whose checksum is right again."""
    way = dice.randrange(4)
    if way == 0:
        return scratched(data, dice)
    if way == 1:
        return data[: dice.randrange(len(data))]
    parts = list(parts)
    at = dice.choice([i for i, (kind, _raw) in enumerate(parts) if kind != b"I" or dice.random() < 0.05])
    if way == 2:
        parts[at] = parts[at][0], scratched(parts[at][1], dice)
        return together(parts)
    kind, raw = parts[at]  # lengths that lie, checksum right
    payload = zstandard.ZstdCompressor().compress(raw)
    start = kind + struct.pack("<II", len(payload), dice.choice((0, 1, len(raw) + 1, 1 << 31, (1 << 32) - 1)))
    bad = start + struct.pack("<I", zlib.crc32(payload, zlib.crc32(start))) + payload
    return together(parts[:at]) + bad + together(parts[at + 1 :])[len(MAGIC) :]


def test_hostile_recordings(recording, tmp_path):
    data = recording.read_bytes()
    whole, parts, file = Recording.read(recording), chunks(data), tmp_path / "hostile.rec"
    short = [part for part in parts if part[0] != b"I"][:5] + parts[-1:]  # its image is made by name
    dice, outcomes = random.Random(4), {"refused": 0, "read": 0, "damaged": 0, "replayed": 0}
    for number in range(100_000 if FULL else 1000):
        chosen = parts if number % 100 == 0 else short
        file.write_bytes(mutated(data if number % 100 == 0 else together(short), chosen, dice))
        try:
            found = Recording.read(file)
        except RecordingError:
            outcomes["refused"] += 1
            continue
        outcomes["damaged" if found.damage else "read"] += 1
        if found.damage and not found.damage.startswith("it has no end"):
            assert "offset" in found.damage
        if number % (1000 if FULL else 100) == 7 and found.header == whole.header:
            try:
                replayer = Replayer(found)
            except RecordingError:
                continue
            stop = replayer.run_to(min(replayer.end, 400_000))
            assert isinstance(stop.reason, StopReason)
            outcomes["replayed"] += 1
    assert all(outcomes.values()), outcomes


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_a_cut_recording_replays_to_its_last_whole_chunk(recording, tmp_path, part):
    data = recording.read_bytes()
    start = data.index(b"L", len(data) - Recording.read(recording).log_bytes - 400)
    file = tmp_path / "cut.rec"
    file.write_bytes(data[: start + int((len(data) - start) * part)])
    replayer = Replayer.open(file)
    assert replayer.recording.damage
    replayer.run()
    assert replayer.divergence is None
    assert replayer.clock == replayer.end


def changed(recording: Recording, kind: type, **to: Any) -> Recording:
    """The recording with the last entry of a kind changed."""
    entries = list(recording.entries)
    at = max(i for i, entry in enumerate(entries) if isinstance(entry, kind))
    entry: Any = entries[at]
    entries[at] = replace(entry, **to)
    return replace(recording, entries=entries)


@pytest.mark.parametrize(
    ("kind", "to", "says"),
    [
        (Read, {"value": 0x5A}, "gives 5ah"),
        (Vector, {"vector": 0x7F}, "interrupt 7fh"),
        (Anchor, {"registers": 0}, "registers 00000000"),
        (Anchor, {"branches": 1}, "branch 1,"),
    ],
)
def test_a_change_is_found_where_it_is(recording, kind, to, says):
    replayer = Replayer(changed(Recording.read(recording), kind, **to))
    stop = replayer.run()
    assert stop.reason is StopReason.DIVERGED
    assert replayer.divergence is not None
    assert says in replayer.divergence.expected
    assert replayer.divergence.expected != replayer.divergence.found
    assert replayer.divergence.point.instructions <= replayer.end


def test_before_a_difference_a_timeline_goes_to_and_fro(recording):
    good, lie = Recording.read(recording), changed(Recording.read(recording), Read, value=0x5A)
    timelines = []
    for one in (good, lie):
        timeline = Timeline(machine_of(one), 64 << 20, "teaching")
        timeline._history.follow(one)
        timeline.run()
        timelines.append(timeline)
    true, false = timelines
    assert false.end <= true.end
    for share in (0.5, 0.1, 0.9, 0.99, 0.0, 1.0, 0.7):
        clock = int(false.end * share)
        states = []
        for timeline in timelines:
            timeline.seek(clock)
            states.append((timeline.registers.sha256(), timeline.machine.ram_sha256()))
        if share < 1:  # there the lie may have been told already
            assert states[0] == states[1]
    false.back()
    assert false.cursor == false.end * 7 // 10 - 1


def test_an_anchor_moved_by_one_instruction_is_found(recording):
    read = Recording.read(recording)
    clock = [entry.clock for entry in read.entries if isinstance(entry, Anchor)][-1]
    stop = Replayer(changed(read, Anchor, clock=clock - 1)).run()
    assert stop.reason is StopReason.DIVERGED


def test_a_timeline_stops_there_too(recording, tmp_path):
    file = tmp_path / "other.rec"
    parts = chunks(recording.read_bytes())
    entries = changed(Recording.read(recording), Vector, vector=0x7F).entries
    coder = Coder()
    parts = [part for part in parts if part[0] != b"L"]
    parts.insert(-1, (b"L", coder.code(entries)))
    file.write_bytes(together(parts))
    timeline = Timeline.open(str(file))
    stop = timeline.run()
    assert stop.message == "the replay differs from the recording"
    assert timeline.end < Recording.read(recording).clock


def test_another_image_is_refused(recording, tmp_path):
    parts = chunks(recording.read_bytes())
    header = msgspec.msgpack.decode(parts[0][1])
    header["image_sha256"] = "0" * 64
    file = tmp_path / "other.rec"
    file.write_bytes(together([(b"H", msgspec.msgpack.encode(header)), *parts[1:]]))
    with pytest.raises(RecordingError, match="not the one its header names"):
        Replayer.open(file)


def test_it_needs_no_file_beside_it(recording, monkeypatch):
    def gone(*_arguments, **_options):
        raise guests.GuestError("not here")

    monkeypatch.setattr(guests, "boot", gone)
    replayer = Replayer.open(recording)
    replayer.run()
    assert replayer.verify() == []
