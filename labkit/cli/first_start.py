"""The first start on a machine: compiling takes half a minute or more, and nobody should wait in silence."""

from labkit.cli.errors import complain

__all__ = ["announce"]


def announce() -> None:
    """From now on, one line on stderr when what runs guests has to be compiled first."""
    from labkit.vm.machine.probes import compiled

    compiled.before_making = _tell


def _tell() -> None:
    complain("compiling what runs guests, once on this machine: half a minute or so")
