"""The protection modes: who keeps the guest out of the monitor's memory, and what must be done on every change.

    mode                level   data segments   monitor's pages   protected by
    MONITOR               0     the monitor's   in reach          -
    TRANSLATED            1     truncated       in reach          segments: levels 0 to 2 are one to paging
    DIRECT_TRUNCATED      3     truncated       supervisor        both
    DIRECT_DETRUNCATED    3     whole           supervisor        paging alone

A segment register keeps the hidden part it was loaded with, so a change of tables protects nothing until every
data segment register has been loaded again. The state is immutable; `to` is the only way from one to the next.
Each safeguard can be left out, and `leaks` tells what is then in reach.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["DATA_REGISTERS", "Leak", "Mode", "Protection", "ProtectionError", "Safeguard"]

DATA_REGISTERS = ("ds", "es", "fs", "gs", "ss")


class Mode(StrEnum):
    """Who runs, and on which segments."""

    MONITOR = "monitor"
    TRANSLATED = "translated execution"
    DIRECT_TRUNCATED = "direct execution, truncated"
    DIRECT_DETRUNCATED = "direct execution, detruncated"


class Safeguard(StrEnum):
    """What a change of mode must see to."""

    RELOAD = "load every data segment register again"
    SUPERVISOR = "the monitor's pages are the supervisor's"
    RAISE_DPL = "guest level 0 becomes level 1"
    RESERVE_GS = "gs holds the monitor's words in translated code: a guest's gs: is translated to fs:"


class Hidden(StrEnum):
    """What a segment register's hidden part reaches."""

    MONITOR = "the monitor's"
    TRUNCATED = "truncated"
    WHOLE = "whole"


class ProtectionError(Exception):
    """A change of mode that the rules forbid."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A way for the guest into the monitor's memory."""

    through: str
    because: str

    def __str__(self) -> str:
        return f"through {self.through}: {self.because}"


LEVELS = {Mode.MONITOR: 0, Mode.TRANSLATED: 1, Mode.DIRECT_TRUNCATED: 3, Mode.DIRECT_DETRUNCATED: 3}
WANTED = {
    Mode.MONITOR: Hidden.MONITOR, Mode.TRANSLATED: Hidden.TRUNCATED, Mode.DIRECT_TRUNCATED: Hidden.TRUNCATED,
    Mode.DIRECT_DETRUNCATED: Hidden.WHOLE,
}  # fmt: skip
NEXT = {
    Mode.MONITOR: frozenset((Mode.TRANSLATED, Mode.DIRECT_TRUNCATED, Mode.DIRECT_DETRUNCATED)),
    Mode.TRANSLATED: frozenset((Mode.MONITOR,)),
    Mode.DIRECT_TRUNCATED: frozenset((Mode.MONITOR, Mode.DIRECT_DETRUNCATED)),
    Mode.DIRECT_DETRUNCATED: frozenset((Mode.MONITOR,)),
}


@dataclass(frozen=True, slots=True)
class Protection:
    """The state: mode, what each data segment register holds, whose the monitor's pages are, and the reloads so far."""

    mode: Mode = Mode.MONITOR
    hidden: tuple[Hidden, ...] = (Hidden.MONITOR,) * len(DATA_REGISTERS)
    supervisor: bool = True
    left_out: frozenset[Safeguard] = frozenset()
    reloads: int = 0

    @property
    def level(self) -> int:
        """The privilege level that code runs at."""
        if self.mode is Mode.TRANSLATED and Safeguard.RAISE_DPL in self.left_out:
            return 0
        return LEVELS[self.mode]

    def without(self, *safeguards: Safeguard) -> "Protection":
        """The same with safeguards left out from now on."""
        left = self.left_out | frozenset(safeguards)
        return replace(self, left_out=left, supervisor=self.supervisor and Safeguard.SUPERVISOR not in left)

    def to(self, mode: Mode, *, reversible: bool = True) -> "Protection":
        """Change the mode, with the safeguards that are in force.

        `reversible`: every segment could be loaded again from the shadow table. Raises `ProtectionError` for a change
        that does not exist or is forbidden: from guest to guest only the monitor leads, and direct execution wants
        reversible segments and, without truncation, supervisor pages.
        """
        if mode not in NEXT[self.mode]:
            raise ProtectionError(f"there is no way from {self.mode} to {mode}: go through the monitor")
        direct = LEVELS[mode] == 3
        if direct and not reversible:
            raise ProtectionError("a segment is nonreversible: translate until it is loaded again")
        guarded = Safeguard.SUPERVISOR not in self.left_out
        if mode is Mode.DIRECT_DETRUNCATED and guarded and not self.supervisor:
            raise ProtectionError("the monitor's pages must be the supervisor's before segments are whole")
        if Safeguard.RELOAD in self.left_out and self.mode is not Mode.MONITOR:
            return replace(self, mode=mode)
        if Safeguard.RELOAD in self.left_out and mode is Mode.TRANSLATED:
            return replace(self, mode=mode)
        loaded = [WANTED[mode]] * len(DATA_REGISTERS)
        if mode is Mode.TRANSLATED:
            loaded[DATA_REGISTERS.index("gs")] = Hidden.MONITOR  # for the monitor's own words in translated code
        return replace(self, mode=mode, hidden=tuple(loaded), reloads=self.reloads + len(DATA_REGISTERS))

    def detruncate(self, register: str) -> "Protection":
        """Lazily make one register whole in direct execution; its use has faulted. Raises `ProtectionError`."""
        if self.mode is not Mode.DIRECT_TRUNCATED and self.mode is not Mode.DIRECT_DETRUNCATED:
            raise ProtectionError(f"a segment is made whole in direct execution only, not in {self.mode}")
        hidden = list(self.hidden)
        hidden[DATA_REGISTERS.index(register)] = Hidden.WHOLE
        return replace(self, mode=Mode.DIRECT_DETRUNCATED, hidden=tuple(hidden), reloads=self.reloads + 1)

    def leaks(self) -> tuple[Leak, ...]:
        """Every way in that the guest's code has in this state; none while all safeguards are in force."""
        if self.mode is Mode.MONITOR:
            return ()
        found = []
        paging = self.level == 3 and self.supervisor
        for register, hidden in zip(DATA_REGISTERS, self.hidden, strict=True):
            if hidden is Hidden.TRUNCATED or paging:
                continue
            if register == "gs" and self.mode is Mode.TRANSLATED and hidden is Hidden.MONITOR:
                if Safeguard.RESERVE_GS in self.left_out:
                    found.append(Leak("gs", "the guest's own gs: instructions run with the monitor's segment"))
                continue
            found.append(Leak(register, f"its hidden part is {hidden}, and paging does not stop level {self.level}"))
        if self.mode is Mode.TRANSLATED and Safeguard.RAISE_DPL in self.left_out:
            found.append(Leak("privileged instructions", "translated code at level 0 may run LGDT"))
        return tuple(found)

    def __str__(self) -> str:
        held = ", ".join(f"{r} {h}" for r, h in zip(DATA_REGISTERS, self.hidden, strict=True))
        pages = "supervisor" if self.supervisor else "user"
        text = f"{self.mode} at level {self.level}: {held}; the monitor's pages: {pages}"
        return "\n  leak ".join((text, *map(str, self.leaks())))
