"""What a debugger shows, as frozen data: the one thing that text, static picture and live widget draw.

Every field is ready to be shown; nothing here is computed from the machine any more. All lists are bounded.
"""

from dataclasses import dataclass

__all__ = [
    "Answer", "Code", "CodeRow", "Console", "EventRow", "Events", "Lane", "Memory", "MemoryRow", "Phase",
    "RegisterRow", "Registers", "Scrubber", "Stack", "StackRow", "StopRow", "Stops", "View",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One instruction of the listing. `mark` is "done", "next", "again" (done, and next again) or empty."""

    linear: int
    address: str
    bytes: str
    mnemonic: str
    operands: str
    mark: str = ""
    breakpoint: bool = False
    note: str = ""
    kind: str = ""
    """Whose colour the note has: monitor, fault, guest or none."""
    label: str = ""
    """Name of what begins here."""


@dataclass(frozen=True, slots=True)
class Code:
    """The listing around the next instruction; `where` is its name, `problem` says why there is none."""

    where: str
    rows: tuple[CodeRow, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """One register: `was` is its former value, empty where it has not changed."""

    name: str
    value: str
    was: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Registers:
    """General and system registers, the flags in words, and since when changes are marked."""

    since: str
    general: tuple[RegisterRow, ...]
    system: tuple[RegisterRow, ...]
    flags: tuple[tuple[str, str], ...]
    """Each flag's name and its sign: "+" set since, "-" cleared since, "" set before."""
    flags_note: str


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Sixteen bytes. `marks` has a letter for each: r it was read, w it was written, · neither."""

    linear: int
    address: str
    bytes: tuple[str, ...]
    """Two digits each, -- where no page is present."""
    marks: str
    text: str


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory window: what it follows, and the address that 'who wrote' asks about."""

    where: str
    rows: tuple[MemoryRow, ...]
    selected: int


@dataclass(frozen=True, slots=True)
class StackRow:
    """One word of the stack; `pointer` is "esp", "ebp" or empty."""

    pointer: str
    address: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stack:
    """The words from ESP on; `problem` says why there are none."""

    rows: tuple[StackRow, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event around the cursor; `mark` is "here", "ahead" or empty."""

    clock: int
    point: str
    kind: str
    colour: str
    what: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Events:
    """The events around the cursor, how many there are, the kind that is looked for, and all kinds."""

    total: str
    rows: tuple[EventRow, ...]
    filter: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Console:
    """The serial console's last lines at the cursor, or the VGA screen."""

    name: str
    lines: tuple[str, ...]
    hint: str
    """What typing does here."""


@dataclass(frozen=True, slots=True)
class Lane:
    """Marks of one sort of event: positions out of `Scrubber.width`, each once, ascending."""

    name: str
    colour: str
    count: int
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Phase:
    """A named part of the history: where it begins, and that as a share of the whole."""

    name: str
    clock: int
    at: float
    here: bool


@dataclass(frozen=True, slots=True)
class Scrubber:
    """The whole history on one line; `at` is the cursor's share of it."""

    start: int
    end: int
    at: float
    width: int
    lanes: tuple[Lane, ...]
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to 'who wrote this': words, and the point to go to (None where there is none)."""

    text: str
    clock: int | None = None
    point: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class StopRow:
    """One thing that runs stop at: `key` names it to the session, `kind` is "break", "watch" or "event"."""

    key: str
    kind: str
    words: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Stops:
    """What runs stop at, and in words how many more there are than shown."""

    rows: tuple[StopRow, ...]
    more: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The debugger at one point of a timeline."""

    title: str
    subtitle: str
    status: str
    clock: int
    point: str
    running: bool
    speed: int
    code: Code
    registers: Registers
    memory: Memory
    stack: Stack
    events: Events
    console: Console
    scrubber: Scrubber
    stops: Stops
    other: str = ""
    """What is to be said of the other history, where a fork has made one; empty where there is none."""
    answer: Answer | None = None
    message: str = ""
    message_kind: str = ""
    """ "error" where something could not be done, "note" otherwise."""
