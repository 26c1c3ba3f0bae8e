"""A script of guest code on several units: held against what is foretold, and each unit against the first."""

from collections import Counter
from dataclasses import dataclass

from labkit.vm.keys.acts import Done, do
from labkit.vm.keys.scripts import Script
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine.tlb import Fault

__all__ = ["Compared", "compare"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A script on units: its accesses, what must come of them, and in words where a unit did something else."""

    accesses: int
    verdicts: Counter[Fault]
    differences: list[str]


def _wrong(name: str, script: Script, done: Done) -> list[str]:
    found = [] if done.ended else [f"{name}: did not come to its end"]
    for number, (act, note, noted) in enumerate(
        zip(script.acts, script.notes, done.notes.tolist(), strict=False)
    ):
        if tuple(noted) != note:
            found.append(f"{name}: act {number}, {act}: {note} by the architecture, {tuple(noted)} here")
    if (done.frames != script.frames_after).any():
        found.append(f"{name}: what is in the pages in the end")
    return found


def compare(script: Script, *units: VirtualUnit) -> Compared:
    """Do a script on units, fresh, each of the script's number of guest registers: what is not as foretold, or differs.

    Held together are each note, the frames, and of the units all of memory and the clock as well.
    """
    dones = [(unit.name, do(script.acts, script.frames, unit)) for unit in units]
    differences = [line for name, done in dones for line in _wrong(name, script, done)]
    first = dones[0][1]
    for name, done in dones[1:]:
        if (done.ram, done.clock) != (first.ram, first.clock):
            differences.append(f"{name}: memory or clock in the end are not those of {dones[0][0]}")
    return Compared(script.accesses, script.verdicts, differences)
