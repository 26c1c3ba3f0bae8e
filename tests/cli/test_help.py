"""The lists of commands: what a newcomer reads first."""

import pytest
from typer.testing import CliRunner

from labkit.cli.app import app


def listed(*group: str) -> list[str]:
    text = CliRunner().invoke(app, [*group, "--help"], env={"COLUMNS": "80"}).output
    lines = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    return [line.strip() for line in lines]


@pytest.mark.parametrize("group", [(), ("bench",)])
def test_what_a_command_does_is_said_in_one_whole_line(group):
    lines = listed(*group)
    assert len(lines) > 5
    assert [line for line in lines if line.endswith("...") or len(line.split()) < 4] == []


def test_the_first_steps_come_first():
    assert [line.split()[0] for line in listed()][:4] == ["doctor", "guests", "fetch", "run"]
