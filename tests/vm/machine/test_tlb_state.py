"""The guest's TLB against a model: page-table entries change without INVLPG, the old translation lives on."""

import random
from dataclasses import dataclass, field

import pytest

from labkit.vm.machine.probes import cells as c

DIRECTORY, TABLE, PAGES, CODE = 0x20000, 0x21000, 0x300000, 0x10000
START = 5  # instructions before the loop
# mov eax,DIRECTORY; mov cr3,eax; mov eax,cr0; or eax,80000000h; mov cr0,eax
# loop: ebx = ebx * 1103515245 + 12345; eax = ebx >> 12; ecx = eax & 7; edi = PAGES + ecx * 1000h
#   by eax >> 3 & 7: 0 entry of page ecx = PAGES + (eax >> 6 & 7) * 1000h | eax >> 4 & 60h | 3
#                    1 invlpg [edi], if not eax & 600h      2 mov cr3,cr3, if not eax & 3E00h
#                    3, 4 add [edi],ebx                     else add esi,[edi]; rol esi,5
PROGRAM = bytes.fromhex(
    "b8000002000f22d80f20c00d000000800f22c069db6d4ec64181c33930000089d8c1e80c89c183e10789cfc1e70c81c700003000"
    "89c2c1ea0383e20774134a74354a743e4a742b4a74280337c1c605ebc289c2c1ea0683e207c1e20cc1e80483e0608d9402030030"
    "0089148d001c0200eba1011feb9da90006000075960f013feb91a9003e0000758a0f20d80f22d8eb82"
)


@dataclass
class Model:
    """What the program does, by the rules of the TLB."""

    ebx: int
    esi: int = 0
    clock: int = START
    stale: int = 0
    words: list[int] = field(default_factory=lambda: [0] * 8)
    entries: list[int] = field(default_factory=lambda: [PAGES + (k << 12) | 3 for k in range(8)])
    tlb: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def reach(self, page: int, write: bool) -> int:
        known = self.tlb.get(page)
        if known is None or (write and not known[1]):
            self.entries[page] |= 0x60 if write else 0x20
            entry = self.entries[page]
            known = self.tlb[page] = (entry - PAGES) >> 12 & 7, bool(entry & 0x40)
        self.stale += known[0] != (self.entries[page] - PAGES) >> 12 & 7
        return known[0]

    def turn(self) -> None:
        self.ebx = (self.ebx * 1103515245 + 12345) & 0xFFFFFFFF
        eax, page = self.ebx >> 12, self.ebx >> 12 & 7
        what = eax >> 3 & 7
        if what == 0:
            self.entries[page] = PAGES + ((eax >> 6 & 7) << 12) | eax >> 4 & 0x60 | 3
            self.clock += 22
        elif what == 1:
            self.clock += 17 if eax & 0x600 else 19
            if not eax & 0x600:
                self.tlb.pop(page, None)
        elif what == 2:
            self.clock += 19 if eax & 0x3E00 else 22
            if not eax & 0x3E00:
                self.tlb.clear()
        elif what in (3, 4):
            value = self.words[self.reach(page, write=False)] + self.ebx
            self.words[self.reach(page, write=True)] = value & 0xFFFFFFFF
            self.clock += 15 + 2 * what
        else:
            self.esi = (self.esi + self.words[self.reach(page, write=False)]) & 0xFFFFFFFF
            self.esi = (self.esi << 5 | self.esi >> 27) & 0xFFFFFFFF
            self.clock += 24


def prepare(bare, seed: int) -> None:
    bare.put(DIRECTORY, (TABLE | 3).to_bytes(4, "little"))
    bare.put(TABLE, b"".join((k << 12 | 3).to_bytes(4, "little") for k in range(1024)))
    bare.put(CODE, PROGRAM)
    bare.registers.general[3], bare.registers.general[6] = seed, 0


def check(bare, model: Model) -> None:
    assert bare.clock == model.clock
    assert (bare.registers.general[3], bare.registers.general[6]) == (model.ebx, model.esi)
    assert [bare.number(PAGES + (k << 12)) for k in range(8)] == model.words
    assert [bare.number(TABLE + 4 * ((PAGES >> 12) + k)) for k in range(8)] == model.entries


@pytest.mark.parametrize(("mmu", "epoch"), [("labkit", 1), ("labkit", (1 << 28) - 3), ("keyed paging", 1)])
@pytest.mark.parametrize("seed", range(4))
def test_a_program_that_forgets_invlpg(make_bare, seed, mmu, epoch):
    bare = make_bare(mmu=mmu)
    prepare(bare, seed)
    bare.machine.processor.cells[c.TLB_EPOCH] = epoch
    model, rng = Model(seed), random.Random(seed)
    for _ in range(120):
        for _ in range(rng.randrange(1, 60)):
            model.turn()
        bare.run(instructions=model.clock - bare.clock)
        check(bare, model)
        what = rng.randrange(5)
        if what == 0:
            bare.machine.processor.flush_tlb()
        elif what == 1:
            bare.machine.checkpoint()
        elif what == 2:
            bare.run(instructions=rng.randrange(200))
            while bare.clock > model.clock:
                model.turn()
            bare.run(instructions=model.clock - bare.clock)
    assert model.stale > 100


@pytest.mark.parametrize("mmu", ["labkit", "keyed paging"])
@pytest.mark.parametrize("seed", range(4))
def test_checkpoints_bookmarks_and_copies_hold_it(make_bare, seed, mmu):
    bare = make_bare(mmu=mmu)
    prepare(bare, seed)
    model = Model(seed)
    machine = bare.machine
    while model.clock < 20_000:
        model.turn()
    machine.checkpoint()
    bare.run(instructions=7_000)
    checkpoint = machine.checkpoint()
    bare.run(instructions=1_000)
    bookmark = machine.bookmark()
    bare.run(instructions=12_000)
    wanted = machine.registers_sha256(), machine.ram_sha256()
    machine.restore(checkpoint)
    bare.run(instructions=13_000)
    assert (machine.registers_sha256(), machine.ram_sha256()) == wanted
    machine.return_to(bookmark)
    bare.run(instructions=12_000)
    assert (machine.registers_sha256(), machine.ram_sha256()) == wanted
    machine.return_to(bookmark)
    twin = type(bare)()
    twin.machine = machine.copy()
    twin.monitor = type(bare.monitor)(twin.machine)
    twin.run(instructions=12_000)
    assert (twin.machine.registers_sha256(), twin.machine.ram_sha256()) == wanted
    twin.run(instructions=model.clock - twin.clock)
    check(twin, model)


def test_a_long_list_is_kept_packed(bare):
    prepare(bare, 0)
    # mov cr3, paging on; mov ecx,700; mov edi,100000h; mov eax,[edi]; add edi,1000h; loop
    bare.put(CODE, PROGRAM[:19] + bytes.fromhex("b9bc020000 bf00001000 8b07 81c700100000 e2f6 ebfe"))
    bare.run(instructions=2200)
    held = bare.machine.processor.tlb
    saved = held.save()
    assert bare.machine.processor.cells[c.TLB_COUNT] == 701  # and the page of the code
    assert len(saved) < 701
    held.forget()
    assert len(held.save()) == 1
    held.load(saved)
    assert held.save() == saved


def test_a_page_fault_drops_the_entry(bare):
    prepare(bare, 0)
    entry, stack = TABLE + 4 * (PAGES >> 12), (PAGES + 0x1001).to_bytes(4, "little")
    bare.put(entry, (PAGES | 1).to_bytes(4, "little"))  # read-only
    bare.put(PAGES, b"\x11\x11\x00\x00")
    bare.put(PAGES + 0x1000, b"\x22\x22\x00\x00")
    # the handler: entry leads elsewhere, no INVLPG; mov ebp,[PAGES]; hlt
    bare.put(0x3000 + 14 * 16, b"\xc7\x05" + entry.to_bytes(4, "little") + stack + bytes.fromhex("8b2d00003000 f4"))
    # paging and WP on; mov eax,[PAGES]; mov [PAGES],eax
    code = PROGRAM[:11] + bytes.fromhex("0d00000180 0f22c0 a100003000 a300003000 f4")
    bare.put(CODE, code)
    bare.run(instructions=100)
    assert bare.registers.general[0] == 0x1111
    assert bare.registers.general[5] == 0x2222


def test_unicorns_own_unit_needs_none(make_bare):
    bare = make_bare(mmu="unicorn")
    prepare(bare, 1)
    bare.run(instructions=20_000)  # INVLPG and MOV to CR3 among them
    assert bare.clock == 20_000
    held = bare.machine.processor.tlb
    assert held.save() == b"\0"
    held.forget()
    assert not bare.machine.processor.cells[c.TLB]
