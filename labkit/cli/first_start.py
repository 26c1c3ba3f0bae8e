"""The first start on a machine: compiling takes half a minute or more, and nobody should wait in silence."""

from labkit.cli.errors import complain

__all__ = ["announce"]


def announce() -> None:
    """One line on stderr where the next machine has to wait until what runs guests has been compiled."""
    from labkit.vm.machine.probes.compiled import ready

    if not ready():
        complain("compiling what runs guests, once on this machine: half a minute or so")
