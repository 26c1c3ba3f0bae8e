"""How a run ended, as one JSON object, as a closing line, and as an exit code."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.cli.errors import DONE, INTERRUPTED, OTHER_END, PIPE_CLOSED
from labkit.cli.request import Request

__all__ = ["Outcome"]

_OFF = {"halted", "idle", "reset"}
"""How a guest that was not told when to stop ends by itself."""
ENOUGH_FOR_A_PACE = 1_000_000
"""Instructions; fewer take a time that says nothing about speed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    request: Request
    engine: str
    reason: str
    """The monitor's stop reason, `interrupted` after Ctrl-C."""
    message: str
    instructions: int
    seconds: float
    """Wall time of the run itself, without the start of the program."""
    exits: Mapping[str, int]
    ram_sha256: str
    """Empty, as the next, where nobody asked."""
    registers_sha256: str
    console: bytes
    screen: list[str] | None
    text_seen: bool
    input_typed: bool
    reader_left: bool
    screen_seen: bool = False
    keys_typed: bool = True
    translator: Mapping[str, int] = field(default_factory=dict)
    """What a binary translator has counted; empty for another engine."""
    protection: Mapping[str, int | str] = field(default_factory=dict)
    """How privilege levels were kept apart, and what that has cost; empty for plain paging."""

    @property
    def mips(self) -> float:
        """Million guest instructions per second of wall time."""
        return self.instructions / self.seconds / 1e6 if self.seconds else 0.0

    @property
    def _awaited(self) -> bool:
        """Was there a text to wait for?"""
        return bool(self.request.until or self.request.until_screen)

    def document(self) -> dict[str, object]:
        """What `--json` prints."""
        shown: dict[str, object] = {
            "guest": self.request.name,
            "engine": self.engine,
            "clock": self.request.clock,
            "reason": self.reason,
            "message": self.message,
            "instructions": self.instructions,
            "seconds": round(self.seconds, 6),
            "exits": dict(sorted(self.exits.items())),
            "ram_sha256": self.ram_sha256,
            "registers_sha256": self.registers_sha256,
            "console": self.console.decode("utf-8", "replace"),
        }
        if self.translator:
            shown["translator"] = dict(sorted(self.translator.items()))
        if self.protection:
            shown["protection"] = dict(self.protection)
        if self.screen is not None:
            shown["screen"] = self.screen
        return shown

    def closing_line(self) -> str:
        """Why it ended, and what it cost."""
        exits = sum(self.exits.values())
        pace = f", {self.mips:,.0f} MIPS" if self.instructions >= ENOUGH_FOR_A_PACE else ""
        cost = (
            f"{self.instructions:,} instruction{'s'[: self.instructions != 1]} in {self.seconds:.2f} s{pace},"
            f" {exits:,} exit{'s'[: exits != 1]}"
        )
        line = cost if self.reason == "instructions" else f"{self.message or self.reason} ({cost})"
        counted = ", ".join(f"{count:,} {name}" for name, count in self.translator.items())
        if self.protection:
            kept = ("level_changes", "level_changes_seen", "refills", "key_register_writes", "purges")
            told = (f"{self.protection[name]:,} {name.replace('_', ' ')}" for name in kept if name in self.protection)
            counted = f"protection by {self.protection['way']}: {', '.join(told)}"
        return f"{line}\n{counted}" if counted else line

    def shortfall(self) -> str:
        """What was asked for and did not come to pass; empty if nothing."""
        if self.request.say and not self.input_typed:
            waited = self.request.after.decode("utf-8", "replace")
            return f"the text {waited!r} never appeared, so --input was not typed" if waited else ""
        if self.request.until and not self.text_seen:
            return f"the text {self.request.until.decode('utf-8', 'replace')!r} did not appear"
        if not self.keys_typed:
            return f"the screen never showed {self.request.keys_after!r}, so --keys was not typed"
        if self.request.until_screen and not self.screen_seen:
            return f"the screen did not show {self.request.until_screen!r}"
        if self.request.limit and not self._awaited and self.reason != "instructions":
            return f"the guest ended before {self.request.limit:,} instructions"
        return ""

    def exit_code(self) -> int:
        """0 if what was asked for came to pass."""
        if self.reader_left:
            return PIPE_CLOSED
        if self.reason == "interrupted":
            return INTERRUPTED
        if self.shortfall():
            return OTHER_END
        if self._awaited or self.request.limit or self.reason in _OFF:
            return DONE
        return OTHER_END
