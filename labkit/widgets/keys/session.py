"""What one can do with the view of shadow keys: commands in, views out. No widget, no browser, no clock.

An access is made in attempts, as the hardware makes it: a miss is filled, a missing key register is loaded, and
each time the access is tried again. `step` makes one attempt; `access` all that it takes. A change of level is a
step too. Each step can be taken back: the unit is brought back to what it held.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from labkit.vm.keys import KeyVirtualizer
from labkit.vm.keys.today import PkuVirtualizer
from labkit.vm.keys.unit import VirtualState, VirtualUnit
from labkit.vm.machine.access_rights import LEVELS, Access
from labkit.vm.machine.tlb import Fault, Verdict

__all__ = ["KeysSession", "Moment"]

MOST_STEPS = 500
MOST_TRIES = 8


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the session stands: the unit's contents, what is chosen, the last attempt and what came of it."""

    unit: VirtualState
    page: int
    access: Access
    what: str = "nothing has been done yet"
    verdict: Verdict | None = None
    """What the hardware said to the last attempt; None where the last step was none, or another was chosen."""
    seen: Fault | None = None
    """What the guest sees of it; None: nothing yet, the access is tried again."""
    path: int = 0


class KeysSession:
    """A unit of its own, in the state of the given one, which is left alone.

    `names` gives pages names. Raises `ValueError` for a unit without translations, `TypeError` for another kind.
    """

    def __init__(
        self, unit: VirtualUnit, names: Mapping[int, str] | None = None, page: int | None = None,
        access: Access = Access.WRITE,
    ) -> None:  # fmt: skip
        if not isinstance(unit, KeyVirtualizer) or isinstance(unit, PkuVirtualizer):
            raise TypeError(f"{unit!r} does not have Itanium's shadow keys: give a KeyVirtualizer")
        if not unit.translations:
            raise ValueError("the unit has no translations yet: insert one first")
        hardware = unit.hardware
        self.unit = type(unit)(len(hardware.registers), hardware.tlb.size, len(unit.keys), unit.shadow_keys)
        self.unit.load(unit.save())
        self.names = dict(names or {})
        first = min(unit.translations) if page is None else page
        if first not in unit.translations:
            raise ValueError(f"page {first:x} has no translation; there are {', '.join(f'{p:x}' for p in self.pages)}")
        self.moments = [Moment(self.unit.save(), first, access)]
        self.at = 0
        self.message = ""
        self._commands: dict[str, Callable[[Any], None]] = {
            "level": self._level, "choose": self._choose, "kind": self._kind, "move": self._move,
            "step": lambda _: self.step(), "access": lambda _: self.access(), "keys": lambda _: self.keys(),
            "back": lambda _: self.back(), "start": lambda _: self.start(), "look": lambda _: None,
        }  # fmt: skip

    @property
    def pages(self) -> list[int]:
        """All pages with a translation, in order."""
        return sorted(self.unit.translations)

    @property
    def now(self) -> Moment:
        """Where we stand."""
        return self.moments[self.at]

    @property
    def before(self) -> Moment:
        """The moment before: changes are marked against it."""
        return self.moments[max(self.at - 1, 0)]

    def do(self, content: Any) -> None:
        """Carry out one command, whatever it is; what is wrong with it becomes the message."""
        self.message = ""
        name = content.get("do") if isinstance(content, dict) else None
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            self.message = f"there is no command {name!r}"
            return
        try:
            command(content.get("to"))
        except (ValueError, TypeError, RuntimeError) as error:
            self.message = str(error)

    # --- choosing: no step

    def _chosen(self, **what: Any) -> None:
        self.moments[self.at] = replace(self.now, verdict=None, seen=None, **what)

    def _choose(self, page: Any) -> None:
        if page not in self.unit.translations:
            raise ValueError(f"page {page!r} has no translation")
        self._chosen(page=page)

    def _move(self, by: Any) -> None:
        pages = self.pages
        place = pages.index(self.now.page) + (1 if by == 1 else -1)
        self._chosen(page=pages[max(0, min(place, len(pages) - 1))])

    def _kind(self, name: Any) -> None:
        self._chosen(access=Access(name))

    # --- steps

    def _took(self, what: str, verdict: Verdict | None = None, seen: Fault | None = None) -> None:
        """A step has been taken: what was ahead is forgotten."""
        now = self.now
        path = now.path + (verdict is not None)
        del self.moments[self.at + 1 :]
        if len(self.moments) >= MOST_STEPS:
            del self.moments[0]
        self.moments.append(Moment(self.unit.save(), now.page, now.access, what, verdict, seen, path))
        self.at = len(self.moments) - 1

    def _level(self, level: Any) -> None:
        if level not in LEVELS:
            raise ValueError(f"level {level!r}: there are 0, 1, 2 and 3")
        old = self.unit.level
        if level == old:
            return
        self.unit.set_level(level)
        self._took(f"the guest's level went {old} → {level}")

    def level(self, level: int) -> None:
        """A change of the guest's privilege level. Raises `ValueError` for one that does not exist."""
        self._level(level)

    def choose(self, page: int, access: Access | None = None) -> None:
        """What the next step tries. Raises `ValueError` for a page without translation."""
        self._choose(page)
        if access is not None:
            self._kind(access)

    def keys(self) -> None:
        """Switch the hardware's check of keys off, to see what the shadow rights permit by themselves; or on."""
        self.unit.hardware.keys_on = not self.unit.hardware.keys_on
        on = self.unit.hardware.keys_on
        self._took(f"the hardware {'checks keys again' if on else 'does not check keys: what the rights alone permit'}")

    def step(self) -> None:
        """One attempt of the hardware at the chosen access, and what the monitor makes of its fault."""
        now, unit = self.now, self.unit
        what = f"{now.access} at level {unit.level}"
        if now.verdict is None or now.seen is not None:
            unit.counts.accesses += 1
        verdict = unit.hardware.check(now.page, now.access)
        if verdict.passed:
            self._took(f"{what} is made", verdict, Fault.NONE)
            return
        seen = unit.settle(now.page, now.access, verdict)
        if seen is Fault.NONE:
            mended = "fills the TLB entry" if verdict.fault is Fault.MISS else "loads a key register"
            self._took(f"{what}: {verdict.fault}, hidden; the monitor {mended}", verdict)
        else:
            self._took(f"{what}: {verdict.fault}; the guest sees {seen}", verdict, seen)

    def access(self) -> None:
        """Attempts until the access is made or the guest sees a fault."""
        for _ in range(MOST_TRIES):
            self.step()
            if self.now.seen is not None:
                return
        raise RuntimeError("the same fault again and again: a bug in the unit")

    # --- going back

    def _goto(self, at: int) -> None:
        self.at = at
        self.unit.load(self.now.unit)

    def back(self) -> None:
        """Take the last step back. Raises `ValueError` before the first."""
        if self.at == 0:
            raise ValueError("this is the start: there is no step back")
        self._goto(self.at - 1)

    def start(self) -> None:
        """Back to the start; what was done stays ahead until another step is taken."""
        self._goto(0)
