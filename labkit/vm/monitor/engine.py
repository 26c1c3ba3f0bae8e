"""What an engine is: a way to run guest code until something needs the monitor."""

from typing import Any, Protocol, runtime_checkable

from labkit.vm.machine.exit import Exit

__all__ = ["Engine", "Remembering"]


class Engine(Protocol):
    """Runs the guest; both engines of labkit have this face."""

    name: str

    def run(self, deadline: int, pause: int) -> Exit:
        """Go on until the clock reaches `deadline` (exactly) or `pause` (about), or something exits."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """An engine with a state that the guest can tell, which goes with a checkpoint of the machine."""

    def save(self) -> Any:
        """The state, as a value."""
        ...

    def load(self, state: Any) -> None:
        """Inverse of `save`."""
        ...
