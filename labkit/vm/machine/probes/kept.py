"""Which object files are not kept yet. A file of its own: a change of compiled.py would make all of them anew."""

from labkit.vm.machine.probes.compiled import _digest, _llvm, _places, objects, sources

__all__ = ["missing"]


def missing() -> list[str]:
    """The names of the object files that `load_all` would have to make."""
    llvm, places = _llvm(), _places()
    files = {name: f"{name}-{_digest(llvm, sources(name))}.o" for name in objects()}
    return [name for name, file in files.items() if not any((place / file).exists() for place in places)]
