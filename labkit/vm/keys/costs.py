"""What a way to virtualize costs on the guest `rings`, measured: by the rate of level changes, by the number of keys.

Counting begins when each level has made some calls, so that what is filled once is left out. What the guest does is
the same by every way; only what leaves it differs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labkit.vm.keys.baselines import DuplicateEntries, NoVirtualization, Retranslation
from labkit.vm.keys.rings import Rings
from labkit.vm.keys.shadow import KeyVirtualizer
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.monitor.stop import StopReason

__all__ = ["WAYS", "Cost", "cost", "key_costs", "rate_costs"]

WAYS: tuple[type[VirtualUnit], ...] = (KeyVirtualizer, Retranslation, DuplicateEntries, NoVirtualization)
A_TURN, A_CALL = 7, 112  # instructions of the guest's loop, and of a system call with its return
INSTRUCTIONS = 400_000
BEGINNING, WARM_CALLS, LEAST_CALLS = 40_000, 9, 12
OWN_REGISTERS = 8
"""Key registers that the guest needs beside one for each component."""
KEY_ENTRIES = 512
"""TLB entries where the number of keys is varied: room for a page of each key at two levels."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One measurement; rates are per million guest instructions.

    `faults` are those of the hardware that the monitor hides, TLB refills and key misses together; each leaves
    the guest. `key_writes` is per change of level. `purges` (of the TLB or of an entry) and `rewritten` are what the
    hardware's TLB itself has counted meanwhile.
    """

    way: str
    changes: float
    keys: int
    refills: float
    key_misses: float
    faults: float
    key_writes: float
    purges: int
    rewritten: int


def cost(
    make: Callable[[], VirtualUnit], rate: int, instructions: int = INSTRUCTIONS, **settings: int
) -> Cost:
    """Run `rings` by a way at a rate of level changes per million instructions; `settings` are the guest's.

    The rate is asked for; what comes about is in the result. Raises `ValueError` for a rate above 16,000.
    """
    turns = (2_000_000 // max(rate, 1) - A_CALL) // A_TURN
    if rate < 1 or turns < 1:
        raise ValueError(f"{rate} level changes per million instructions: give 1 to 16000, a call takes {A_CALL}")
    rings = Rings(make(), skip_trials=1, rounds=1 << 30, turns=turns, **settings)
    monitor, processor, unit = rings.monitor, rings.machine.processor, rings.unit
    monitor.run(BEGINNING + WARM_CALLS * (turns * A_TURN + A_CALL))
    before, start = replace(unit.counts), processor.clock
    stop = monitor.run(max(instructions, LEAST_CALLS * (turns * A_TURN + A_CALL)))
    after, million = unit.counts, (processor.clock - start) / 1e6
    processor.close()
    if stop.reason is not StopReason.INSTRUCTIONS:
        raise RuntimeError(f"rings ended before its time: {stop}; {rings.text}")
    changes = after.level_changes - before.level_changes
    refills, misses = after.refills - before.refills, after.key_misses - before.key_misses
    return Cost(
        unit.name, changes / million, settings.get("components", 4), refills / million, misses / million,
        (refills + misses) / million, (after.key_writes - before.key_writes) / max(changes, 1),
        after.purges + after.entry_purges - before.purges - before.entry_purges, after.rewritten - before.rewritten,
    )  # fmt: skip


def rate_costs(rates: Sequence[int], instructions: int = INSTRUCTIONS) -> list[Cost]:
    """Every way at every rate."""
    return [cost(way, rate, instructions) for rate in rates for way in WAYS]


def key_costs(
    counts: Sequence[int], rate: int = 1000, instructions: int = INSTRUCTIONS, registers: int = 16,
    ways: Sequence[type[VirtualUnit]] = WAYS,
) -> list[Cost]:  # fmt: skip
    """Ways with so many keys in the guest's data, one page each, at one rate.

    Shadow keys share the hardware's `registers`, however many the guest has. The other ways cannot share: their
    hardware gets as many registers as the guest believes to have.
    """
    found = []
    for count in counts:
        guest = max(16, OWN_REGISTERS + count)
        for way in ways:

            def make(way: type[VirtualUnit] = way, guest: int = guest) -> VirtualUnit:
                own = registers if way is KeyVirtualizer else guest
                return way(own, KEY_ENTRIES, guest)

            found.append(cost(make, rate, instructions, components=count, work_pages=count))
    return found
