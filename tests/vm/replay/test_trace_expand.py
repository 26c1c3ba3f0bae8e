"""Every expansion is the exact projection of the full trace."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.vm.replay.expansion_parameters import (
    EVERYTHING,
    ExpansionParameters,
    Hits,
    TraceError,
    parse_hits,
    parse_range,
)
from labkit.vm.replay.trace_batch import KIND_BRANCH
from labkit.vm.replay.trace_expand import expand
from labkit.vm.replay.trace_parts import GuestRecipe
from labkit.vm.replay.trace_run import full_trace
from labkit.vm.replay.trace_spans import Window, merged

COUNT = 120_000
RECIPE = GuestRecipe("teaching", 8 << 20)
INSTRUCTION = ("point", "linear", "physical", "size", "kind", "cpl", "space")
REFERENCE = ("address", "meta", "value")


class Whole:
    """The full trace of the guest's first instructions, one array per column."""

    point: np.ndarray
    linear: np.ndarray
    kind: np.ndarray
    cpl: np.ndarray
    address: np.ndarray

    def __init__(self) -> None:
        self.source = RECIPE.source()
        self.source.end = COUNT  # type: ignore[attr-defined]
        batches = list(full_trace(self.source, [Window(0, COUNT)]))
        for column in (*INSTRUCTION, *REFERENCE):
            setattr(self, column, np.concatenate([getattr(batch, column) for batch in batches]))
        offsets = np.cumsum([0, *map(len, batches)])
        self.owner = np.concatenate([b.owner + o for b, o in zip(batches, offsets[:-1], strict=True)])
        self.rows = [row for batch in batches for row in batch.rows]


@pytest.fixture(scope="module")
def full() -> Whole:
    return Whole()


def shown(source, parameters: ExpansionParameters) -> dict[str, Any]:
    batches = list(expand(source, parameters))
    found: dict[str, Any] = {}
    for column in (*INSTRUCTION, *REFERENCE):
        parts = [getattr(batch, column) for batch in batches if getattr(batch, column) is not None]
        found[column] = np.concatenate(parts) if parts else np.zeros(0, np.uint64)
    found["rows"] = [row for batch in batches for row in batch.rows]
    return found


ranges = st.tuples(st.integers(0, COUNT - 2), st.integers(1, 20_000)).map(lambda p: (p[0], p[0] + p[1]))
code = st.tuples(st.integers(0x100000, 0x110000), st.integers(1, 0x8000)).map(lambda p: (p[0], p[0] + p[1]))
parameter_sets = st.builds(
    dict,
    windows=st.lists(ranges, max_size=3).map(tuple),
    privilege=st.sampled_from([frozenset(), frozenset({0}), frozenset({3}), frozenset({0, 3})]),
    code=st.lists(code, max_size=2).map(tuple),
    data=st.lists(code, max_size=1).map(tuple),
    every=st.sampled_from([1, 1, 3, 64]),
    dense=st.sampled_from([(0, 0), (100, 7), (1 << 12, 1 << 11)]),
    branches=st.booleans(),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(parameter_sets)
def test_every_expansion_is_the_projection_of_the_full_trace(full: Whole, wanted: dict):
    branches, (period, length) = wanted.pop("branches"), wanted.pop("dense")
    what = frozenset({"values", "events"} | ({"branches"} if branches else {"instructions"}))
    got = shown(full.source, ExpansionParameters(**wanted, what=what, period=period, length=length))

    keep = np.ones(COUNT, bool)
    if wanted["windows"]:
        keep[:] = False
        for first, end in wanted["windows"]:
            keep[first:end] = True
    inside = keep.copy()
    if wanted["privilege"]:
        keep &= np.isin(full.cpl, list(wanted["privilege"]))
    if wanted["code"]:
        keep &= np.logical_or.reduce([(full.linear >= a) & (full.linear < b) for a, b in wanted["code"]])
    if branches:
        keep &= (full.kind & KIND_BRANCH) != 0
    keep &= full.point % wanted["every"] == 0
    if period:
        keep &= full.point % period < length
    refs = keep[full.owner]
    if wanted["data"]:
        refs &= np.logical_or.reduce([(full.address >= a) & (full.address < b) for a, b in wanted["data"]])
        touched = np.zeros(COUNT, bool)
        touched[full.owner[refs]] = True
        keep &= touched
    for column in INSTRUCTION:
        assert np.array_equal(got[column], getattr(full, column)[keep]), column
    for column in REFERENCE:
        assert np.array_equal(got[column], getattr(full, column)[refs]), column
    assert got["rows"] == [row for row in full.rows if inside[min(row[0], COUNT - 1)] and row[0] < COUNT]


def test_hits_and_triggers(full: Whole):
    address = int(full.linear[np.flatnonzero(full.kind & KIND_BRANCH)[500]])
    at = np.flatnonzero(full.linear == address)
    number = min(3, len(at))
    got = shown(full.source, ExpansionParameters(hits=(Hits(address, number, 50),)))
    assert got["point"].tolist() == list(range(at[number - 1], min(at[number - 1] + 50, COUNT)))

    stop = int(full.linear[at[0] + 10])
    got = shown(full.source, ExpansionParameters(start_at=address, stop_at=stop))
    assert got["point"][0] == at[0]
    expected, open_ = np.zeros(COUNT, bool), False
    for clock, linear in enumerate(full.linear.tolist()):
        if linear == address:
            open_ = True
        elif linear == stop:
            open_ = False
        expected[clock] = open_
    assert np.array_equal(got["point"], np.flatnonzero(expected))


def test_event_numbers(full: Whole):
    got = shown(full.source, ExpansionParameters(events=((5, 8),)))
    clocks = [row[0] for row in full.rows[5:8]]
    assert (got["point"][0], got["point"][-1]) == (clocks[0], clocks[-1])


def test_everything_is_everything(full: Whole):
    assert np.array_equal(shown(full.source, EVERYTHING)["linear"], full.linear)


@given(st.lists(ranges, max_size=8))
def test_merged_windows_hold_the_same_clocks(parts: list[tuple[int, int]]):
    found = merged([Window(*part) for part in parts])
    assert {c for a, b in parts for c in (a, b - 1)} <= {c for w in found for c in (w.start, w.end - 1)} | {
        c for a, b in parts for c in (a, b - 1) if any(w.start <= c < w.end for w in found)
    }
    assert all(a.end < b.start for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"what": frozenset({"colour"})}, "'colour' is not known"),
        ({"windows": ((5, 5),)}, "empty"),
        ({"every": 0}, "give 1 for all"),
        ({"period": 5}, "go together"),
        ({"stop_at": 5}, "start_at"),
        ({"privilege": frozenset({4})}, "0 to 3"),
        ({"hits": (Hits(1, 0),)}, "begin at 1"),
    ],
)
def test_wrong_parameters_say_so(given_: dict, said: str):
    with pytest.raises(TraceError, match=said):
        ExpansionParameters(**given_)


def test_ranges_and_hits_as_people_type_them():
    assert parse_range("1M:2M") == (1_000_000, 2_000_000)
    assert parse_range("0xc1000000+0x1000") == (0xC1000000, 0xC1001000)
    assert parse_hits("0x100#7+50") == Hits(0x100, 7, 50)
    assert parse_hits("0x100") == Hits(0x100, 1, 1000)
    for wrong in ("", "5", "a:b", "1:x"):
        with pytest.raises(TraceError):
            parse_range(wrong)
