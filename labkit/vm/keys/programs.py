"""Random guest programs for a protection unit: what two implementations of it are compared on.

A program is a seeded stream of what a guest does: mostly accesses, mostly near each other; between them probes,
changes of level by every way, of key registers and of translations. All access rights, levels and bits occur, and
keys of which the guest holds only some. What is right says a `Reference`, driven beside the unit. There is no processor
in it; guest code on one is in scripts.py.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from labkit.vm.keys.reference import Reference
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


Answer = Fault | bool | int | str
"""A verdict, PROBE's yes or no, the level after PROMOTE or DEMOTE, or the words of the error that came instead."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An answer on which the two do not agree: to an access, to PROBE with an access, or to a change of level."""

    number: int
    operation: str
    page: int
    access: Access | None
    level: int
    expected: Answer
    found: Answer

    @property
    def permits_too_much(self) -> bool:
        """Is it of the dangerous kind: an access made, a yes, or a privilege that the architecture does not give?"""
        if isinstance(self.found, str):
            return False
        if self.operation == "access":
            return self.found is Fault.NONE
        return self.found is True if self.operation == "probe" else self.found < self.expected  # type: ignore[operator]

    def __str__(self) -> str:
        what = f"{self.operation} {self.access or ''}".strip()
        return (
            f"access {self.number}, {what} of page {self.page} at level {self.level}: "
            f"{self.expected} by the architecture, {self.found} here"
        )


@dataclass(slots=True)
class Outcome:
    """What came of a run: how many accesses, which verdicts, by which keys of the guest, where the two differ.

    `operations` counts what was done besides, by name.
    """

    accesses: int = 0
    faults: Counter[Fault] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)
    keys: set[int] = field(default_factory=set)
    """Those that a check has met in one of the guest's registers."""
    operations: Counter[str] = field(default_factory=Counter)


def run(unit: VirtualUnit, program: Program) -> Outcome:
    """Run a program on a unit, fresh, and hold each answer against that of a `Reference`.

    An error of the unit's (a fault that it cannot mend) is a mismatch, too.
    """
    source = random.Random(program.seed)  # noqa: S311  (a test's randomness, not a secret's)
    both = _Both(unit, Reference(len(unit.keys)), Outcome())
    outcome = both.outcome
    for page in range(program.pages):
        both.change("insert", _entry(source, program, page))
    if program.loaded:
        for key in range(min(program.keys, len(unit.keys))):
            both.change("set_register", key, KeyRegister(key))
    near = 0
    while outcome.accesses < program.accesses:
        what = source.random()
        if what < 0.89:
            near = (near + source.choice((0, 0, 0, 1, 1, 2, source.randrange(program.pages)))) % program.pages
            both.access(near, source.choice(KINDS))
        elif what < 0.91:
            both.probe(source.randrange(program.pages), source.choice(KINDS), source.randrange(4))
        elif what < 0.95:
            _level(both, source, program)
        else:
            _change(both, source, program, what)
    return outcome


@dataclass(slots=True)
class _Both:
    """A unit and the reference, doing the same."""

    unit: VirtualUnit
    reference: Reference
    outcome: Outcome

    def access(self, page: int, access: Access) -> None:
        expected, outcome = self.reference.access(page, access), self.outcome
        if (register := self.reference.own_key(page)) is not None and expected is not Fault.NOT_PRESENT:
            outcome.keys.add(register.key)
        outcome.accesses += 1
        outcome.faults[expected] += 1
        self._compare("access", page, access, expected, lambda: self.unit.access(page, access))

    def probe(self, page: int, access: Access, level: int) -> None:
        expected = self.reference.probe(page, access, level)
        self._compare("probe", page, access, expected, lambda: self.unit.probe(page, access, level))

    def promote(self, page: int) -> None:
        def promoted() -> int:
            self.unit.promote(page)
            return self.unit.level

        self._compare("promote", page, None, self.reference.promote(page), promoted)

    def demote(self, level: int) -> None:
        def demoted() -> int:
            with suppress(ValueError):  # refused, the level stays
                self.unit.demote(level)
            return self.unit.level

        self._compare("demote", 0, None, self.reference.demote(level), demoted)

    def change(self, name: str, *values: object) -> None:
        """An operation without an answer."""
        getattr(self.reference, name)(*values)
        self._compare(name, 0, None, 0, lambda: getattr(self.unit, name)(*values) or 0)

    def _compare(
        self, operation: str, page: int, access: Access | None, expected: Answer, ask: Callable[[], Answer]
    ) -> None:
        outcome, level = self.outcome, self.reference.level
        outcome.operations[operation] += 1
        try:
            found = ask()
        except (RuntimeError, LookupError) as error:
            found = f"{type(error).__name__}: {error}"
        if found != expected or type(found) is not type(expected):
            outcome.mismatches.append(
                Mismatch(outcome.accesses, operation, page, access, level, expected, found)
            )


def _level(both: _Both, source: random.Random, program: Program) -> None:
    what = source.random()
    if what < 0.5:
        both.change("set_level", source.randrange(4))
    elif what < 0.8:
        both.promote(source.randrange(program.pages))
    else:
        both.demote(source.randrange(4))


def _change(both: _Both, source: random.Random, program: Program, what: float) -> None:
    page = source.randrange(program.pages)
    if what < 0.98:
        register = KeyRegister(source.randrange(program.keys), source.choice((0, 0, 0, 1, 2, 4, 6)))
        place = source.randrange(len(both.reference.registers))
        both.change("set_register", place, EMPTY if source.random() < 0.1 else register)
    elif what < 0.992:
        both.change("insert", _entry(source, program, page))
    elif what < 0.998:
        both.change("purge", page)
    else:
        both.change("set_keys_on", source.random() < 0.6)


def _entry(source: random.Random, program: Program, page: int) -> Entry:
    present, dirty, accessed = (source.random() < 0.93 for _ in range(3))
    rights, level, key = source.randrange(8), source.randrange(4), source.randrange(program.keys)
    return Entry(page, page, rights, level, key, present, dirty, accessed)
