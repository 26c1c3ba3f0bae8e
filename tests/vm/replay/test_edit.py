"""Forks: another past begins with an edit, the old one does not notice."""

import pytest

from labkit.vm.machine.paging import translate
from labkit.vm.replay import TimelineError, Write


def state(timeline):
    return timeline.machine.registers_sha256(), timeline.machine.ram_sha256()


def test_a_fork_without_an_edit_goes_the_same_way(recorded):
    recorded.seek(recorded._history.inputs[-1].clock + 77)
    twin = recorded.fork()
    assert twin.start == twin.end == recorded.cursor
    assert twin.console_at(twin.start) == recorded.console_at(recorded.cursor)
    assert twin.name == f"teaching forked at {recorded.cursor}"
    twin.run(recorded.end - twin.start)
    recorded.seek(recorded.end)
    assert state(twin) == state(recorded)
    assert twin.console_at(twin.end) == recorded.console_at(recorded.end)
    first, *rest = list(twin.events)
    assert (str(first.kind), first.note) == ("edit", "fork")
    assert rest == [e for e in recorded.events if e.point.instructions >= twin.start][-len(rest) :]


def test_what_is_typed_at_the_very_point_is_not_carried_over(recorded):
    there = recorded._history.inputs[-1].clock
    recorded.seek(there)
    here = state(recorded)
    twin = recorded.fork()
    assert state(recorded) == here, "the parent still has it"
    twin.type(b"forks 2\n")
    assert state(twin) == here, "typed again, it is the same: nothing else was missing"
    other = recorded.fork()
    other.type(b"help\n")
    other.run(150_000)
    printed = other.console_at(other.end)[len(other.console_at(other.start)) :]
    assert printed.startswith(b"help")
    assert b"forks 2" not in printed
    recorded.seek(recorded.end)
    assert b"forks 2" in recorded.console_at(recorded.end)


def test_the_parent_does_not_notice(recorded):
    recorded.seek(recorded.end)
    wanted = state(recorded)
    recorded.seek(200_000)
    here = state(recorded)
    twin = recorded.fork(registers={"eax": 0xDEADBEEF}, memory={recorded.registers.esp: b"\x01\x02\x03\x04"})
    assert twin.registers.eax == 0xDEADBEEF
    assert twin.read(twin.registers.esp, 4) == b"\x01\x02\x03\x04"
    assert twin.events[0].note == f"eax = deadbeef, 4 bytes at {twin.registers.esp:08x}"
    twin.run(5000)
    assert recorded.cursor == 200_000
    assert state(recorded) == here
    recorded.seek(recorded.end)
    assert state(recorded) == wanted


def test_a_fork_of_a_fork(bare, timeline_of):
    bare.put(0x10000, b"\x40\xeb\xfd")  # inc eax; jmp
    timeline = timeline_of(bare.machine, epoch=10)
    timeline.run(100)
    timeline.seek(50)
    one = timeline.fork(registers={"eax": 1000})
    one.run(20)
    assert one.registers.eax == 1010
    one.seek(60)
    two = one.fork(registers={"eax": 5, "eip": 0x10001})
    two.run(11)
    assert two.registers.eax == 10
    one.seek(one.start)
    assert one.registers.eax == 1000
    timeline.seek(timeline.end)
    assert timeline.registers.eax == 50
    assert one.last_register_writer("eax") is None
    two.seek(two.end)
    assert isinstance(two.last_register_writer("eax"), Write)


@pytest.mark.parametrize(("zero", "eax"), [(True, 7), (False, 0)])
def test_flags_can_be_edited(bare, timeline_of, zero, eax):
    # xor eax,eax; test eax,eax; jz +5 -> jumps over mov eax... : jnz skips
    bare.put(0x10000, bytes.fromhex("31c0 85c0 7505 b807000000 ebfe"))
    timeline = timeline_of(bare.machine)
    timeline.run(2)
    flags = timeline.registers.eflags
    twin = timeline.fork(registers={"eflags": flags | 0x40 if zero else flags & ~0x40})
    twin.run(3)
    assert twin.registers.eax == eax


def test_edited_code_runs(bare, timeline_of):
    bare.put(0x10000, b"\x40\xeb\xfd")
    timeline = timeline_of(bare.machine)
    timeline.run(40)
    twin = timeline.fork(memory={0x10000: b"\x48"})  # dec eax
    twin.run(20)
    assert twin.registers.eax == 10
    twin.seek(twin.start)
    twin.step()
    assert twin.registers.eax == 19


def test_memory_across_pages_and_where_there_is_none(recorded):
    recorded.seek(recorded.end)
    twin = recorded.fork(memory={0xC0200FFC: b"12345678"})
    assert twin.read(0xC0200FFC, 8) == b"12345678"
    assert translate(twin.machine.processor.registers, twin.machine.memory, 0xC0200FFC) == 0x200FFC
    with pytest.raises(TimelineError, match="no RAM: nothing was changed"):
        recorded.fork(memory={0xC00F0000: b"rom"})
    with pytest.raises(TimelineError, match="cannot be edited: give one of eax"):
        recorded.fork(registers={"rip": 1})


def test_only_plain_flags_change(recorded):
    recorded.seek(recorded.end)
    before = recorded.registers.eflags
    twin = recorded.fork(registers={"eflags": 0xFFFFFFFF})
    assert twin.registers.eflags & ~0xED5 == before & ~0xED5
