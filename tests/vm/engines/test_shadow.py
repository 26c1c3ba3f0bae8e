"""Shadow descriptors under translated code: nothing of them is seen, and what the guest changes is followed."""

import pytest

from labkit import guests
from labkit.vm.engines import BinaryTranslator
from labkit.vm.machine import Machine
from labkit.vm.machine.descriptors import SegmentDescriptor
from labkit.vm.machine.shadow_segments import LeftOut
from labkit.vm.machine.translated_code import TranslatedCode
from labkit.vm.monitor import Monitor
from tests.vm.conftest import CODE, CODE0, DATA0, DATA3, GDT, descriptor, word

TOP, AT, TABLES = TranslatedCode.BASE, 0x20000, 0x100000
PSE = 0x10


def paged(bare) -> None:
    """4 MB pages: the first is itself, the last of the linear space is another part of RAM."""
    bare.put(TABLES, word(0x87) + bytes(4 * 1022) + word(0x400000 | 0x87))
    bare.registers.cr3, bare.registers.cr4 = TABLES, PSE
    bare.registers.cr0 |= 0x80000000


def load(segment: int, selector: int) -> bytes:
    return b"\xb8" + word(selector) + bytes((0x8E, 0xC0 | segment << 3))


def keep(register: int, at: int) -> bytes:
    return bytes((0x89, 0x05 | register << 3)) + word(at)


SHOWN = {
    "mov": b"".join(b"\x8c" + bytes((0xC0 | n << 3,)) + keep(0, AT + 4 * n) for n in range(6)),
    "mov of 16 bits": b"".join(b"\xb8" + word(-1) + b"\x66\x8c" + bytes((0xC0 | n << 3,)) + keep(0, AT + 4 * n)
                               for n in range(6)),
    "mov to memory": b"".join(b"\x8c" + bytes((0x05 | n << 3,)) + word(AT + 4 * n) for n in range(6)),
    "push": b"\x06\x0e\x16\x1e\x0f\xa0\x0f\xa8",
    "push of 16 bits": b"\x66\x06\x66\x0e\x66\x16\x66\x1e\x66\x0f\xa0\x66\x0f\xa8",
    "sgdt": b"\x0f\x01\x05" + word(AT) + b"\x0f\x01\x0d" + word(AT + 8),
    "sldt and str": b"\x0f\x00\xc0" + keep(0, AT) + b"\x0f\x00\xc8" + keep(0, AT + 4),
    "lar and lsl": b"".join(b"\xb8" + word(s) + b"\x0f\x02\xd8" + keep(3, AT + 2 * s) + b"\x0f\x03\xd8" +
                            keep(3, AT + 2 * s + 4) for s in range(8, 0x38, 8)),
    "verr and verw": b"".join(b"\xb8" + word(s) + b"\x0f\x00\xe0\x9c\x8f\x05" + word(AT + 2 * s) + b"\x0f\x00\xe8" +
                              b"\x9c\x8f\x05" + word(AT + 2 * s + 4) for s in range(8, 0x38, 8)),
    "far call": b"\x9a" + word(CODE + 0x100) + b"\x08\x00",
    "int": b"\xcd\x20",
    "lss and les": b"\x0f\xb2\x1d" + word(AT + 0x800) + b"\x8c\xd0" + keep(0, AT) + b"\xc4\x1d" + word(AT + 0x800) +
                   b"\x8c\xc0" + keep(0, AT + 4),
    "lock of a selector": b"\xb8" + word(8) + b"\x63\xc0" + keep(0, AT),
}  # fmt: skip


@pytest.mark.parametrize("what", SHOWN)
def test_the_guest_sees_its_own_descriptors_and_selectors(both, what: str) -> None:
    def prepare(bare) -> None:
        bare.put(CODE + 0x100, b"\x58\x59" + keep(0, AT) + keep(1, AT + 4) + b"\xfa\xf4")
        bare.put(AT + 0x800, word(0x8000) + word(DATA0))

    both(load(4, DATA0) + load(5, DATA3) + SHOWN[what] + b"\xfa\xf4", prepare)


SEGMENTS = {0: b"\x26", 2: b"\x36", 3: b"\x3e", 4: b"\x64", 5: b"\x65", 1: b"\x2e"}
ACCESSES = {
    "load": b"\xa1", "store": b"\xa3", "add": b"\x01\x05", "push": b"\xff\x35", "pop": b"\x8f\x05",
    "exchange": b"\x87\x1d", "locked": b"\xf0\x0f\xc1\x1d",
}  # fmt: skip


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("base", [0, 0x30000, TOP - 0x1000, TOP + 0x5000])
def test_every_access_is_what_it_is_under_the_other_engine(both, segment: int, base: int) -> None:
    """Before the monitor, across its first byte, inside, and wrapped beyond 4 GB; the guest has memory there."""
    def prepare(bare) -> None:
        paged(bare)
        bare.put(GDT + 0x38, descriptor(base, 0xFFFFF, 0x93))
        bare.registers.segments[8].limit = 0x3F

    code = b"" if segment in (1, 2) else load(segment, 0x38)
    for linear in (AT, TOP - 0x20, TOP + 0x20, TOP + 0x9002, TOP + 0x3FF010, 0x2F000):
        if linear == TOP - 0x20:
            continue  # nothing is mapped there: the last test has it
        offset = linear - (0 if segment in (1, 2) else base)
        for name, opcode in ACCESSES.items():
            if segment != 1 or name in ("load", "push"):
                prefix = opcode[:1] if name == "locked" else b""
                code += prefix + SEGMENTS[segment] + opcode[len(prefix) :] + word(offset)
    ran = both(code + b"\xfa\xf4", prepare, memory=8 << 20)
    assert ran.bt.vector == 0xFFFF
    counts = ran.engine.counts
    assert counts["limit faults hidden"] or segment == 1
    assert segment != 5 or counts["gs lent"]
    assert counts["accesses through gs"] == 0


def test_a_program_and_its_kernel(both) -> None:
    def prepare(bare) -> None:
        paged(bare)
        bare.user()
        # at level 0: the selectors it finds, then back to the program
        bare.put(0x3000 + 16 * 0x80, b"\x1e\x06\x0f\xa0\x8c\xc8" + keep(0, AT) + b"\x0f\xa1\x07\x1f\xcf")
        bare.put(0x2000 + 8 * 0x80, word(8 << 16 | 0x3800) + word(0xEE00))

    code = b"\xcd\x80" * 3 + b"\xa1" + word(TOP + 0x10) + b"\xa3" + word(TOP + 0x3FF000) + b"\xcd\x80\x8c\xdb\xf4"
    ran = both(code, prepare, memory=8 << 20)
    assert ran.engine.counts["page faults hidden"] >= 2
    assert ran.engine.counts["accesses through gs"]


def test_tables_are_followed(both) -> None:
    """An entry changes by a store, by a string instruction, and in a table of another name; each load sees it."""
    def entry(base: int) -> tuple[bytes, bytes]:
        made = descriptor(base, 0xFFFFF, 0x93)
        return made[:4], made[4:]

    code = b""
    for base in (0x20000, 0x21000, 0x22000):
        low, high = entry(base)
        code += b"\xc7\x05" + word(GDT + 0x38) + low + b"\xc7\x05" + word(GDT + 0x3C) + high
        code += load(0, 0x38) + b"\x26\xff\x05" + word(0x10)
        code += b"\xb9" + word(50) + load(3, DATA0) + b"\xe2" + bytes((256 - 9,))
    code += b"\xbe" + word(GDT + 0x38) + b"\xbf" + word(GDT + 0x40) + load(0, DATA0) + b"\xa5\xa5" + load(0, 0x40)
    code += b"\x26\xff\x05" + word(0x20)
    code += b"\x0f\x01\x15" + word(AT + 0x800) + load(0, 0x40) + b"\x26\xff\x05" + word(0x30)

    def prepare(bare) -> None:
        bare.registers.segments[8].limit = 0x47
        bare.put(0x50000, bare.get(GDT, 0x38) + descriptor(0, 0xFFFFF, 0x93) + descriptor(0x23000, 0xFFFFF, 0x93))
        bare.put(AT + 0x800, (0x47).to_bytes(2, "little") + word(0x50000))

    ran = both(code + b"\xfa\xf4", prepare)
    assert [ran.bt.number(at) for at in (0x20010, 0x21010, 0x22010, 0x22020, 0x23030)] == [1] * 5
    assert ran.engine.counts["table pages shadowed"] >= 5
    entry_now, shadow = ran.engine.shadows.entry(0x40)
    assert isinstance(shadow, SegmentDescriptor)
    assert (entry_now.base, shadow.base, entry_now.dpl, shadow.dpl) == (0x23000, 0x23000, 0, 1)
    assert shadow.last < TOP - 0x23000 <= entry_now.last


def test_a_segment_that_its_table_does_not_hold_any_more(both) -> None:
    """The program's ES was loaded, then its descriptor changed: it goes on with what it has."""
    def prepare(bare) -> None:
        bare.put(GDT + 0x38, descriptor(0x20000, 0xFFFFF, 0xF3))
        bare.registers.segments[8].limit = 0x3F
        bare.user()
        bare.put(0x3000 + 16 * 0x80, b"\xc7\x05" + word(GDT + 0x38) + word(0x3000FFFF) + b"\xcf")
        bare.put(0x2000 + 8 * 0x80, word(8 << 16 | 0x3800) + word(0xEE00))

    touch = b"\x26\xff\x05" + word(0x10)
    ran = both(load(0, 0x3B) + touch + b"\xcd\x80" + touch + load(0, 0x3B) + touch + b"\xf4", prepare)
    assert ran.bt.number(0x20010) == 2
    assert ran.engine.counts["nonreversible"]


def test_a_guest_that_shares_nothing_is_not_slowed_by_faults() -> None:
    machine = Machine(memory=16 << 20)
    machine.load(guests.boot("teaching", memory=16 << 20))
    engine = BinaryTranslator(machine.processor)
    Monitor(machine, engine=engine).run(3_000_000)
    assert engine.counts["limit faults hidden"] == engine.counts["nonreversible"] == 0
    assert engine.counts["segment reloads"]
    assert engine.counts["descriptors loaded"]


def test_the_guests_own_descriptors(make_bare) -> None:
    bare = make_bare()
    engine = BinaryTranslator(bare.machine.processor, shadowed=False)
    bare.monitor = Monitor(bare.machine, engine=engine)
    bare.run(SHOWN["mov"] + b"\xfa\xf4")
    assert engine.shadows is None
    assert "segment reloads" not in engine.counts
    assert bare.number(AT + 4) == CODE0


# --- with the segmentation unit: limits are checked before each access, the monitor's pages stay in the TLB


LIMITED = {
    "the kernel's own limit": load(0, 0x38) + b"\x26\xa1" + word(0xFFC) + b"\x26\xa1" + word(0xFFD),
    "a write to a code segment": b"\x2e\xa3" + word(AT),
    "a read-only segment": load(0, 0x40) + b"\x26\xa1" + word(AT) + b"\x26\xa3" + word(AT),
    "beyond the stack": b"\x8e\xd0".join((b"\xb8" + word(0x38), b"\xbc" + word(0x1000) + b"\x50\x58\x58")),
    "null": load(5, 0) + b"\x65\xa1" + word(AT),
}  # fmt: skip


@pytest.mark.parametrize("what", LIMITED)
def test_the_guests_own_limits(both, what: str) -> None:
    def prepare(bare) -> None:
        bare.put(GDT + 0x38, descriptor(AT, 0xFFF, 0x93, 4) + descriptor(0, 0xFFFFF, 0x91))
        bare.registers.segments[8].limit = 0x47
        bare.put(0x2000 + 8 * 12, bytes(8))  # no stack to take a stack fault on

    ran = both(LIMITED[what] + b"\xfa\xf4", prepare, segmentation=True)
    assert ran.engine.counts["limit faults hidden"] + ran.engine.counts["callouts"]


@pytest.mark.parametrize("segment", [0, 2, 4, 5])
@pytest.mark.parametrize("base", [0x30000, TOP + 0x5000])
def test_the_monitors_pages_in_reach(both, segment: int, base: int) -> None:
    test_every_access_is_what_it_is_under_the_other_engine(
        lambda code, prepare, **options: both(code, prepare, segmentation=True, **options), segment, base
    )


# --- each safeguard left out

INSIDE = TOP + 0x3F2000
CANARY = b"\x5a\xa5\x5a\xa5"


def attacked(bare, code: bytes, left_out: LeftOut, *, user: bool = False) -> tuple[bytes, bytes, int]:
    """The monitor's bytes before and after, and what EAX has got."""
    paged(bare)
    engine = BinaryTranslator(bare.machine.processor)
    engine.shadows.leave_out(left_out)
    bare.monitor = Monitor(bare.machine, engine=engine)
    memory, at = engine._cache.memory, INSIDE - TOP
    memory[at : at + 4096] = CANARY * 1024
    if user:
        bare.user()
    bare.run(code + (b"\xeb\xfe" if user else b"\xfa\xf4"), 2000)
    return CANARY * 1024, memory[at : at + 4096], int(bare.registers.general[0]) & 0xFFFFFFFF


READ_WRITE = b"\xa1" + word(INSIDE) + b"\xc7\x05" + word(INSIDE + 8) + word(0x0BADC0DE)
THROUGH_GS = b"\x65\xa1" + word(INSIDE - TOP) + b"\x65\xc7\x05" + word(INSIDE - TOP + 8) + word(0x0BADC0DE)
BEHIND_A_PUSH = b"\x1e\xa1" + word(TOP + 0x3FF000 + 3 * 24)  # push ds reads the monitor's word: so does what follows
ATTACKS = {
    LeftOut.RELOAD: (READ_WRITE, False), LeftOut.SUPERVISOR: (READ_WRITE, True),
    LeftOut.RESERVE_GS: (THROUGH_GS, False),
}  # fmt: skip


@pytest.mark.parametrize("safeguard", ATTACKS)
def test_a_safeguard_left_out_lets_the_guest_in(make_bare, safeguard: LeftOut) -> None:
    code, user = ATTACKS[safeguard]
    for left_out, leaks in ((LeftOut(0), False), (safeguard, True)):
        before, after, got = attacked(make_bare(memory=8 << 20), code, left_out, user=user)
        assert (before != after) is leaks
        assert (got == int.from_bytes(CANARY, "little")) is leaks


def test_a_page_that_stays_open_behind_the_monitors_own_access(make_bare) -> None:
    for left_out, leaks in ((LeftOut(0), False), (LeftOut.CLOSE, True)):
        _, _, got = attacked(make_bare(memory=8 << 20), BEHIND_A_PUSH, left_out)
        assert (got == DATA0) is leaks


def test_without_traces_a_changed_table_is_not_seen(make_bare) -> None:
    low, high = descriptor(0x22000, 0xFFFFF, 0x93)[:4], descriptor(0x22000, 0xFFFFF, 0x93)[4:]
    code = load(0, 0x10) + b"\xc7\x05" + word(GDT + 0x10) + low + b"\xc7\x05" + word(GDT + 0x14) + high
    code += load(0, 0x10) + b"\x26\xff\x05" + word(0x10)
    for left_out, seen in ((LeftOut(0), 1), (LeftOut.TRACE, 0)):
        bare = make_bare(memory=8 << 20)
        attacked(bare, code, left_out)
        assert bare.number(0x22010) == seen
