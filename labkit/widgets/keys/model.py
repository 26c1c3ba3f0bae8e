"""What the view of shadow keys shows, as frozen data: the one thing that text and live widget draw.

Every field is ready to be shown; nothing here is computed from the unit any more. All lists are bounded.
"""

from dataclasses import dataclass

__all__ = ["Bit", "Counter", "Gate", "Register", "RightsRow", "Row", "View"]


@dataclass(frozen=True, slots=True)
class Bit:
    """A bit or field: how it reads, the rule that set it, and a mark.

    Marks: "+" permits too much at this level, "≠" changed by the last step, "" neither.
    """

    name: str
    text: str
    rule: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A page: the guest's entry, and the hardware's; `shadow` is empty while none has been filled."""

    page: int
    name: str
    address: str
    virtual: tuple[Bit, ...]
    shadow: tuple[Bit, ...]
    selected: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class Register:
    """A hardware key register: its shadow key, three bits of what it allows, what it stands for; or free."""

    number: int
    bits: tuple[Bit, ...]
    what: str
    selected: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class RightsRow:
    """One kind of access rights on a page of the selected page's level: by guest level, and the union."""

    name: str
    cells: tuple[str, ...]
    union: str
    selected: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """One check of the hardware's; `state` is "passes", "stops" or "not reached"."""

    name: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class Counter:
    """Something counted: so far, and by the last step."""

    name: str
    value: int
    step: int


@dataclass(frozen=True, slots=True)
class View:
    """The unit after a step. `path` numbers the attempts at accesses, so that each is animated once."""

    status: str
    level: int
    access: str
    keys_on: bool
    rows: tuple[Row, ...]
    more: str
    guest_keys: tuple[Bit, ...]
    registers: tuple[Register, ...]
    changes: str
    rights_title: str
    rights: tuple[RightsRow, ...]
    gates: tuple[Gate, ...]
    path: int
    outcome: str
    outcome_kind: str
    """ "passes", "hidden", "fault" or "" before an attempt."""
    counters: tuple[Counter, ...]
    step: int
    steps: int
    message: str = ""
