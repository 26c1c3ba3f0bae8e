"""The strategies of lab 1 on our own guests: faults and costs of each, and at which share of episodes two cross.

thread-local, top of memory, mix     as in segments/guests.py; all episodes go through the cut part
crossing                             of the first: the share of episodes from which another strategy is the cheaper
"""

from collections.abc import Iterator

from labkit.bench.figure import Figure, Progress
from labkit.vm.segments import strategies
from labkit.vm.segments.guests import GUESTS, THREAD_LOCAL, outcome
from labkit.vm.segments.strategies import Strategy

__all__ = ["crossings", "measure"]

EPISODES, ROUNDS, STEP = 40, 10, 10
COSTS = "costs as in segments/strategies.py"


def measure(say: Progress) -> Iterator[Figure]:
    """Faults and costs of each guest under each strategy, then the crossings."""
    method = f"faults of {EPISODES} episodes of direct execution, {ROUNDS} rounds each"
    for guest in GUESTS:
        say(f"the guest {guest.name} under each strategy")
        for strategy in Strategy:
            found = outcome(guest, strategy, EPISODES, ROUNDS)
            name = f"{guest.name} {strategy.value}".replace("-", "_").replace(" ", "_")
            yield Figure(f"guest.{name}.faults", found.faults, "faults", method)
            yield Figure(f"guest.{name}.cost", found.cost, "accesses", COSTS)
    yield from crossings(1, say)


def crossings(rounds: int, say: Progress) -> Iterator[Figure]:
    """At which share of the episodes one strategy becomes dearer than another, on the thread-local guest."""
    costs: dict[Strategy, list[tuple[int, float]]] = {strategy: [] for strategy in Strategy}
    for share in range(0, 101, STEP):
        say(f"{share} % of the episodes go through the cut part")
        for strategy, points in costs.items():
            found = outcome(THREAD_LOCAL, strategy, EPISODES, rounds, share=share)
            points.append((share, found.cost / found.episodes))
    method = f"share of episodes that use thread-local storage, {rounds} round of 2 accesses each; {COSTS}"
    for below, above, crossed in strategies.crossings(costs):
        name = f"{below.value}_to_{above.value}".replace(" ", "_")
        yield Figure(f"crossing.{name}", crossed, "%", method)
