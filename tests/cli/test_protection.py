"""`labkit run --protection` as a program: each way runs, says what it has cost, is refused where it does not fit."""

import json
import os
import subprocess
import sys

import pytest

from labkit.cli.protection import _PC, PROTECTIONS

UNITS = [way for way in PROTECTIONS if way not in _PC]


@pytest.fixture
def full() -> bool:
    return os.environ.get("LABKIT_FULL") == "1"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "labkit", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def document(*arguments: str):
    ran = run(*arguments, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_ways_print_and_end_the_same_and_cost_otherwise(full):
    ways = UNITS if full else UNITS[:2]
    told = {way: document("rings", "--append", "rounds=5 turns=9", "--protection", way) for way in ways}
    assert {one["console"] for one in told.values()} == {"rings: 3822 trials, 0 wrong\nrings: 5 calls, the end\n"}
    assert len({(one["instructions"], one["ram_sha256"], one["registers_sha256"]) for one in told.values()}) == 1
    counts = {way: one["protection"] for way, one in told.items()}
    assert counts["shadow-keys"]["purges"] == counts["shadow-keys"]["rewritten"] == 0
    assert counts["shadow-keys"]["key_register_writes"] > counts["shadow-keys"]["level_changes"]
    assert counts["purge"]["purges"] == counts["purge"]["level_changes"]
    assert counts["purge"]["refills"] > 100 * counts["shadow-keys"]["refills"]
    assert [count["way"].replace(" ", "-") for count in counts.values()] == ways


def test_a_guest_of_an_ordinary_pc_by_keys():
    plain, keyed = (
        document("teaching", "--until-text", "$ ", "--input", "fault\n", *more)
        for more in ((), ("--protection", "keyed-paging"))
    )
    assert "protection" not in plain
    assert keyed["protection"]["way"] == "keyed paging"
    assert keyed["protection"]["stale_keys"] == 0
    assert keyed["protection"]["key_register_writes"] == 3 * keyed["protection"]["level_changes_seen"]
    assert keyed["protection"]["stopped_by_a_key"] == 1  # the program that writes to the kernel
    assert keyed["console"] == plain["console"]
    assert keyed["ram_sha256"] == plain["ram_sha256"]


def test_the_closing_line_says_what_it_has_cost():
    said = run("rings", "--append", "rounds=1").stderr
    assert "protection by shadow keys: " in said
    assert " level changes, " in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rings", "--protection", "paging"], "shadow-keys, purge"),
        (["teaching", "--protection", "purge"], "for the guest rings"),
        (["teaching", "--protection", "rings"], "it is paging, keyed-paging"),
        (["rings", "--engine", "bt"], "leave --engine out"),
        (["rings", "--append", "speed=3"], "rounds, turns"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(arguments, says):
    ran = run(*arguments)
    assert ran.returncode == 2
    assert says in ran.stderr
    assert len(ran.stderr.splitlines()) <= 2
