"""The first start on a machine: compiling takes half a minute or more, and nobody should wait in silence."""

from labkit.cli.errors import complain

__all__ = ["announce", "prepare"]


def announce() -> None:
    """From now on, one line on stderr when a part of what runs guests has to be compiled first."""
    from labkit.vm.machine.probes import compiled

    compiled.before_making = _tell


def prepare() -> None:
    """Compile now what every guest needs, where that is not done yet, and not silently under somebody's first cell."""
    from labkit.vm.machine.probes import compiled

    announce()
    compiled.load()


def _tell(name: str) -> None:
    complain(f"compiling what runs guests ({name}), once on this machine: half a minute or so")
