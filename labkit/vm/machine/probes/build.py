"""Makes an object file of compiled functions: python -m labkit.vm.machine.probes.build NAME FILE.

numba wraps each function for calls from Python and reports errors to Python. Nothing here raises, so once all
is one module and only the functions' own names are kept, LLVM finds that none of that is needed: what is left
is machine code that refers to nothing outside itself, which is checked.
"""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from labkit.vm.machine.probes import compiled

__all__ = ["object_code"]

ROUNDS = 2  # of optimization: one makes functions small enough to be inlined by the next


def object_code(name: str) -> bytes:
    """Compile the functions of one object file, which is named as in compiled.py."""
    made = compiled.start_building(name)
    _leave_as_it_is()
    for path in compiled.sources(name):
        if path.parent == compiled.HERE and path.stem not in {"build", "compiled"}:
            import_module(f"{__package__}.{path.stem}")
    libraries: dict[int, Any] = {}
    for function in made.values():
        _gather(function._library, libraries)
    whole = llvm.parse_assembly("")
    for library in libraries.values():
        whole.link_in(library._final_module.clone())
    codegen = next(iter(libraries.values())).codegen
    names = {function.native_name: symbol for symbol, function in made.items()}
    return _emit(whole, names, codegen._tm)


def _leave_as_it_is() -> None:
    """Let numba not optimize function by function: all of it is, together, in `_emit`."""
    from numba.core.codegen import CPUCodeLibrary

    CPUCodeLibrary._optimize_functions = lambda _library, _module: None
    CPUCodeLibrary._optimize_final_module = lambda _library: None


def _gather(library: Any, found: dict[int, Any]) -> None:
    """The library of a function and those of all functions that it calls."""
    if id(library) not in found:
        found[id(library)] = library
        for called in library._linking_libraries:
            _gather(called, found)


def _emit(whole: Any, names: dict[str, str], machine: Any) -> bytes:
    """Optimize as one program whose only entrances are `names`, which are given their short names."""
    module = llvm.parse_assembly(re.sub(r"\bnoinline\b", "nounwind", str(whole)))
    for item in (*module.functions, *module.global_variables):
        if not item.is_declaration and item.name not in names:
            item.linkage = "internal"
    for function in module.functions:
        for name, when in compiled.inlining_of.items():
            if f"{len(name)}{name}B" in function.name and not function.is_declaration:
                function.add_function_attribute("alwaysinline" if when == "always" else "noinline")
    for long, short in names.items():
        module.get_function(long).name = short
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(machine, options)
    for _ in range(ROUNDS):
        builder.getModulePassManager().run(module, builder)
    outside = [
        item.name
        for item in (*module.functions, *module.global_variables)
        if item.is_declaration and not item.name.startswith("llvm.")
    ]
    if outside:
        raise RuntimeError(f"compiled functions need {', '.join(outside)}: does one of them raise?")
    code: bytes = machine.emit_object(module)
    return code


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(object_code(sys.argv[1]))
