"""The form of the expansion designer: fields as they are typed, and what parameters they make."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from labkit.vm.replay.errors import TimelineError
from labkit.vm.replay.expansion_parameters import (
    EVERYTHING,
    WHAT,
    ExpansionParameters,
    TraceError,
    parse_hits,
    parse_range,
    parse_time,
)
from labkit.widgets.replay.command import CommandError

__all__ = ["FORMS", "Form"]

FORMS = ("parquet", "text", "champsim", "caches")
RINGS = ("all", "0", "3")
LARGEST, TOP = 1 << 59, 1 << 32
MOST_JOBS = 999
Address = Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be chosen: a text, one of several options, or some of them."""

    name: str
    label: str
    hint: str = ""
    options: tuple[str, ...] = ()
    several: bool = False


GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    ("where", (
        Field("start", "from", "instruction"), Field("end", "to", "instruction"),
        Field("time", "guest time", "20ms:1.5s"),
        Field("hit", "at a hit of", "ADDRESS#N+COUNT"), Field("events", "events", "A:B"),
        Field("start_at", "from each", "ADDRESS"), Field("stop_at", "to the next", "ADDRESS"),
    )),
    ("what", (Field("what", "", options=WHAT, several=True),)),
    ("whom", (
        Field("ring", "ring", options=RINGS), Field("code", "code", "A:B"),
        Field("code_physical", "physical code", "A:B"), Field("data", "physical data", "A:B"),
        Field("space", "address space", "CR3"),
    )),
    ("how dense", (Field("every", "one in", "1"), Field("period", "the first", "N/M"))),
    ("into", (Field("form", "", options=FORMS), Field("out", "file", "run.parquet"),
              Field("jobs", "workers", "1"), Field("scheduler", "Dask scheduler", "ADDRESS"))),
)  # fmt: skip
FIELDS = {field.name: field for _group, fields in GROUPS for field in fields}
SUFFIX = {"parquet": ".parquet", "text": ".txt", "champsim": ".champsim", "caches": ""}


class Form:
    """What has been typed, and what is wrong with it; `address` finds a symbol of the guest."""

    def __init__(self, address: Address = lambda _name: None) -> None:
        self._address = address
        self.values: dict[str, str] = dict.fromkeys(FIELDS, "")
        self.values |= {"ring": "all", "form": "parquet" if find_spec("pyarrow") else "text", "out": "run.parquet"}
        self.what = set(EVERYTHING.what)
        self.errors: dict[str, str] = {}
        self.parameters = EVERYTHING
        self.jobs = 1
        """Workers that share a Parquet trace."""
        self.check()

    @property
    def form(self) -> str:
        """What the expansion goes into."""
        return self.values["form"]

    @property
    def out(self) -> str:
        """The file's name."""
        return self.values["out"]

    @property
    def scheduler(self) -> str:
        """Address of a Dask scheduler; empty for a cluster here."""
        return self.values["scheduler"]

    def set(self, name: str, value: str) -> None:
        """Type into a field, choose an option, or turn one of several on or off. Raises CommandError."""
        field = FIELDS.get(name)
        if field is None:
            raise CommandError(f"there is no field {name!r}; there are {', '.join(FIELDS)}")
        if field.options and value not in field.options:
            raise CommandError(f"{name}: {value!r} is none of {', '.join(field.options)}")
        if field.several:
            self.what ^= {value}
        else:
            self.values[name] = value.strip()
        if name == "form" and self.out.startswith("run."):
            self.values["out"] = f"run{SUFFIX[value]}"
        self.check()

    def show(self, parameters: ExpansionParameters) -> None:
        """Fill the fields with parameters; of several places of a kind only the first has room."""

        def pair(pairs: tuple[tuple[int, int], ...]) -> str:
            return f"{pairs[0][0]:#x}:{pairs[0][1]:#x}" if pairs else ""

        first, last = parameters.windows[0] if parameters.windows else ("", "")
        hit = parameters.hits[0] if parameters.hits else None
        self.what = set(parameters.what)
        self.values |= {
            "start": str(first), "end": str(last), "code": pair(parameters.code), "data": pair(parameters.data),
            "time": f"{parameters.times[0][0]}ns:{parameters.times[0][1]}ns" if parameters.times else "",
            "code_physical": pair(parameters.code_physical),
            "events": ":".join(map(str, parameters.events[0])) if parameters.events else "",
            "hit": f"{hit.address:#x}#{hit.number}+{hit.count}" if hit else "",
            "start_at": "" if parameters.start_at is None else f"{parameters.start_at:#x}",
            "stop_at": "" if parameters.stop_at is None else f"{parameters.stop_at:#x}",
            "ring": str(min(parameters.privilege)) if len(parameters.privilege) == 1 else "all",
            "space": f"{min(parameters.spaces):#x}" if parameters.spaces else "",
            "every": str(parameters.every) if parameters.every > 1 else "",
            "period": f"{parameters.length}/{parameters.period}" if parameters.period else "",
        }  # fmt: skip
        self.check()

    # --- reading the fields

    def check(self) -> None:
        """Read all fields; the parameters stay as they were where one of them is wrong."""
        self.errors = {}
        read = self._read
        start, end = read("start", _number), read("end", _number)
        window = read("end", lambda _text: _pair(start or 0, end)) if end is not None else None
        if start is not None and end is None and "end" not in self.errors:
            window = (start, LARGEST)
        self.jobs = read("jobs", _jobs) or 1
        if self.form != "parquet" and (self.jobs > 1 or self.values["scheduler"]):
            self.errors["jobs"] = "only Parquet is made by several workers"
        length, period = read("period", _period) or (0, 0)
        if not self.what:
            self.errors["what"] = "choose at least one"
        if self.form != "caches" and not self.out:
            self.errors["out"] = "give the file a name"
        if self.form == "caches" and not self.what & {"memory", "values"}:
            self.errors["form"] = "a cache simulator needs memory references"
        try:
            made = ExpansionParameters(
                windows=(window,) if window else (), times=_one(read("time", parse_time)),
                events=_one(read("events", _range(LARGEST))),
                hits=_one(read("hit", self._hit)), start_at=read("start_at", self._place),
                stop_at=read("stop_at", self._place), what=frozenset(self.what),
                privilege=frozenset() if self.values["ring"] == "all" else frozenset({int(self.values["ring"])}),
                code=_one(read("code", _range(TOP))), data=_one(read("data", _range(TOP))),
                code_physical=_one(read("code_physical", _range(TOP))),
                spaces=frozenset(_one(read("space", self._place))), every=read("every", _number) or 1,
                period=period, length=length,
            )  # fmt: skip
        except TimelineError as error:
            self.errors[_guilty(str(error))] = str(error)
            return
        if not self.errors:
            self.parameters = made

    def _read(self, name: str, parse: Callable[[str], Any]) -> Any:
        """A field's value; None where it is empty or wrong."""
        text = self.values[name]
        if not text:
            return None
        try:
            return parse(text)
        except (TimelineError, ValueError, OverflowError) as error:
            self.errors.setdefault(name, str(error))
            return None

    def _place(self, text: str) -> int:
        found = self._address(text)
        return _hexadecimal(text) if found is None else found

    def _hit(self, text: str) -> Any:
        name, sign, rest = text.partition("#")
        if not sign:
            name, sign, rest = text.partition("+")
        found = parse_hits(f"{self._place(name):#x}{sign}{rest}")
        _within(max(found.number, found.count), LARGEST)
        return found

    def groups(self) -> list[Mapping[str, Any]]:
        """Plain data for the front-end."""
        return [
            {"name": group, "fields": [self._field(field) for field in fields]} for group, fields in GROUPS
        ]  # fmt: skip

    def _field(self, field: Field) -> Mapping[str, Any]:
        on = sorted(self.what) if field.several else [self.values[field.name]]
        return {
            "name": field.name, "label": field.label, "hint": field.hint, "options": list(field.options),
            "several": field.several, "on": on, "value": self.values[field.name],
            "error": self.errors.get(field.name, ""),
        }  # fmt: skip


def _one(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,)


def _number(text: str) -> int:
    return _within(parse_hits(text.replace(" ", "").replace("\u00a0", "")).address, LARGEST)


def _within(number: int, limit: int) -> int:
    if number > limit:
        raise TraceError(f"that is more than there can be: {limit:#x}")
    return number


def _range(limit: int) -> Callable[[str], tuple[int, int]]:
    def parse(text: str) -> tuple[int, int]:
        start, end = parse_range(text)
        return start, _within(end, limit)

    return parse


def _hexadecimal(text: str) -> int:
    """An address: hexadecimal with or without 0x, as everywhere in the lab."""
    try:
        return _within(int(text.replace(" ", ""), 16), TOP - 1)
    except (ValueError, TraceError):
        raise TraceError(f"{text[:40]!r} is neither an address nor a symbol of this guest") from None


def _jobs(text: str) -> int:
    if not 1 <= (count := _number(text)) <= MOST_JOBS:
        raise TraceError(f"workers: 1 to {MOST_JOBS}")
    return count


def _pair(start: int, end: int) -> tuple[int, int]:
    if not start < end:
        raise TraceError(f"{start}..{end} is empty; give a start and a later end")
    return start, end


def _period(text: str) -> tuple[int, int]:
    length, sign, period = text.partition("/")
    if not sign:
        raise TraceError("write N/M: the first N instructions of every M")
    return _number(length), _number(period)


def _guilty(message: str) -> str:
    """The field that a message is about: it begins with the parameter's name."""
    named = ("period", "stop_at", "every", "events", "code_physical", "code", "data", "hit", "time")
    return next((name for name in named if message.startswith(name)), "start")
