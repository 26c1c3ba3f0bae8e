"""What a debugger remembers besides where its timeline stands: small, frozen, replaced by every command."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.vm.machine.state import Registers
from labkit.widgets.debugger.model import Answer

__all__ = ["SPEEDS", "Access", "State"]

SPEEDS = {
    1: "1 a second",
    2: "10 a second",
    3: "every event",
    4: "1 million a second",
    5: "as fast as it goes",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Bytes that the last step read or wrote."""

    linear: int
    size: int
    write: bool


@dataclass(frozen=True, slots=True)
class State:
    """The state of one debugger; addresses are linear."""

    speed: int = 3
    running: bool = False
    aim: str = ""
    """Where the run goes, in words that follow "running"; empty where it just goes on."""
    progress: str = ""
    """How far a search is, and how long it may take still; empty where it is no search, or is a short one."""
    before: Registers | None = None
    """Registers at the last stop; None at the first look."""
    before_clock: int = 0
    done: int | None = None
    """Where the instruction lies that was executed last; None where that is not known."""
    accesses: tuple[Access, ...] = ()
    listing: tuple[int, ...] = ()
    """Addresses of the rows of the listing that was shown last: it stays while the cursor moves within it."""
    memory: int | None = None
    """The address that the memory window was sent to; None: it follows what is accessed."""
    window: int = 0
    """First address of the memory window."""
    filter: str = ""
    """The kind of event that event steps stop at; empty: any."""
    screen: bool = False
    """The VGA screen in place of the serial console."""
    answer: Answer | None = None
    asked: int | str | None = None
    """Whose writer was asked for last: a linear address or a register."""
    other: str = ""
    """What is said of the other history that there is; empty where there is none."""
    message: str = ""
    message_kind: str = ""
    places: Mapping[str, int] = field(default_factory=dict)
    """Named points of the history."""
