"""The mechanism on the processor: a guest sees no difference to a machine of its own, and never the monitor."""

import random
import struct

import pytest

from labkit.vm.segments.attack import ATTACKS, Campaign, random_block, random_segments
from labkit.vm.segments.guest_code import GuestCode
from labkit.vm.segments.modes import DATA_REGISTERS, Mode, Safeguard
from labkit.vm.segments.shared_memory import FRAMES, LOW, MONITOR
from labkit.vm.segments.shared_space import SharedSpace, flat
from labkit.vm.segments.strategies import Strategy, run

THREAD_LOCAL = GuestCode(bytes.fromhex("b932000000 658b05fcffffff 65ff05f8ffffff 49 75ef"))
"""50 times: mov eax, gs:[-4]; inc dword gs:[-8]"""


class Native(SharedSpace):
    """The same guest without a monitor: its own page tables, whole segments, level 3."""

    def __init__(self) -> None:
        super().__init__({}, Strategy.TWO_TABLES)

    def _enter(self, mode):
        super()._enter(mode)
        registers = self.processor.registers
        if registers.cr3 != self.memory.guest:
            registers.cr3 = self.memory.guest
            self.processor.flush_tlb()
        registers.segments[8].base, registers.segments[8].limit = 0x3F0000, 8 * 6 - 1

    def _write_table(self):
        words = [(0, 0), *self._words.values()]
        self.memory.fill(0x3F0000, b"".join(struct.pack("<II", *pair) for pair in words))


def state(space):
    """What the guest can see: registers, and its memory but for the copies of its code."""
    registers = [int(value) & 0xFFFFFFFF for value in space.processor.registers.general]
    ram = space.memory._memory.bytes
    return registers, ram[LOW : LOW + 0x300000].tobytes(), ram[LOW + 0x400000 : FRAMES].tobytes()


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("translated", [True, False])
def test_a_guest_cannot_tell(strategy, translated):
    """Random accesses have the same results and the same faults as without a monitor."""
    rng, native, shared = random.Random(5), Native(), SharedSpace({}, strategy)
    campaign = Campaign(strategy, translated=translated, seed=6)
    for _ in range(8):
        segments, favourite = random_segments(rng), rng.choice(DATA_REGISTERS)
        code = random_block(rng, favourite)
        campaign.space.segments = segments
        for space in (native, shared):
            space.describe(segments)
            space.load(code)
        for _ in range(4):
            registers = campaign._registers(favourite)
            native.run(registers=registers)
            shared.run(translated=translated, registers=registers)
            mine, theirs = state(shared), state(native)
            assert mine[0] == theirs[0]
            assert shared.counts.reflected == native.counts.reflected
        assert mine[1:] == theirs[1:]
    assert native.counts.hidden == 0
    assert shared.counts.hidden > 20
    assert shared.counts.lost == native.counts.lost == 0


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("translated", [True, False])
def test_nothing_comes_through(strategy, translated):
    report = Campaign(strategy, translated=translated, seed=7).run(2000)
    assert report.accesses >= 2000
    assert report.hidden > 100
    assert not report.leaked, str(report)


@pytest.mark.parametrize(
    ("safeguard", "translated", "strategy"),
    [
        (Safeguard.RELOAD, True, Strategy.TWO_TABLES),
        (Safeguard.RELOAD, True, Strategy.LAZY),
        (Safeguard.SUPERVISOR, False, Strategy.LAZY),
        (Safeguard.RESERVE_GS, True, Strategy.NEVER),
    ],
)
def test_a_safeguard_left_out_is_noticed(safeguard, translated, strategy):
    report = Campaign(strategy, translated=translated, left_out=frozenset((safeguard,))).run(1500)
    assert report.leaked


def test_without_the_segmentation_unit_nothing_protects_translated_code():
    assert Campaign(Strategy.NEVER, translated=True, segmentation=False).run(1000).leaked


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attacks_with_a_name(attack):
    assert attack.run().leaked == 0
    assert attack.run(without=True).leaked > 0


@pytest.mark.parametrize("strategy", Strategy)
def test_thread_local_storage_costs_what_the_pure_model_says(strategy):
    space = SharedSpace({"gs": flat(0x200000)}, strategy)
    space.load(THREAD_LOCAL)
    for _ in range(6):
        space.run()
    expected = run(strategy, [{"gs": 100}] * 6)
    assert space.outcome() == expected
    assert space.memory.get(0x200000 - 8, 4) == (300).to_bytes(4, "little")


def test_translated_code_has_a_storm_whatever_the_strategy():
    space = SharedSpace({"gs": flat(0x200000)}, Strategy.TWO_TABLES)
    space.load(THREAD_LOCAL)
    space.run(translated=True, registers={"esp": 0x123450})
    assert space.counts.by_segment == 100
    assert (space.memory.kept, space.memory.log.own) == (0x123450, 1), "the monitor's own store through gs"
    assert space.seen == [Mode.MONITOR, Mode.TRANSLATED, Mode.MONITOR]


def test_the_top_of_memory_is_emulated_by_every_strategy():
    """Paging protects what truncation protected: data in the range itself fault either way."""
    code = GuestCode(b"\xb9\x0a\0\0\0\xff\x05" + (MONITOR + 0x2000).to_bytes(4, "little") + bytes.fromhex("49 75f7"))
    for strategy in Strategy:
        space = SharedSpace({}, strategy)
        space.load(code)
        space.run()
        assert space.counts.by_segment + space.counts.by_page == 10
        assert space.memory.get(MONITOR + 0x2000, 4) == (10).to_bytes(4, "little")
        assert space.leaked == 0


def test_guest_code_beside_its_translation():
    listing = THREAD_LOCAL.listing()
    assert "mov eax, dword ptr gs:[0xfffffffc]   mov eax, dword ptr fs:[0xfffffffc]<- changed" in listing
    assert GuestCode(bytes.fromhex("2e8b03")).translate() == bytes.fromhex("cc9090")
    with pytest.raises(ValueError, match="byte 1"):
        _ = GuestCode(b"\x90\x0f").instructions
