"""A bare computer twice, one under each engine: hand-made code must leave both in the same state at every point."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.bench.state_difference import differences
from labkit.vm.engines import BinaryTranslator
from labkit.vm.monitor import Monitor, StopReason

STEPS = (1, 1, 2, 3, 5, 1, 8, 13, 1, 21)
SHORT, LONG = 60, 499
Prepare = Callable[[Any], None]


class Both:
    """`hw` and `bt`, bare computers with the same program."""

    def __init__(self, make: Callable[..., Any], code: bytes, prepare: Prepare | None = None, **options: Any) -> None:
        self.hw, self.bt = make(**options), make(**options)
        self.engine = BinaryTranslator(self.bt.machine.processor)
        self.bt.monitor = Monitor(self.bt.machine, engine=self.engine)
        for bare in (self.hw, self.bt):
            bare.put(0x10000, code)
            if prepare is not None:
                prepare(bare)

    def advance(self, instructions: int) -> bool:
        """Run both that much further and compare; False once the guest has ended."""
        ends = [bare.monitor.run(instructions) for bare in (self.hw, self.bt)]
        assert str(ends[0]) == str(ends[1])
        assert differences(self.hw.machine, self.bt.machine) == []
        return ends[0].reason is StopReason.INSTRUCTIONS

    def finish(self, limit: int = 5_000) -> None:
        """Compare every few instructions up to the guest's end."""
        step = 0
        while self.hw.clock < limit and self.advance(STEPS[step % len(STEPS)] if step < SHORT else LONG):
            step += 1


@pytest.fixture
def both(make_bare: Callable[..., Any]) -> Callable[..., Both]:
    """Runs code under both engines; gives them when all was equal to the end."""

    def run(code: bytes, prepare: Prepare | None = None, **options: Any) -> Both:
        stepped, whole = (Both(make_bare, code, prepare, **options) for _ in range(2))
        stepped.finish()
        whole.advance(max(stepped.hw.clock, 1))
        if whole.hw.clock == stepped.hw.clock:
            assert differences(stepped.hw.machine, whole.bt.machine) == []
        return whole

    return run
