"""Compiled functions: made with numba once, kept as machine code, loaded from then on without numba.

    first start   build.py, in a process of its own: sources -> numba -> one LLVM module -> object file
    any start     object file -> addresses of the functions, in a few milliseconds (numba's import takes 300)

The modules of this package are written for numba, with its own names imported from here. While build.py runs,
`njit`, `cfunc`, `entry`, `intrinsic`, `ir` and `types` are numba's; at any other time a decorated function is
only a name in the object file, and what is needed to make it is left out.

    njit    is called by other compiled functions only
    cfunc   a hook: Unicorn calls it; has an `address`
    entry   Python calls it, with ctypes: the array of cells, and integers of 64 bits
"""

import ctypes
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["Entry", "Hook", "cfunc", "entry", "intrinsic", "ir", "load", "njit", "start_building", "types"]

HERE = Path(__file__).parent
BESIDES = (HERE.parent / "clock.py",)  # what the sources import from elsewhere
DIGEST = 32


class _Unneeded:
    """Stands for a thing that only the making needs."""

    def __getattr__(self, _name: str) -> "_Unneeded":
        return self

    def __call__(self, *_arguments: object, **_options: object) -> "_Unneeded":
        return self


types: Any = _Unneeded()
ir: Any = _Unneeded()
intrinsic: Any = _Unneeded()
before_making: Callable[[], None] | None = None
"""Called before what takes half a minute, where somebody waits for it."""
made: dict[str, Any] | None = None
"""By symbol what numba has made so far; None when nothing is to be made."""
inlining_of: dict[str, str] = {}
"""By name of a function whether it must become a part of its callers: "always" or "never"."""


def start_building() -> dict[str, Any]:
    """From now on the decorators compile; before any other module of this package is imported."""
    global types, ir, intrinsic, made
    import numba
    import numba.extending
    from llvmlite import ir as real_ir

    types, ir, intrinsic, made = numba.types, real_ir, numba.extending.intrinsic, {}
    return made


def njit(*, inlining: str = "") -> Callable[[Any], Any]:
    """A function that other compiled ones call; `inlining`: "always", "never" (called seldom) or free."""

    def decorate(function: Any) -> Any:
        if made is None:
            return function
        import numba

        if inlining:
            inlining_of[function.__name__] = inlining
        return numba.njit(function)

    return decorate


def cfunc(signature: Any) -> Callable[[Any], Any]:
    """A hook."""

    def decorate(function: Any) -> Any:
        if made is None:
            return Hook(_symbol(function))
        import numba

        made[_symbol(function)] = compiled = numba.cfunc(signature)(function)
        return compiled

    return decorate


def entry(signature: str, *, alone: bool = True) -> Callable[[Any], Any]:
    """A function that Python calls, and compiled ones too; as "i64(cells, u64)".

    Not `alone`: other threads of Python run meanwhile, which costs a little and is for what takes long.
    """
    result, _, arguments = signature.rstrip(")").partition("(")
    names = [name.strip() for name in arguments.split(",")]

    def decorate(function: Any) -> Any:
        if made is None:
            return Entry(_symbol(function), result, names, alone=alone)
        import numba

        known = {
            "void": types.void,
            "u64": types.uint64,
            "i64": types.int64,
            "cells": types.CPointer(types.uint64),
        }
        face = known[result](*(known[name] for name in names))
        made[_symbol(function)] = numba.cfunc(face)(function)
        return numba.njit(function)

    return decorate


def _symbol(function: Any) -> str:
    return f"{function.__module__.rpartition('.')[2]}_{function.__name__}"


class Hook:
    """A compiled hook, by its name."""

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol

    @cached_property
    def address(self) -> int:
        """Where its machine code is; compiled first where that is needed."""
        return int(load()[0].get_function_address(self._symbol))


class Entry:
    """A compiled function that Python calls: the ctypes array of cells, then integers."""

    def __init__(self, symbol: str, result: str, arguments: list[str], *, alone: bool) -> None:
        self._symbol, self._result, self._arguments, self._alone = symbol, result, arguments, alone

    @cached_property
    def _call(self) -> Callable[..., int]:
        known: dict[str, Any] = {
            "void": None,
            "u64": ctypes.c_uint64,
            "i64": ctypes.c_int64,
            "cells": ctypes.c_void_p,
        }
        kind = ctypes.PYFUNCTYPE if self._alone else ctypes.CFUNCTYPE
        face = kind(known[self._result], *(known[name] for name in self._arguments))
        made: Callable[..., int] = face(load()[0].get_function_address(self._symbol))
        return made

    def __call__(self, *arguments: Any) -> int:
        return self._call(*arguments)


@cache
def load() -> tuple[Any, bool]:
    """The engine that holds all functions, and whether they were found compiled."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    code, found = _kept(_file_name(llvm))
    target = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, found


def _file_name(llvm: Any) -> str:
    """Names all that the machine code depends on."""
    key = hashlib.sha256()
    for path in (*sorted(HERE.glob("*.py")), *BESIDES):
        key.update(path.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    for word in (
        version("llvmlite"),  # each release of numba needs its own
        llvm.llvm_version_info,
        platform.machine(),
        sys.platform,
        llvm.get_host_cpu_name(),
        features,
    ):
        key.update(f"{word}\0".encode())
    return f"hooks-{key.hexdigest()[:24]}.o"


def _places() -> tuple[Path, ...]:
    """Where compiled functions are kept: beside the sources, or in the user's cache."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return HERE / "__pycache__", Path(cache_home, "labkit", "hooks")


def _kept(name: str) -> tuple[bytes, bool]:
    """The object file, made first where it is not kept yet."""
    for place in _places():
        try:
            data = (place / name).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data[DIGEST:]).digest() == data[:DIGEST]:
            return data[DIGEST:], True
    if before_making is not None:
        before_making()
    code = _make()
    for place in _places():
        if _keep(place, name, hashlib.sha256(code).digest() + code):
            break
    return code, False


def _keep(place: Path, name: str, data: bytes) -> bool:
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place, delete=False) as file:
            file.write(data)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(place / name)
    except OSError:
        return False
    return True


def _make() -> bytes:
    """Compile everything in a process of its own. Raises `RuntimeError` where that fails."""
    root = str(HERE.parents[3])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "hooks.o")
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.build", str(result)],
            env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not result.exists():
            last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
            raise RuntimeError(f"the compiled hooks could not be made: {last}")
        return result.read_bytes()
