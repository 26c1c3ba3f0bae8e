"""What a privilege change costs when access rights are virtualized: by keys, by purging, by an entry per level.

sweep      the guest `rings` on the processor, its rate of level changes set; the hardware's TLB refills counted
verdicts   every combination, and random programs, held against the architecture's rules
pressure   four and sixty-four times more keys than the hardware has registers
"""

from collections.abc import Callable
from itertools import product

from labkit.bench.figure import Figure, Progress
from labkit.vm.keys import (
    Counts,
    DuplicateEntries,
    KeyVirtualizer,
    NoVirtualization,
    Retranslation,
    VirtualUnit,
)
from labkit.vm.keys.programs import Program, run
from labkit.vm.keys.rings import Rings
from labkit.vm.machine.access_rights import LEVELS, RIGHTS, Access
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry

__all__ = ["RATES", "exhaustive", "measure", "sweep"]

RATES = (100, 1_000, 10_000)
"""Level changes per million instructions that are asked for; what comes about is measured."""
GOAL_RATE, GOAL_RATIO = 10_000, 10
INSTRUCTIONS = 400_000
A_TURN, A_CALL = 7, 112  # instructions of the guest's loop, and of a system call with its return
WAYS: tuple[Callable[[], VirtualUnit], ...] = (
    KeyVirtualizer,
    Retranslation,
    DuplicateEntries,
    NoVirtualization,
)
SWEEP = "guest rings on the processor, its system calls only; {} level changes per million instructions"


def measure(accesses: int, say: Progress) -> list[Figure]:
    """All figures; `accesses` in the random programs."""
    say("keys: every combination")
    cases, wrong = exhaustive()
    figures = [
        Figure(
            "keys.cases", cases, "accesses", "access right x page level x key state x guest level x access"
        ),
        Figure(
            "keys.cases_wrong",
            wrong,
            "accesses",
            "of these, not the architecture's verdict",
            goal=0,
            at_least=False,
        ),
    ]
    for rate in RATES:
        say(f"keys: {rate} level changes per million instructions")
        figures += sweep(rate)
    return figures + _random(accesses, say)


def exhaustive() -> tuple[int, int]:
    """How many combinations there are, and on how many of them shadow keys differ from the architecture."""
    cases = wrong = 0
    for rights, page_level, key in product(RIGHTS, LEVELS, [None, *range(8)]):
        unit = KeyVirtualizer()
        unit.insert(Entry(1, 1, rights, page_level, key=7))
        if key is not None:
            unit.set_register(3, KeyRegister(7, key))
        for level, access in product(LEVELS, Access):
            unit.set_level(level)
            cases += 1
            wrong += unit.access(1, access) is not unit.expected(1, access).fault
    return cases, wrong


def _work(way: Callable[[], VirtualUnit], rounds: int, turns: int) -> tuple[Counts, int]:
    rings = Rings(way(), rounds=rounds, turns=turns)
    rings.run()
    clock = rings.machine.processor.clock
    rings.machine.processor.close()
    return rings.unit.counts, clock


def sweep(rate: int) -> list[Figure]:
    """Refills by each way at a rate of level changes, per million instructions."""
    turns = max(1, (2_000_000 // rate - A_CALL) // A_TURN)
    rounds = max(4, INSTRUCTIONS // (turns * A_TURN + A_CALL))
    figures: list[Figure] = []
    refills: dict[str, int] = {}
    for way in WAYS:
        (before, start), (after, end) = _work(way, 1, turns), _work(way, rounds, turns)
        million = (end - start) / 1e6
        changes = after.level_changes - before.level_changes
        name, method = way().name, SWEEP.format(f"{changes / million:.0f}")
        key = f"keys.{rate}.{name.replace(' ', '_')}"
        refills[name] = after.refills - before.refills
        figures.append(Figure(f"{key}.refills", refills[name] / million, "per M", method))
        if name == KeyVirtualizer.name:
            writes = (after.key_writes - before.key_writes) / changes
            figures += [
                Figure(f"{key}.purges", after.purges, "", method, goal=0, at_least=False),
                Figure(f"{key}.rewritten", after.rewritten, "entries", method, goal=0, at_least=False),
                Figure(f"{key}.key_writes", writes, "per change", method),
            ]
    ratio = refills[Retranslation.name] / max(1, refills[KeyVirtualizer.name])
    goal = GOAL_RATIO if rate == GOAL_RATE else None
    figures.append(
        Figure(
            f"keys.{rate}.fewer_refills", ratio, "x", "refills, purge / shadow keys (at least 1)", goal=goal
        )
    )
    return figures


def _random(accesses: int, say: Progress) -> list[Figure]:
    figures = []
    for times in (1, 4, 64):
        say(f"keys: random programs with {times} x as many keys as registers")
        unit = KeyVirtualizer(registers=16, guest_registers=16 * times)
        outcome = run(unit, Program(seed=times, keys=16 * times, accesses=accesses))
        method = f"random program of {accesses} accesses, 200 pages, {16 * times} keys of the guest in 16 registers"
        rate = 100 * unit.counts.key_misses / accesses
        wrong = len(outcome.mismatches)
        figures += [
            Figure(f"keys.random_{times}x.wrong", wrong, "accesses", method, goal=0, at_least=False),
            Figure(f"keys.random_{times}x.hidden_misses", rate, "%", method),
        ]
    return figures
