"""Which object files are not kept yet. A file of its own: a change of compiled.py would make all of them anew."""

from labkit.vm.machine.probes import compiled

__all__ = ["missing"]


def missing() -> list[str]:
    """The names of the object files that `load_all` would have to make."""
    llvm = compiled._llvm()
    files = {name: f"{name}-{compiled._digest(llvm, compiled.sources(name))}.o" for name in compiled.objects()}
    return [
        name for name, file in files.items() if not any((place / file).exists() for place in compiled._places())
    ]  # fmt: skip
