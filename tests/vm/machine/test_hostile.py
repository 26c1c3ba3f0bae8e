"""Guests made of chance: no Python exception, no endless run, no byte of the host's, and an exact clock.

Each guest runs twice, in one go and stopped at every few instructions: both must end in the same state. It
was this test that found loops mistaken for restarted blocks, and an access past 4 GB that had no end.
"""

import os
import random

import numpy as np
import pytest

INSTRUCTIONS = 2000
BATCHES = 10
GUESTS = 40 if os.environ.get("LABKIT_FULL") == "1" else 4
CODE, IDT, FLAT_TABLE, DIRECTORY = 0x10000, 0x2000, 0x200000, 0x201000
LAPIC = 0xFEE00000
# left out: RCL and RCR, whose AF (which they should not change) Unicorn takes from where its block began
UNSTABLE = {bytes((op,)) for op in (0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3)}


def word(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


PIECES = (
    b"\x0f\xc7\x0d" + word(0x8000), b"\xf3\xa4", b"\xf3\xaa", b"\xe6\x61", b"\xe4\x61", b"\x0f\x31",
    b"\xcd\x80", b"\xcc", b"\xce", b"\xfb", b"\xfa", b"\x0f\x34", b"\x9c", b"\x9d", b"\x0f\xa2",
    b"\xc7\x05" + word(CODE + 16) + word(0x90909090), b"\xa1" + word(LAPIC + 0x20),
    b"\xe8\xf0\xff\xff\xff",
    b"\x0f\x01\x3d" + word(0x8000), b"\xee", b"\xec", b"\x40", b"\x50", b"\x58", b"\xe2\xf0", b"\x75\xf0",
    b"\x0f\x22\xc0", b"\x0f\x20\xc0", b"\x60", b"\x61", b"\xc8\x10\x00\x01", b"\xff\x06", b"\x86\x07", b"\xaa",
)  # fmt: skip


def code(chance: random.Random) -> bytes:
    made = bytearray(chance.randbytes(chance.choice((40, 200, 4000))))
    for i in range(0, len(made), 3):
        if chance.random() < 0.5:
            piece = chance.choice(PIECES)
            made[i : i + len(piece)] = piece
    for i, byte in enumerate(made):
        if bytes((byte,)) in UNSTABLE:
            made[i] = 0x90
    return bytes(made)


def build(make_bare, seed: int):
    chance = random.Random(seed)
    bare = make_bare()
    program = code(chance)
    bare.put(CODE, program)
    for i in range(8):
        near = (chance.getrandbits(32), chance.randrange(0x10000), 0x8000, CODE + chance.randrange(100))
        bare.registers.general[i] = chance.choice(near)
    if chance.random() < 0.5:
        bare.registers.general[4] = 0x8000
    for vector in range(256):
        if chance.random() < 0.3:
            offset, selector = CODE + chance.randrange(len(program)), chance.choice((8, 8, 8, 0x1B, 0))
            kind = chance.choice((0x8E, 0xEE, 0xEF, 0x86, 0x8F, 0x85, chance.randrange(256)))
            low, high = offset & 0xFFFF | selector << 16, offset & ~0xFFFF | kind << 8
            bare.put(IDT + 8 * vector, word(low) + word(high))
    if chance.random() < 0.5:
        bare.user(chance.choice((2, 0x202, 0x3002, 0x20002, 0x302)))
    if chance.random() < 0.3:
        rights = [7 if frame <= 16 else chance.choice((7, 7, 7, 7, 5, 3, 0)) for frame in range(1024)]
        bare.put(FLAT_TABLE, b"".join(word(i << 12 | r) for i, r in enumerate(rights)))
        bare.put(DIRECTORY, word(FLAT_TABLE | 7) + bytes(4092))
        bare.registers.cr3 = DIRECTORY
        bare.registers.cr0 |= 0x80010000 if chance.random() < 0.5 else 0x80000000
        bare.machine.processor.flush_tlb()
    return bare


def end(bare) -> tuple[str, str, str]:
    return str(bare.machine.point), bare.machine.ram_sha256(), bare.machine.registers_sha256()


def run_in_pieces(bare, chance: random.Random):
    left = INSTRUCTIONS
    while True:
        before = bare.clock
        stop = bare.monitor.run(min(left, chance.choice((1, 1, 2, 3, 50))))
        left -= bare.clock - before
        if stop.reason != "instructions" or left == 0:
            return stop


@pytest.mark.parametrize("batch", range(BATCHES))
def test_chance_guests_end_the_same_in_one_go_and_in_pieces(make_bare, batch: int) -> None:
    for seed in range(batch * 1000, batch * 1000 + GUESTS):
        plain, stopped = build(make_bare, seed), build(make_bare, seed)
        first = plain.run(instructions=INSTRUCTIONS)
        second = run_in_pieces(stopped, random.Random(seed))
        assert plain.clock <= INSTRUCTIONS
        assert first.reason == second.reason, seed
        assert first.reason != "failure" or "two devices" in first.message, (seed, first.message)
        assert end(plain) == end(stopped), seed


def test_host_memory_around_ram_is_untouched(make_bare) -> None:
    from labkit.vm.machine import memory as module

    canary, size = 1 << 20, 4 << 20
    arena = module.host_memory(size + 2 * canary)
    whole = np.frombuffer(arena, np.uint8)
    whole[:] = 0xA7
    whole[canary : canary + size] = 0
    view = memoryview(arena)[canary : canary + size]
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "host_memory", lambda _size: view)
    try:
        for seed in range(20):
            whole[canary : canary + size] = 0
            build(make_bare, 50_000 + seed).run(instructions=INSTRUCTIONS)
    finally:
        patch.undo()
    assert (whole[:canary] == 0xA7).all()
    assert (whole[canary + size :] == 0xA7).all()
    assert whole[canary : canary + size].any()


def test_a_handler_that_always_faults_ends_as_stuck(bare) -> None:
    bare.put(IDT + 8 * 6, word(CODE & 0xFFFF | 8 << 16) + word(CODE & ~0xFFFF | 0x8E00))
    bare.registers.general[4] = 0xD0000000  # where there is no memory: frames vanish
    stop = bare.run(b"\x0f\x0b")  # ud2
    assert stop.reason == "stuck"
    assert "exception 6" in stop.message
    assert bare.clock == 0


def test_an_access_past_4_gb_goes_on_at_zero(bare) -> None:
    bare.put(0, word(0x11223344))
    bare.registers.general[0] = 0xFFFFFFFF
    bare.run(b"\x8b\x18\x89\x18\xf4")  # mov ebx, [eax]; mov [eax], ebx; hlt
    assert int(bare.registers.general[3]) == 0x223344FF
    assert bare.number(0) == 0x11223344


@pytest.mark.parametrize("step", [None, 1])
def test_code_past_4_gb_goes_on_at_zero(bare, step: int | None) -> None:
    flat = b"".join(word(i << 12 | 7) for i in range(1024))
    bare.put(0x202000, flat[:-4] + word(0x20007))  # the last page is frame 20h
    bare.put(FLAT_TABLE, flat)
    bare.put(DIRECTORY, word(FLAT_TABLE | 7) + bytes(4088) + word(0x202007))
    bare.registers.cr3 = DIRECTORY
    bare.registers.cr0 |= 0x80000000
    bare.put(0x20FFE, b"\xb8\x44")
    bare.put(0, b"\x33\x22\x11\xf4")  # mov eax, 11223344h; hlt
    bare.registers.eip = 0xFFFFFFFE
    while bare.monitor.run(step).reason == "instructions":
        pass
    assert int(bare.registers.general[0]) == 0x11223344
    assert bare.clock == 2
