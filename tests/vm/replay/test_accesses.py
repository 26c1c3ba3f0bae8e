"""What a step says it wrote is what changed; what it says of single instructions is what the manual says."""

import random

import pytest

from labkit.vm.replay.accesses import Access, accesses


def pages_of_tables(timeline) -> set[int]:
    """Frames of page directory and tables: the paging unit sets bits there by itself."""
    directory = timeline.registers.cr3 & ~0xFFF
    found = {directory}
    for at in range(0, 4096, 4):
        entry = int.from_bytes(timeline.read_physical(directory + at, 4), "little")
        if entry & 0x81 == 1:
            found.add(entry & ~0xFFF)
    return found


def check(timeline, clocks):
    """Every byte that a step changes is among those that it says it wrote; descriptors' busy bits apart."""
    wrote = 0
    for clock in clocks:
        timeline.seek(clock)
        before, tables = timeline.machine.memory.bytes.copy(), pages_of_tables(timeline)
        timeline.step()
        said = set()
        for access in timeline.accesses:
            if access.write:
                for at in range(access.linear, access.linear + access.size):
                    said.add(timeline._physical(at & 0xFFFFFFFF))
        changed = (timeline.machine.memory.bytes != before).nonzero()[0].tolist()
        unsaid = [at for at in changed if at not in said and at & ~0xFFF not in tables]
        assert not unsaid, (clock, [hex(at) for at in unsaid], timeline.accesses)
        wrote += bool(changed)
    return wrote


def test_steps_of_the_teaching_kernel(recorded, full):
    rng = random.Random(7)
    clocks = [rng.randrange(recorded.end) for _ in range(600 if full else 120)]
    kinds = {"interrupt", "page fault", "software interrupt"}
    events = [row[0] for row in recorded.events.rows if row[3] in kinds]
    clocks += [max(0, at - rng.randrange(2)) for at in rng.sample(events, 60)]
    assert check(recorded, [clock for clock in clocks if clock < recorded.end]) > len(clocks) // 10


@pytest.mark.guest("linux")
def test_steps_of_linux(linux, full):
    rng = random.Random(8)
    starts = [rng.randrange(linux.end - 100) for _ in range(60 if full else 6)]
    assert sum(check(linux, range(start, start + 20)) for start in starts) > len(starts)


def test_a_step_over_a_fault_has_the_frame_and_the_handlers_instruction(bare, timeline_of):
    bare.put(0x10000, b"\xbc\x00\x78\x00\x00\x0f\x0b")  # mov esp,7800h; ud2
    timeline = timeline_of(bare.machine)
    timeline.run()
    timeline.seek(1)
    timeline.step()
    frame = [Access(0x77FC, 4, True), Access(0x77F8, 4, True), Access(0x77F4, 4, True)]
    assert timeline.accesses == [*frame, Access(0x500, 4, True)]
    timeline.back()
    assert timeline.accesses == []


TOP = 0x8000


@pytest.mark.parametrize(
    ("code", "reads", "writes"),
    [
        ("8b03", [(0x2000, 4)], []),  # mov eax,[ebx]
        ("8803", [], [(0x2000, 1)]),  # mov [ebx],al
        ("0103", [(0x2000, 4)], [(0x2000, 4)]),  # add [ebx],eax
        ("3903", [(0x2000, 4)], []),  # cmp [ebx],eax
        ("8d03", [], []),  # lea eax,[ebx]
        ("0f1f03", [], []),  # nop [ebx]
        ("50", [], [(TOP - 4, 4)]),  # push eax
        ("6650", [], [(TOP - 2, 2)]),  # push ax
        ("60", [], [(TOP - 32, 32)]),  # pusha
        ("61", [(TOP, 32)], []),  # popa
        ("58", [(TOP, 4)], []),
        ("9c", [], [(TOP - 4, 4)]),  # pushf
        ("9d", [(TOP, 4)], []),
        ("e800000000", [], [(TOP - 4, 4)]),  # call
        ("c3", [(TOP, 4)], []),
        ("cb", [(TOP, 8)], []),  # retf
        ("c9", [(0x9000, 4)], []),  # leave
        ("ff33", [(0x2000, 4)], [(TOP - 4, 4)]),  # push [ebx]
        ("8f03", [(TOP, 4)], [(0x2000, 4)]),  # pop [ebx]
        ("8f0424", [(TOP, 4)], [(TOP + 4, 4)]),  # pop [esp]: computed behind the pop
        ("ff13", [(0x2000, 4)], [(TOP - 4, 4)]),  # call [ebx]
        ("a5", [(0x3000, 4)], [(0x4000, 4)]),  # movsd
        ("f3a4", [(0x3000, 1)], [(0x4000, 1)]),  # rep movsb
        ("66ab", [], [(0x4000, 2)]),  # stosw
        ("ac", [(0x3000, 1)], []),  # lodsb
        ("a7", [(0x3000, 4), (0x4000, 4)], []),  # cmpsd
        ("ae", [(0x4000, 1)], []),  # scasb
        ("d7", [(0x2000 + 0x34, 1)], []),  # xlat
        ("0fab03", [(0x2000 + 0x244, 4)], [(0x2000 + 0x244, 4)]),  # bts [ebx],eax: the bit is far away
        ("0fa303", [(0x2000 + 0x244, 4)], []),  # bt [ebx],eax
        ("8703", [(0x2000, 4)], [(0x2000, 4)]),  # xchg
        ("0fae03", [], [(0x2000, 512)]),  # fxsave
        ("dd1b", [], [(0x2000, 8)]),  # fstp
        ("dd03", [(0x2000, 8)], []),  # fld
        ("a3f0ff0000", [], [(0xFFF0, 4)]),  # mov [FFF0h],eax
        ("0fbe03", [(0x2000, 1)], []),
        ("8b4500", [(0x9000, 4)], []),  # mov eax,[ebp]: by SS
        ("c8000000", [], [(TOP - 4, 4)]),  # enter 0,0
        ("0f0113", [(0x2000, 6)], []),  # lgdt
        ("0f010b", [], [(0x2000, 6)]),  # sidt
    ],
)
def test_instructions(bare, code, reads, writes):
    registers = bare.registers
    for number, value in enumerate((0x1234, 5, 7, 0x2000, TOP, 0x9000, 0x3000, 0x4000)):
        registers.general[number] = value
    found = accesses(bytes.fromhex(code).ljust(15, b"\x90"), registers.snapshot())
    assert sorted((a.linear, a.size) for a in found if not a.write) == sorted(reads)
    assert sorted((a.linear, a.size) for a in found if a.write) == sorted(writes)


def test_no_iterations_no_accesses(bare):
    bare.registers.general[1] = 0
    assert accesses(b"\xf3\xab".ljust(15, b"\x90"), bare.registers.snapshot()) == []


def test_nonsense_has_none(bare):
    assert accesses(b"\x0f\xff" + bytes(13), bare.registers.snapshot()) == []
