"""The engine of a fork goes on where that of its timeline stands."""

from collections.abc import Callable

from labkit.vm.machine import Machine
from labkit.vm.monitor.engine import Engine, Remembering

__all__ = ["EngineMaker", "continuing"]

EngineMaker = Callable[[Machine], Engine]
"""Makes an engine for a machine, in its first state."""


def continuing(make: EngineMaker | None, here: Engine) -> EngineMaker | None:
    """What makes an engine in the state of `here`; None where that is hardware assistance, which has none."""
    if make is None or not isinstance(here, Remembering):
        return make
    state = here.save()

    def continued(machine: Machine) -> Engine:
        made = make(machine)
        if isinstance(made, Remembering):
            made.load(state)
        return made

    return continued
