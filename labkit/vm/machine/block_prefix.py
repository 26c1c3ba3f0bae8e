"""Running the first instructions of a block and no more: how an exact point inside a block is reached.

    block as Unicorn cut it     | i0 | i1 | i2 | i3 | i4 |
    run two of it               | i0 | i1 |                   translated again with an exit address before i2,
                                          ^ goal              run, and that shortened translation forgotten

A block that is run whole is only counted, its translation stays.
"""

import ctypes

from labkit.vm.machine import sensitive
from labkit.vm.machine.core import Core
from labkit.vm.machine.probes import block, decode, traps
from labkit.vm.machine.probes import cells as c
from labkit.vm.machine.probes.emulator import Hook

__all__ = ["BlockPrefix"]

MOST_HOOKED = 256  # instructions with a hook of their own; Unicorn asks for each of them when it translates one


class BlockPrefix:
    """Runs parts of the block that a stop has named (cells NEXT_BLOCK, NEXT_SIZE)."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._given_flags: dict[int, ctypes.c_size_t] = {}

    def run(self, count: int, cut: bool = False) -> int | None:
        """Run `count` instructions of the block; None when that is done, else the `Stop` that came first.

        `cut`: the block must not be translated beyond them, even if they are all of it.
        """
        core, cells = self._core, self._core.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        cells[c.DEADLINE] = cells[c.CLOCK] + count
        cells[c.LIMIT] = min(cells[c.LIMIT], cells[c.DEADLINE])
        offset = core.offset(start, size, count)
        goal = (start + offset) & 0xFFFFFFFF
        shortened = cut or offset < size
        if shortened:
            core.emulator.set_exits(goal, goal + (1 << 32))  # past 4 GB Unicorn translates on without wrapping
            core.forget_block(start, size)
        allowed, cells[c.ALLOW] = cells[c.ALLOW], c.ALLOW_ALL  # the whole block has been checked already
        stop = core.start()
        cells[c.ALLOW] = allowed
        if shortened:
            core.forget_block(start, size)
            core.emulator.set_exits()
        at_goal = stop == c.Stop.NONE and core.registers.linear_eip == goal
        reached = stop == c.Stop.DEADLINE and cells[c.CLOCK] == cells[c.DEADLINE]
        return None if at_goal or reached else stop

    def give_flags(self) -> None:
        """Mend CMPXCHG8B: Unicorn takes its flags from a stale state unless a hook brings that up to date.

        So each such instruction gets an instruction hook, and the block is translated again.
        """
        core, cells = self._core, self._core.cells
        start, size = int(cells[c.NEXT_BLOCK]), int(cells[c.NEXT_SIZE])
        for offset in sensitive.locate(core.code(start, size), core.registers, decode.CX8):
            at = (start + offset) & 0xFFFFFFFF
            if at not in self._given_flags:
                if len(self._given_flags) >= MOST_HOOKED:
                    self._take_flags()
                self._given_flags[at] = core.hook(Hook.CODE, traps.flags_hook, first=at, last=at)
        core.forget_block(start, size)
        block.accept(core.cells, start, size)
        cells[c.ALLOW] = start

    def _take_flags(self) -> None:
        """Begin anew with those hooks: drop them all, and all that is translated or known with them."""
        for handle in self._given_flags.values():
            self._core.unhook(handle)
        self._given_flags.clear()
        self._core.emulator.drop_all_code()
        self._core.forget_decoded()
