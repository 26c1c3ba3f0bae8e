"""Parameters as a command line and as Python: read back, they are the same."""

import shlex
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from labkit.cli import trace as command
from labkit.cli.app import app
from labkit.vm.replay import expansion_parameters
from labkit.vm.replay.expansion_parameters import EVERYTHING, ExpansionParameters, Hits
from labkit.vm.replay.expansion_text import as_command, as_python
from labkit.vm.replay.trace_parts import GuestRecipe, RecordingRecipe

PARAMETERS = [
    EVERYTHING,
    ExpansionParameters(windows=((0, 20_000), (30_000, 31_000)), what=frozenset({"memory", "branches"})),
    ExpansionParameters(hits=(Hits(0xC0100000, 2, 50), Hits(1)), every=7, period=1000, length=10),
    ExpansionParameters(start_at=0xC0100000, stop_at=0xC0100040, code=((0xC0000000, 0xC0200000),)),
    ExpansionParameters(events=((3, 9),), data=((0, 4096),), code_physical=((0, 8192),), spaces=frozenset({0x1000})),
    ExpansionParameters(privilege=frozenset({0, 3})),
]


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("recipe", [RecordingRecipe("a run.rec"), GuestRecipe("teaching", 8 << 20, "quiet", b"$ ")])
def test_the_command_line_is_read_as_these_parameters(monkeypatch, recipe, parameters):
    seen: list[Any] = []

    def instead(wanted, *, as_json):
        seen.append(wanted)
        return 0

    monkeypatch.setattr(command, "trace", instead)
    words = shlex.split(as_command(recipe, parameters, "out.parquet"))
    ran = CliRunner().invoke(app, words[1:])
    assert ran.exit_code == 0, ran.output
    what = parameters.what - {"memory"} if "values" in parameters.what else parameters.what
    assert command._parameters(seen[0]) == replace(parameters, what=what), "values mean memory too"
    assert seen[0].source == getattr(recipe, "path", "teaching")
    assert str(seen[0].out) == "out.parquet"


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_expression_makes_them(parameters):
    assert eval(as_python(parameters), vars(expansion_parameters)) == parameters


def test_what_the_command_line_cannot_write_is_refused():
    with pytest.raises(ValueError, match="not caches"):
        as_command(RecordingRecipe("run.rec"), EVERYTHING, "out", "caches")
