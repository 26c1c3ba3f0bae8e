"""Attacks on a monitor that shares the guest's address space: how many of a million accesses come through.

every strategy, translated and direct     all safeguards in force: 0 is the goal
the same under the binary translator      see engine_attacks.py
one safeguard left out                    something must come through, or the witnesses are blind
"""

from collections.abc import Iterator

from labkit.bench import engine_attacks
from labkit.bench.figure import Figure, Progress
from labkit.vm.segments.attack import ATTACKS, Campaign, Report
from labkit.vm.segments.modes import Safeguard
from labkit.vm.segments.strategies import Strategy

__all__ = ["REMOVALS", "campaign", "measure"]

REMOVALS = (
    (Safeguard.RELOAD, True, Strategy.TWO_TABLES), (Safeguard.RELOAD, True, Strategy.LAZY),
    (Safeguard.SUPERVISOR, False, Strategy.TWO_TABLES), (Safeguard.SUPERVISOR, False, Strategy.LAZY),
    (Safeguard.RESERVE_GS, True, Strategy.NEVER),
)  # fmt: skip
"""Safeguards that random attacks notice the lack of, where they run, and the strategy."""
FEW = 5_000
LEAKED = "guest loads, guest stores and changed bytes in the monitor's memory, of {} random accesses; seed {}"


def campaign(
    strategy: Strategy, accesses: int, seed: int, *, translated: bool, left_out: frozenset[Safeguard] = frozenset(),
    segmentation: bool = True,
) -> Report:  # fmt: skip
    """One campaign, its processor freed afterwards."""
    made = Campaign(strategy, translated=translated, seed=seed, left_out=left_out, segmentation=segmentation)
    try:
        return made.run(accesses)
    finally:
        made.space.close()


def measure(accesses: int, seed: int, say: Progress) -> list[Figure]:
    """All of it."""
    return [*_guarded(accesses, seed, say), *_unguarded(seed, say), *engine_attacks.measure(accesses, seed, say)]


def _guarded(accesses: int, seed: int, say: Progress) -> Iterator[Figure]:
    for translated in (True, False):
        for strategy in Strategy:
            found = campaign(strategy, accesses, seed, translated=translated)
            say(str(found))
            name = f"attacks.{'translated' if translated else 'direct'}.{strategy.name.lower()}"
            yield Figure(name, found.leaks, "leaks", LEAKED.format(f"{accesses:,}", seed), goal=0, at_least=False)


def _unguarded(seed: int, say: Progress) -> Iterator[Figure]:
    for safeguard, translated, strategy in REMOVALS:
        found = campaign(strategy, FEW, seed, translated=translated, left_out=frozenset((safeguard,)))
        say(f"without {safeguard.name}: {found}")
        name = f"without.{safeguard.name.lower()}.{strategy.name.lower()}"
        yield Figure(name, found.leaks, "leaks", LEAKED.format(f"{FEW:,}", seed), goal=1)
    found = campaign(Strategy.NEVER, FEW, seed, translated=True, segmentation=False)
    say(f"without the check of limits: {found}")
    yield Figure("without.limits", found.leaks, "leaks", LEAKED.format(f"{FEW:,}", seed), goal=1)
    for number, attack in enumerate(ATTACKS, 1):
        for without in (False, True):
            space = attack.run(without=without)
            say(f"{attack.name}{f', without {attack.safeguard.name}' if without else ''}: {space.leaked} leaks")
            yield Figure(
                f"attack.{number}.{'without' if without else 'guarded'}", space.leaked, "leaks", attack.name,
                goal=1 if without else 0, at_least=without,
            )  # fmt: skip
            space.close()
