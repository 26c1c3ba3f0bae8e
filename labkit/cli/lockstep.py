"""`labkit bench lockstep`: both engines run a guest and are compared at the same execution points."""

import json
import os
from dataclasses import asdict

from labkit.bench.lockstep import Difference, Pair, Plan, Result, compare
from labkit.cli.errors import DONE, OTHER_END, complain
from labkit.cli.first_start import announce
from labkit.cli.progress import Bar

__all__ = ["lockstep"]

USUAL = 150_000_000
"""Instructions that the progress bar takes for the whole where no end is given: a Linux boot."""


def lockstep(guest: str, plan: Plan, *, memory: int, append: str, as_json: bool) -> int:
    """Compare the engines; 0 where they are equal, 1 with the first difference."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from labkit.cli.fetch import obtain
    from labkit.guests import catalog

    if catalog.guest(guest).fetch:
        obtain(guest)
    image = catalog.boot(guest, memory=memory, append=append)
    announce()
    with Bar("lockstep", plan.limit or USUAL) as bar:
        result = compare(lambda: Pair(image, memory), guest, plan, complain, bar.show)
    if as_json:
        print(json.dumps({**asdict(result), "equal": result.difference is None}, ensure_ascii=False))
    else:
        _show(result)
    return DONE if result.difference is None else OTHER_END


def _show(result: Result) -> None:
    found: Difference | None = result.difference
    if found is not None:
        print(f"{result.guest}: {found}")
        return
    print(f"{result.guest}: equal at {result.points} points up to instruction {result.instructions}; {result.ended}")
    print(f"  ram {result.ram}\n  registers {result.registers}")
