"""Points are exact: time and interrupts that come in anywhere are given again at the same instruction.

The pace is made so short that guest time is drawn anew every few instructions: between the repetitions of a REP,
in tight loops, in code that changes itself, between a fault and its handler. Each such anchor is compared, on
replay, by instructions, branches, EIP and registers, and each interrupt too.
"""

from pathlib import Path

import pytest

from labkit import guests
from labkit.vm.machine import Machine, following
from labkit.vm.machine.boot import BootImage, Placement, StartState
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Recorder, Recording, Replayer, Source, Timeline
from labkit.vm.replay.entries import Anchor, Vector

MEMORY = 4 << 20
GDT, IDT_POINTER, IDT, HANDLER, CODE, COUNT = 0x1000, 0x900, 0x2000, 0x3000, 0x10000, 0x500


def word(value: int) -> bytes:
    return value.to_bytes(4, "little")


def out(port: int, *values: int) -> bytes:
    return b"".join(bytes((0xB0, value, 0xE6, port)) for value in values)


def interrupted_strings() -> BootImage:
    """REP MOVSB, STI pairs and a tight loop for ever, and a fast timer that interrupts them."""
    flat = b"\xff\xff\0\0\0\x9b\xcf\0", b"\xff\xff\0\0\0\x93\xcf\0"
    gate = word(HANDLER & 0xFFFF | 0x10 << 16) + word(0x8E00)
    # push eax; inc dword [COUNT]; mov al, 20h; out 20h, al; pop eax; iret
    handler = b"\x50\xff\x05" + word(COUNT) + out(0x20, 0x20) + b"\x58\xcf"
    start = (
        b"\x0f\x01\x1d" + word(IDT_POINTER) + out(0x20, 0x11) + out(0x21, 0x20, 4, 1, 0xFE)
        + out(0x43, 0x34) + out(0x40, 0x50, 0)
    )  # fmt: skip
    body = (
        b"\xbe" + word(0x20000) + b"\xbf" + word(0x30000) + b"\xb9" + word(300)
        + b"\xfb\xf3\xa4\xfa"  # sti; rep movsb; cli
        + b"\xfb\x43\xfa\xfb\x43\xfa\xfb\x90\xfa"  # sti; inc ebx; cli; ...
        + b"\xb9" + word(40) + b"\xfb\x49\x75\xfd\xfa"  # sti; dec ecx; jnz; cli
    )  # fmt: skip
    code = start + body + b"\xe9" + word((1 << 32) - len(body) - 5)
    return BootImage(
        "strings",
        (
            Placement(GDT, bytes(16) + b"".join(flat)), Placement(IDT_POINTER, b"\xff\x07" + word(IDT)),
            Placement(IDT + 0x20 * 8, gate), Placement(HANDLER, handler), Placement(CODE, code),
        ),
        StartState(CODE, esp=0x8000, gdt_address=GDT, gdt_limit=0x1F),
    )  # fmt: skip


def record(path: Path, image: BootImage, instructions: int, source: Source) -> Recording:
    machine = Machine(memory=MEMORY, clock="live")
    machine.load(image)
    with Recorder(machine, Monitor(machine), path, source) as recorder:
        recorder.finish(recorder.run(instructions))
    return Recording.read(path)


@pytest.fixture(params=[1, 23])
def breathless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    draw_every(request.param, monkeypatch)
    return request.param


def draw_every(instructions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guest time is drawn to the host's each so many instructions, however near it is."""
    for name in ("LEAST_BREATH", "FIRST_BREATH", "LONGEST_BREATH"):
        monkeypatch.setattr(following, name, instructions)
    monkeypatch.setattr(following, "LONGEST_LINE_TICKS", -1)


def test_rep_tight_loops_and_sti_pairs(breathless, tmp_path):
    recording = record(tmp_path / "s.rec", interrupted_strings(), 20_000, Source())
    anchors = [entry for entry in recording.entries if isinstance(entry, Anchor)]
    vectors = [entry for entry in recording.entries if isinstance(entry, Vector)]
    assert len(anchors) > 200
    assert len(vectors) > 3
    replayer = Replayer(recording)
    replayer.run()
    assert replayer.divergence is None
    assert replayer.verify() == []


@pytest.mark.parametrize("guest", ["selfmod", "exceptions", "paging32", "teaching"])
def test_programs_that_fault_and_change_themselves(breathless, guest, tmp_path):
    if breathless == 1 and guest == "teaching":
        pytest.skip("clears its memory one anchor for each word")
    image = guests.boot(guest, memory=MEMORY)
    recording = record(tmp_path / "g.rec", image, 30_000, Source(guest))
    replayer = Replayer(recording)
    replayer.run()
    assert replayer.divergence is None
    assert replayer.verify() == []


def test_single_steps_pass_the_same_points(tmp_path, monkeypatch):
    draw_every(11, monkeypatch)
    path = tmp_path / "s.rec"
    recording = record(path, interrupted_strings(), 4000, Source())
    timeline = Timeline.open(str(path))
    timeline.run()
    timeline.seek(0)
    while timeline.cursor < timeline.end:
        timeline.step()
    assert recording.end is not None
    assert timeline.machine.registers.sha256() == recording.end.registers_sha256
    assert timeline.machine.ram_sha256() == recording.end.ram_sha256
