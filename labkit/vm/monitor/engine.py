"""What an engine is: a way to run guest code until something needs the monitor."""

from typing import Protocol

from labkit.vm.machine.exit import Exit

__all__ = ["Engine"]


class Engine(Protocol):
    """Runs the guest; both engines of labkit have this face."""

    name: str

    def run(self, deadline: int, pause: int) -> Exit:
        """Go on until the clock reaches `deadline` (exactly) or `pause` (about), or something exits."""
        ...
