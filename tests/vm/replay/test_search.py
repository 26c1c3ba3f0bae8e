"""Who wrote this: against a log of all stores, kept by other means."""

import random

import pytest

from labkit.vm.machine.state import GENERAL
from labkit.vm.replay import Timeline


def expected(stores, physical, size, before):
    """The last store to the bytes before a clock."""
    found = [s for s in stores.touching(physical, size) if s.clock < before]
    return found[-1] if found else None


def at_boundary(stores, physical, size, clock):
    """Has an event stored at this very clock? An interrupt's frame belongs to it, a fault's does not."""
    return any(s.clock == clock and s.by_event for s in stores.touching(physical, size))


def sample(stores, seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        store = rng.choice(stores.stores)
        yield store.physical + rng.randrange(store.size), rng.choice((1, 1, 2, 4)), rng


def ask(timeline, physical, size):
    """`last_writer` by a linear address of the kernel, which maps RAM at C0000000h."""
    return timeline.last_writer(0xC0000000 + physical, size)


def check(timeline, stores, seed, count):
    found_some = 0
    for physical, wanted_size, rng in sample(stores, seed, count):
        size = min(wanted_size, 4096 - physical % 4096)
        clock = rng.randrange(timeline.start + 40_000, timeline.end + 1)
        if at_boundary(stores, physical, size, clock):
            continue
        timeline.seek(clock)
        if timeline._physical(0xC0000000 + physical) != physical:
            continue
        write, want = ask(timeline, physical, size), expected(stores, physical, size, clock)
        assert timeline.cursor == clock
        if want is None:
            assert write is None
            continue
        found_some += 1
        assert write is not None
        assert (write.point.instructions, write.eip, write.by_event) == (want.clock, want.eip, want.by_event)
        assert write.linear == 0xC0000000 + write.physical
        assert write.physical < physical + size
        assert write.physical + write.size > physical
        if not want.by_event:
            # PUSHA and its like store several times
            same = [s for s in stores.touching(physical, size) if s.clock == want.clock and not s.by_event]
            assert write.physical == min(s.physical for s in same)
            assert write.physical + write.size == max(s.physical + s.size for s in same)
        now = timeline.read_physical(write.physical, write.size)
        value = write.value.to_bytes(write.size, "little")
        lasting = range(max(physical, write.physical), min(physical + size, write.physical + write.size))
        assert all(now[at - write.physical] == value[at - write.physical] for at in lasting)
    assert found_some > count // 4


def test_last_writer_is_the_last_store_in_the_log(recorded, stores, full):
    check(recorded, stores, 1, 800 if full else 60)


def test_the_index_changes_no_answer(recorded, stores, full):
    recorded.index_writes()
    assert recorded._index.end == recorded.end
    check(recorded, stores, 1, 800 if full else 60)
    check(recorded, stores, 2, 800 if full else 40)


def test_the_index_holds_every_byte_of_the_log(recorded, stores):
    recorded.index_writes()
    spans = {}
    for store in stores.stores:
        for byte in range(store.physical, store.physical + store.size):
            if byte >> 12 == store.physical >> 12:
                spans.setdefault(byte, set()).add(store.clock)
    for byte in random.Random(3).sample(sorted(spans), 300):
        clocks = spans[byte]
        found = list(recorded._index.candidates(byte, 1, recorded.end))
        # an event is delivered at a clock that may end one stretch and begin the next
        assert all(any(low <= clock <= high for low, high in found) for clock in clocks)
        if byte % 4096 >= 16:
            assert all(any(low <= clock <= high for clock in clocks) for low, high in found)


def test_asking_leaves_everything_as_it_was(recorded):
    recorded.seek(200_003)
    before = recorded.machine.registers_sha256(), recorded.machine.ram_sha256()
    recorded.last_writer(recorded.registers.esp, 4)
    recorded.last_register_writer("edx")
    assert recorded.cursor == 200_003
    assert (recorded.machine.registers_sha256(), recorded.machine.ram_sha256()) == before


@pytest.mark.parametrize("name", GENERAL)
def test_register_writers_against_single_steps(recorded, name):
    start, count = 150_000, 700
    recorded.seek(start)
    changes, value = {}, getattr(recorded.registers, name)
    for clock in range(start, start + count):
        eip = recorded.registers.eip
        recorded.step()
        if getattr(recorded.registers, name) != value:
            value = getattr(recorded.registers, name)
            changes[clock] = eip
    kinds = {"interrupt", "page fault", "software interrupt"}
    delivered = {row[0] for row in recorded.events.rows if row[3] in kinds}
    for cursor in range(start + count, start + 1, -97):
        recorded.seek(cursor)
        write = recorded.last_register_writer(name)
        clocks = [clock for clock in changes if clock < cursor]
        if not clocks:
            assert write is None or write.point.instructions < start
            continue
        assert write.register == name
        assert write.value == getattr(recorded.registers, name)
        if delivered & {clocks[-1], clocks[-1] + 1}:  # a step that an event was part of
            assert write.point.instructions in {clocks[-1], clocks[-1] + 1}
        else:
            assert (write.point.instructions, write.eip) == (clocks[-1], changes[clocks[-1]])


def test_the_instruction_just_done_is_a_register_writer(bare, timeline_of):
    bare.put(0x10000, b"\xb8\x01\x00\x00\x00\x90\xbb\x07\x00\x00\x00\xfa\xf4")  # mov eax,1; nop; mov ebx,7
    timeline = timeline_of(bare.machine)
    timeline.run()
    timeline.seek(1)
    assert timeline.last_register_writer("eax").point.instructions == 0
    timeline.seek(2)
    assert timeline.last_register_writer("eax").point.instructions == 0
    timeline.seek(3)
    assert timeline.last_register_writer("ebx").eip == 0x10006
    assert timeline.last_register_writer("esi") is None


def run(bare, timeline_of, code: bytes, count: int = 400) -> Timeline:
    bare.put(0x10000, code)
    timeline = timeline_of(bare.machine, epoch=40)
    timeline.run(count)
    return timeline


def test_repeated_stores_are_told_apart(bare, timeline_of):
    # mov edi,20000h; mov ecx,100; mov eax,5; rep stosd; jmp $
    code = bytes.fromhex("bf00000200 b964000000 b805000000 f3ab ebfe")
    timeline = run(bare, timeline_of, code)
    for k in (0, 1, 50, 99):
        write = timeline.last_writer(0x20000 + 4 * k + 1)
        assert (write.point.instructions, write.eip) == (3 + k, 0x1000F)
        assert (write.linear, write.size, write.value) == (0x20000 + 4 * k, 4, 5)
    timeline.seek(3 + 50)
    assert timeline.last_writer(0x20000 + 4 * 50) is None
    assert timeline.last_writer(0x20000 + 4 * 49).point.instructions == 52


@pytest.mark.parametrize("offset", [0xFFD, 0xFFE, 0xFFF])
@pytest.mark.parametrize("indexed", [False, True])
def test_a_store_across_a_page_end_is_seen_on_both_pages(bare, timeline_of, offset, indexed):
    at = 0x20000 + offset
    # mov dword [at],11223344h; nop; jmp $
    code = b"\xc7\x05" + at.to_bytes(4, "little") + b"\x44\x33\x22\x11\x90\xeb\xfe"
    timeline = run(bare, timeline_of, code)
    if indexed:
        timeline.index_writes()
    for byte in range(4):
        write = timeline.last_writer(at + byte)
        assert write is not None, byte
        assert (write.point.instructions, write.eip) == (0, 0x10000)
        assert write.linear <= at + byte < write.linear + write.size
    assert timeline.last_writer(at, 4).eip == 0x10000
    assert timeline.last_writer(at - 1) is None
    assert timeline.last_writer(at + 4) is None


def test_a_store_that_changes_nothing_is_a_store(bare, timeline_of):
    # mov byte [20000h],0 three times
    timeline = run(bare, timeline_of, bytes.fromhex("c6050000020000") * 3 + b"\xeb\xfe")
    assert timeline.last_writer(0x20000).point.instructions == 2


def test_stores_of_code_into_its_own_page(bare, timeline_of):
    # loop: inc dword [10100h]; mov byte [loop+..], 90h; jmp loop: the page is code and data
    code = bytes.fromhex("ff0500010100 c6050002010090 ebf1")
    timeline = run(bare, timeline_of, code, 90)
    last = timeline.last_writer(0x10100, 4)
    assert last.point.instructions == 87
    assert last.value == 30
    timeline.seek(50)
    assert timeline.last_writer(0x10100, 4).point.instructions == 48
    assert timeline.last_writer(0x10200).point.instructions == 49


def test_frames_that_events_push_have_an_event_as_writer(bare, timeline_of):
    # mov esp,7800h; nop; ud2  ->  #UD pushes EFLAGS CS EIP at 77F4h
    timeline = run(bare, timeline_of, bytes.fromhex("bc00780000 90 0f0b"), 10)
    write = timeline.last_writer(0x77F4, 4)
    assert write.by_event
    assert (write.point.instructions, write.eip, write.value) == (2, 0x10006, 0x10006)
    timeline.seek(2)
    assert timeline.last_writer(0x77F4, 4) is None
    esp = timeline.last_register_writer("esp")
    assert (esp.point.instructions, esp.by_event) == (0, False)
    timeline.seek(3)
    esp = timeline.last_register_writer("esp")
    assert (esp.point.instructions, esp.by_event, esp.eip) == (2, True, 0x10006)


def test_pages_of_zeros_and_far_back(recorded):
    recorded.seek(recorded.end)
    assert recorded.last_writer(0xC0000000 + recorded.machine.memory.size - 64, 32) is None
    told = []
    recorded.last_writer(recorded.registers.esp & ~0xFFF, 64, told.append)
    assert told == sorted(told)


@pytest.mark.guest("linux")
def test_linux_who_wrote_the_page_directory(linux):
    linux.seek(linux.end)
    directory = linux.machine.processor.registers.cr3 & ~0xFFF
    write = linux.last_writer(0xC0000000 + directory + 0xC00, 4)
    assert write is not None
    linux.seek(write.point.instructions)
    assert linux.registers.eip == write.eip
    linux.step()
    assert int.from_bytes(linux.read_physical(write.physical, write.size), "little") == write.value
