"""Strategies for giving truncation up in direct execution, their faults and what they cost.

    NEVER       every access to the cut part faults and is emulated
    TWO_TABLES  each entry into direct execution loads whole segments, each end truncated ones
    LAZY        a segment is made whole at its first fault in an episode, and cut again at the end of it
    COUNTING    like LAZY; a segment that has faulted in `threshold` episodes is whole from the start, until it has gone
                unused for as many

An episode is one stretch of direct execution: how often it uses the cut part of each segment. Accesses to what was
not cut cost nothing anywhere. Costs are in native memory accesses: chosen, not measured.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labkit.vm.segments.modes import DATA_REGISTERS

__all__ = ["COSTS", "Costs", "Episode", "Outcome", "Strategy", "compare", "crossings", "run"]

Episode = Mapping[str, int]
"""By segment register: accesses to the part that truncation takes."""


class Strategy(StrEnum):
    """When segments are whole."""

    NEVER = "never"
    TWO_TABLES = "two tables"
    LAZY = "lazy"
    COUNTING = "counting"


@dataclass(frozen=True, slots=True)
class Costs:
    """In native accesses."""

    emulation: int = 500
    """One access that faults and is emulated."""
    detruncation: int = 600
    """One fault after which a descriptor is rewritten and its register loaded again."""
    reload: int = 8
    """One segment register loaded."""
    table: int = 20
    """LGDT and LLDT."""


COSTS = Costs()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of a run and their cost."""

    strategy: Strategy
    episodes: int = 0
    emulated: int = 0
    detruncations: int = 0
    reloads: int = 0
    tables: int = 0
    costs: Costs = COSTS

    @property
    def faults(self) -> int:
        """Faults hidden from the guest."""
        return self.emulated + self.detruncations

    @property
    def cost(self) -> int:
        """All of it, in native accesses."""
        costs = self.costs
        by_fault = self.emulated * costs.emulation + self.detruncations * costs.detruncation
        return by_fault + self.reloads * costs.reload + self.tables * costs.table

    def __str__(self) -> str:
        return (
            f"{self.strategy:10}  {self.episodes:6} episodes  {self.faults:8} faults "
            f"({self.emulated} emulated, {self.detruncations} detruncations)  cost {self.cost}"
        )


def run(strategy: Strategy, episodes: Iterable[Episode], costs: Costs = COSTS, threshold: int = 3) -> Outcome:
    """What a strategy makes of these episodes. Raises `ValueError` for what is not a data segment register."""
    used, unused = Counter[str](), Counter[str]()
    eager: set[str] = set()
    count = emulated = detruncations = reloads = tables = 0
    for episode in episodes:
        unknown = set(episode) - set(DATA_REGISTERS)
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: a segment register is one of {', '.join(DATA_REGISTERS)}")
        count += 1
        touched = {register for register, accesses in episode.items() if accesses}
        if strategy is Strategy.NEVER:
            emulated += sum(episode.values())
            continue
        if strategy is Strategy.TWO_TABLES:
            reloads, tables = reloads + 2 * len(DATA_REGISTERS), tables + 2
            continue
        faulting = touched - eager
        detruncations += len(faulting)
        reloads += len(faulting) + 2 * len(eager)  # whole at the start, cut at the end
        if strategy is Strategy.LAZY:
            continue
        for register in faulting:
            used[register] += 1
            if used[register] >= threshold:
                eager.add(register)
                unused[register] = 0
        for register in eager - faulting:
            unused[register] = 0 if register in touched else unused[register] + 1
        for register in [r for r in eager if unused[r] >= threshold]:
            eager.discard(register)
            used[register] = 0
    return Outcome(strategy, count, emulated, detruncations, reloads, tables, costs)


def compare(episodes: Iterable[Episode], costs: Costs = COSTS) -> tuple[Outcome, ...]:
    """All strategies on the same episodes, cheapest first."""
    listed = list(episodes)
    return tuple(sorted((run(s, listed, costs) for s in Strategy), key=lambda outcome: outcome.cost))


def crossings(costs: Mapping[Strategy, Sequence[tuple[int, float]]]) -> list[tuple[Strategy, Strategy, float]]:
    """Where two lines (share of episodes in percent, cost) cross: the cheaper below, the cheaper above, the share."""
    found = []
    listed = list(costs.items())
    for number, (one, points) in enumerate(listed):
        for other, against in listed[number + 1 :]:
            for (x, y), (x2, y2), (_, z), (_, z2) in zip(points, points[1:], against, against[1:], strict=False):
                before, after = y - z, y2 - z2
                if before * after < 0:
                    share = x + (x2 - x) * before / (before - after)
                    found.append((one, other, share) if before < 0 else (other, one, share))
    return sorted(found, key=lambda crossing: crossing[2])
