"""The divergence view names the place and both sides, in text and in the picture."""

from dataclasses import replace

import pytest

from labkit.vm.replay import Recording, Replayer
from labkit.vm.replay.entries import Anchor, Entry, Given, Read, Vector
from labkit.widgets.replay import divergence_view


def stopped(path, kind, **to) -> tuple[Replayer, int]:
    """A replay of the recording with its last entry of a kind changed, and that entry's number."""
    recording = Recording.read(path)
    entries = list(recording.entries)
    at = max(i for i, entry in enumerate(entries) if isinstance(entry, kind))
    entries[at] = replace(entries[at], **to)
    replayer = Replayer(replace(recording, entries=entries))
    replayer.run()
    return replayer, at


@pytest.mark.parametrize(
    ("kind", "to", "shown"),
    [
        (Read, {"value": 0x5A}, "value        5ah"),
        (Vector, {"vector": 0x7F}, "vector       7fh"),
        (Anchor, {"registers": 0}, "registers    CRC 0000 0000"),
    ],
)
def test_a_changed_entry_is_shown_beside_what_was_found(recorded, kind, to, shown):
    replayer, at = stopped(recorded, kind, **to)
    found = replayer.divergence
    assert found is not None
    assert found.number == at
    assert isinstance(found.replayed, kind)
    picture = divergence_view(replayer)
    assert f"entry {at + 1} of {len(replayer.recording.entries)}" in picture.text
    (line,) = [line for line in picture.text.splitlines() if line.endswith("≠")]
    assert shown in line
    assert "≠ differs" in picture.svg
    code = [line for line in picture.text.splitlines() if line.startswith("  > ")]
    assert len(code) == 1
    assert f"{found.point.eip:08x}" in code[0]


def test_an_in_is_shown_with_its_instruction_and_port(recorded):
    replayer, _at = stopped(recorded, Read, value=0x5A)
    text = divergence_view(replayer).text
    assert "the guest reads port" in text
    assert "  in " in next(line for line in text.splitlines() if line.startswith("  > "))


def test_input_that_never_comes_leaves_the_guest_waiting(recorded):
    recording = Recording.read(recorded)
    entries: list[Entry] = [entry for entry in recording.entries if not isinstance(entry, Given)]
    replayer = Replayer(replace(recording, entries=entries))
    replayer.run()
    assert replayer.divergence is not None
    assert "first divergence" in divergence_view(replayer).text


def test_a_replay_that_went_well(recorded):
    replayer = Replayer.open(recorded)
    replayer.run()
    assert divergence_view(replayer).text.startswith("no divergence")
