"""The protection unit is part of the past: seek, back, step, copy and fork bring it back as they do the rest."""

import random
from functools import partial

import pytest

from labkit import guests
from labkit.vm.keys import DuplicateEntries, KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.engine import KeysEngine
from labkit.vm.keys.rings import Rings, machine_with_rings
from labkit.vm.machine import Machine
from labkit.vm.machine.keyed_paging import check_keys, keyed_paging
from labkit.vm.machine.tlb import Entry
from labkit.vm.monitor import Monitor
from labkit.vm.replay import Timeline

FEW = partial(KeyVirtualizer, registers=8, entries=12, guest_registers=16, shadow_keys=24)
"""So small that registers, entries and shadow keys are taken from each other all the time."""
SAID = b"rings: 3822 trials, 0 wrong\nrings: 20 calls, the end\n"


def timeline_of(way, epoch=20_000):
    made = Timeline(Rings(way()).machine, engine=lambda machine: KeysEngine(machine, way()))
    made._history.epoch = epoch
    made.run()
    return made


def state(timeline):
    machine = timeline.machine
    return machine.registers_sha256(), machine.ram_sha256(), timeline.engine.save()


@pytest.mark.parametrize("way", [KeyVirtualizer, FEW, Retranslation, DuplicateEntries, NoVirtualization])
def test_any_moment_is_what_a_run_that_never_looks_back_has_there(way, full):
    timeline, rng = timeline_of(way), random.Random(3)
    assert timeline.console_at(timeline.end) == SAID
    clocks = sorted(rng.sample(range(timeline.end), 200 if full else 5))
    plain, wanted = Rings(way()), {}
    for clock in clocks:
        plain.monitor.run(clock - plain.machine.processor.clock)
        wanted[clock] = plain.machine.registers_sha256(), plain.machine.ram_sha256(), plain.engine.save()
    for clock in rng.sample(clocks, len(clocks)):
        timeline.seek(clock)
        assert state(timeline) == wanted[clock]
        n = min(rng.randrange(1, 300), timeline.end - clock)
        timeline.step(n)
        timeline.back(n)
        assert state(timeline) == wanted[clock]


def test_single_steps_over_calls_and_faults():
    timeline = timeline_of(KeyVirtualizer)
    timeline.seek(timeline.end - 400)  # work in some ring, a call, the end

    def now():
        return timeline.machine.registers_sha256(), timeline.engine.save()

    seen = [now()]
    for _ in range(400):
        timeline.step()
        seen.append(now())
    assert len({engine.unit.level for _registers, engine in seen}) > 1
    for wanted in seen[-2::-1]:
        timeline.back()
        assert now() == wanted


def test_a_fork_goes_on_as_its_past_would_have():
    timeline = timeline_of(FEW)
    wanted = timeline.machine.registers_sha256(), timeline.machine.ram_sha256()
    timeline.seek(timeline.end // 3)
    forked = timeline.fork()
    assert forked.engine.save() == timeline.engine.save()
    forked.run()
    assert (forked.machine.registers_sha256(), forked.machine.ram_sha256()) == wanted
    assert forked.console_at(forked.end) == SAID
    other = forked.fork()  # of a fork
    assert other.engine.save() == forked.engine.save()


def test_a_copy_of_the_machine_has_its_unit():
    rings = Rings(FEW())
    rings.monitor.run(250_000)
    twin = rings.machine.copy()
    assert twin.protection.save() == rings.machine.protection.save()
    assert twin.protection is not rings.machine.protection
    before = rings.machine.protection.save()
    twin.protection.tlb.purge_all()
    assert rings.machine.protection.save() == before


def test_a_checkpoint_has_the_unit():
    machine = Machine(1 << 20, mmu="keys")
    machine.protection.tlb.insert(Entry(1, 2, 3, 1, 9))
    checkpoint, held = machine.checkpoint(), machine.protection.save()
    machine.protection.level = 2
    machine.protection.tlb.insert(Entry(5, 6, 0, 3))
    machine.restore(checkpoint)
    assert machine.protection.save() == held
    wrong = Machine(1 << 20, mmu="keys")
    wrong.install_unit(registers=3)
    with pytest.raises(ValueError, match="16 registers for a file of 3"):
        wrong.protection.load(held)


def test_a_unit_that_the_guest_makes_large_counts_against_the_budget():
    """A million translations are 8 MB in each checkpoint: without that, nothing would ever be given up."""
    machine = Rings(KeyVirtualizer(), rounds=2000, skip_trials=1).machine
    unit = KeyVirtualizer()
    timeline = Timeline(machine, engine=lambda machine: KeysEngine(machine, unit))
    history, checkpoints = timeline._history, machine.checkpoints
    history.epoch, checkpoints.budget = 5_000, 4 << 20
    for page in range(0x1000, 0x1000 + (1 << 16)):
        unit.insert(Entry(page, page, 2, 3, 0x77))
    timeline.run(300_000)
    assert checkpoints.aside == unit.state_bytes > 8 << 16
    assert checkpoints.bytes < checkpoints.budget  # the pages alone are within it
    assert len(checkpoints) < 12
    assert len(history._marks) <= 2 * len(checkpoints)
    timeline.seek(checkpoints.list[-1].clock)
    assert len(unit.translations) > 1 << 16


# --- user and supervisor by keys, on an unmodified guest


def run_teaching(mmu):
    machine = Machine(8 << 20, mmu=mmu)
    machine.load(guests.boot("teaching", memory=8 << 20))
    timeline = Timeline(machine)
    timeline._history.epoch = 20_000
    timeline.run(until_text="$ ")
    timeline.type(b"forks 2\n")
    timeline.run(100_000)
    return timeline


def test_keyed_paging_is_at_every_moment_what_paging_is(full):
    keyed, plain, rng = run_teaching("keyed paging"), run_teaching("labkit"), random.Random(8)
    assert keyed.end == plain.end
    for _ in range(100 if full else 6):
        clock = rng.randrange(keyed.end)
        for timeline in (keyed, plain):
            timeline.seek(clock)
            n = min(rng.randrange(1, 300), timeline.end - clock)
            timeline.step(n)
            timeline.back(n)
        assert keyed.machine.registers_sha256() == plain.machine.registers_sha256()
        assert keyed.machine.ram_sha256() == plain.machine.ram_sha256()
    assert keyed_paging(keyed.machine.processor).stale == 0


def test_a_copy_of_a_machine_with_keyed_paging_has_its_keys():
    machine = Machine(8 << 20, mmu="keyed paging")
    machine.load(guests.boot("teaching", memory=8 << 20))
    Monitor(machine).run(200_000)
    check_keys(machine.processor, False)
    twin = machine.copy()
    assert keyed_paging(twin.processor) == keyed_paging(machine.processor)
    checkpoint = machine.checkpoint()
    Monitor(machine).run(50_000)
    machine.restore(checkpoint)
    assert keyed_paging(twin.processor) == keyed_paging(machine.processor)


def test_a_machine_with_a_unit_wants_an_engine_for_it():
    with pytest.raises(ValueError, match="give a KeysEngine"):
        Timeline(machine_with_rings())
    with pytest.raises(ValueError, match="needs a machine with mmu='keys'"):
        Timeline.boot("rings")
