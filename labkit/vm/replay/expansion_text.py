"""Expansion parameters as a person would write them: the `labkit trace` command, and the same in Python."""

import shlex
from collections.abc import Iterator
from dataclasses import fields

from labkit.vm.replay.expansion_parameters import EVERYTHING, WHAT, ExpansionParameters, Hits
from labkit.vm.replay.trace_parts import Recipe, RecordingRecipe

__all__ = ["as_command", "as_python"]

FORMATS = ("parquet", "text", "champsim")
RANGES = {
    "windows": "--window", "times": "--time", "events": "--events", "code": "--code",
    "code_physical": "--code-physical", "data": "--data",
}  # fmt: skip
PLACES = frozenset(("code", "code_physical", "data"))


def _range(name: str, pair: tuple[int, int]) -> str:
    if name == "times":
        return f"{pair[0]}ns:{pair[1]}ns"
    return f"{pair[0]:#x}:{pair[1]:#x}" if name in PLACES else f"{pair[0]}:{pair[1]}"


def _shortest(what: frozenset[str]) -> frozenset[str]:
    """Values mean memory references too."""
    return what - {"memory"} if "values" in what else what


def _options(p: ExpansionParameters) -> Iterator[str]:
    if (wanted := _shortest(p.what)) != _shortest(EVERYTHING.what):
        yield from ("--what", ",".join(word for word in WHAT if word in wanted))
    for name, option in RANGES.items():
        for pair in getattr(p, name):
            yield from (option, _range(name, pair))
    for hit in p.hits:
        yield from ("--hit", f"{hit.address:#x}#{hit.number}+{hit.count}")
    for option, place in (("--start-at", p.start_at), ("--stop-at", p.stop_at)):
        if place is not None:
            yield from (option, f"{place:#x}")
    for level in sorted(p.privilege):
        yield from ("--cpl", str(level))
    for space in sorted(p.spaces):
        yield from ("--space", f"{space:#x}")
    if p.every > 1:
        yield from ("--every", str(p.every))
    if p.period:
        yield from ("--period", f"{p.length}/{p.period}")


def as_command(
    recipe: Recipe, parameters: ExpansionParameters, out: str, form: str = "parquet", *, jobs: int = 1,
    scheduler: str = "",
) -> str:  # fmt: skip
    """The command line, ready to be pasted into a shell. Raises `ValueError` for a format that it has not."""
    if form not in FORMATS:
        raise ValueError(f"labkit trace writes {', '.join(FORMATS)}, not {form}")
    if isinstance(recipe, RecordingRecipe):
        words = ["labkit", "trace", recipe.path]
    else:
        words = ["labkit", "trace", recipe.guest, "--memory", str(recipe.memory)]
        if recipe.append:
            words += ["--append", recipe.append]
        if recipe.until:
            words += ["--until-text", recipe.until.decode("utf-8", "surrogateescape")]
    if form != "parquet":
        words += ["--format", form]
    shared = ["--jobs", str(jobs)] if jobs > 1 else []
    shared += ["--scheduler", scheduler] if scheduler else []
    return shlex.join([*words, *_options(parameters), *(shared if form == "parquet" else ()), "-o", out])


def _value(name: str, value: object) -> str:
    if name in RANGES and isinstance(value, tuple):
        pairs = (", ".join(f"{end:#x}" if name in PLACES else f"{end:_}" for end in pair) for pair in value)
        return "(" + "".join(f"({pair}), " for pair in pairs).rstrip(" ") + ")"
    if isinstance(value, tuple):
        hits = (f"Hits({hit.address:#x}, {hit.number}, {hit.count})" for hit in value if isinstance(hit, Hits))
        return "(" + "".join(f"{hit}, " for hit in hits).rstrip(" ") + ")"
    if isinstance(value, frozenset):
        order = [word for word in WHAT if word in value] if name == "what" else sorted(value)
        return "frozenset({" + ", ".join(f"{v:#x}" if name == "spaces" else repr(v) for v in order) + "})"
    return f"{value:#x}" if name in {"start_at", "stop_at"} else f"{value:_}"


def as_python(parameters: ExpansionParameters) -> str:
    """The expression that makes these parameters."""
    named = [
        f"{field.name}={_value(field.name, value)}"
        for field in fields(parameters)
        if (value := getattr(parameters, field.name)) != getattr(EVERYTHING, field.name)
    ]
    return f"ExpansionParameters({', '.join(named)})"
