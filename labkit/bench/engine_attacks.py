"""Attacks on the binary translator's monitor: how many of a million random instructions of a guest come through.

kernel     translated: shadow segments, cut below the monitor, keep it out
checked    the same with the monitor's pages in the TLB, and every limit checked before the access
program    direct: paging keeps it out
"""

from collections.abc import Iterator

from labkit.bench.figure import Figure, Progress
from labkit.vm.engines.attack import Assault, Assaulted
from labkit.vm.machine.shadow_segments import LeftOut

__all__ = ["WAYS", "assault", "measure"]

WAYS = {"kernel": (False, False), "checked": (False, True), "program": (True, False)}
"""By name: is it a program, and is the segmentation unit on?"""
REMOVALS = (
    (LeftOut.RELOAD, "kernel"), (LeftOut.RESERVE_GS, "kernel"), (LeftOut.RELOAD, "checked"),
    (LeftOut.RESERVE_GS, "checked"), (LeftOut.SUPERVISOR, "program"),
)  # fmt: skip
FEW = 5_000
LEAKED = "guest loads, guest stores and changed bytes in the monitor's memory, of {} random instructions; seed {}"


def assault(way: str, accesses: int, seed: int, left_out: LeftOut = LeftOut.NOTHING) -> Assaulted:
    """One campaign, its processor freed afterwards."""
    user, checked = WAYS[way]
    made = Assault(seed, user=user, left_out=left_out, checked=checked)
    try:
        return made.run(accesses)
    finally:
        made.processor.close()


def measure(accesses: int, seed: int, say: Progress) -> Iterator[Figure]:
    """All of it."""
    for way in WAYS:
        found = assault(way, accesses, seed)
        say(f"bt, {way}: {found}")
        yield Figure(f"bt.{way}", found.leaks, "leaks", LEAKED.format(f"{accesses:,}", seed), goal=0, at_least=False)
    for safeguard, way in REMOVALS:
        found = assault(way, FEW, seed, safeguard)
        say(f"bt, {way}, without {safeguard.name}: {found}")
        name = f"bt.{way}.without.{str(safeguard.name).lower()}"
        yield Figure(name, found.leaks, "leaks", LEAKED.format(f"{FEW:,}", seed), goal=1)
