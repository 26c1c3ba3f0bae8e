"""The whole campaign: python -m tests.vm.machine.segmentation.campaign [CASES] [SEED].

Runs random cases on Bochs and on labkit, a boot for each 15 000 or so, and says where they differ.
"""

import sys
import tempfile
from pathlib import Path

from tests.vm.machine.segmentation.cases import random_cases
from tests.vm.machine.segmentation.image import MOST_CASES, Case
from tests.vm.machine.segmentation.runners import Result, on_bochs, on_labkit

__all__ = ["mismatches"]


def mismatches(seed: int, count: int, folder: Path) -> list[tuple[Case, Result, Result]]:
    """Cases on which Bochs and labkit differ, with what each said."""
    cases = random_cases(seed, count)
    answers = zip(cases, on_bochs(cases, folder), on_labkit(cases), strict=True)
    return [answer for answer in answers if answer[1] != answer[2]]


def main(count: int = 100_000, seed: int = 1) -> int:
    """Print each boot's differences and the sum; 1 when there are any."""
    done = wrong = 0
    while done < count:
        part = min(MOST_CASES, count - done)
        with tempfile.TemporaryDirectory() as folder:
            found = mismatches(seed, part, Path(folder))
        for case, bochs, labkit in found[:5]:
            print(f"{case}\n  Bochs  {bochs}\n  labkit {labkit}")
        done, wrong = done + part, wrong + len(found)
        print(f"seed {seed}: {part} cases, {len(found)} mismatches", flush=True)
        seed += 1
    print(f"{done} cases, {wrong} mismatches")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
