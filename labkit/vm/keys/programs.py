"""Random guest programs for a protection unit: what two implementations of it are compared on.

A program is a seeded stream of what a guest does: mostly accesses, mostly near each other; between them changes of
level, of key registers and of translations. All access rights, levels and bits occur, and keys of which the guest
holds only some.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine.access_rights import Access
from labkit.vm.machine.protection_keys import EMPTY, KeyRegister
from labkit.vm.machine.tlb import Entry, Fault

__all__ = ["Mismatch", "Outcome", "Program", "run"]

KINDS = tuple(Access)


@dataclass(frozen=True, slots=True)
class Program:
    """A stream of operations on `pages` pages with `keys` different keys, up to that many accesses.

    `loaded`: the guest begins by giving each key that has room a register of its own.
    """

    seed: int
    pages: int = 200
    keys: int = 24
    accesses: int = 10_000
    loaded: bool = False


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An access on which the two do not agree."""

    number: int
    page: int
    access: Access
    level: int
    expected: Fault
    found: Fault

    def __str__(self) -> str:
        what = f"access {self.number}, {self.access} of page {self.page} at level {self.level}"
        return f"{what}: {self.expected} by the architecture, {self.found} here"


@dataclass(slots=True)
class Outcome:
    """What came of a run: how many accesses, which verdicts, by which keys of the guest, where the two differ."""

    accesses: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    """Those that a check has met in one of the guest's registers."""


def run(unit: VirtualUnit, program: Program) -> Outcome:
    """Run a program on a unit, and hold each verdict against the architecture's (`VirtualUnit.expected`)."""
    source = random.Random(program.seed)  # noqa: S311  (a test's randomness, not a secret's)
    outcome = Outcome()
    for page in range(program.pages):
        unit.insert(_entry(source, program, page))
    if program.loaded:
        for key in range(min(program.keys, len(unit.keys))):
            unit.set_register(key, KeyRegister(key))
    near = 0
    while outcome.accesses < program.accesses:
        what = source.random()
        if what < 0.9:
            near = (near + source.choice((0, 0, 0, 1, 1, 2, source.randrange(program.pages)))) % program.pages
            _access(unit, near, source.choice(KINDS), outcome)
        elif what < 0.95:
            unit.set_level(source.randrange(4))
        else:
            _change(unit, source, program, what)
    return outcome


def _access(unit: VirtualUnit, page: int, access: Access, outcome: Outcome) -> None:
    verdict = unit.expected(page, access)
    expected = verdict.fault
    if verdict.register is not None:
        outcome.keys.add(verdict.register.key)
    found = unit.access(page, access)
    outcome.accesses += 1
    outcome.faults[found] += 1
    if found is not expected:
        outcome.mismatches.append(Mismatch(outcome.accesses, page, access, unit.level, expected, found))


def _change(unit: VirtualUnit, source: random.Random, program: Program, what: float) -> None:
    page = source.randrange(program.pages)
    if what < 0.98:
        register = KeyRegister(source.randrange(program.keys), source.choice((0, 0, 0, 1, 2, 4, 6)))
        unit.set_register(source.randrange(len(unit.keys)), EMPTY if source.random() < 0.1 else register)
    elif what < 0.992:
        unit.insert(_entry(source, program, page))
    elif what < 0.998:
        unit.purge(page)
    else:
        unit.set_keys_on(source.random() < 0.6)


def _entry(source: random.Random, program: Program, page: int) -> Entry:
    present, dirty, accessed = (source.random() < 0.93 for _ in range(3))
    rights, level, key = source.randrange(8), source.randrange(4), source.randrange(program.keys)
    return Entry(page, page, rights, level, key, present, dirty, accessed)
