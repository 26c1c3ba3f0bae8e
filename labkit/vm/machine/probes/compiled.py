"""Compiled functions: made with numba once, kept as machine code, loaded from then on without numba.

    first start   build.py, in a process of its own: sources -> numba -> LLVM modules -> object files
    any start     object files -> addresses of the functions, in a few milliseconds (numba's import takes 300)

What every run needs is one object file (`RUN`); each other module that has hooks is one of its own, made when it
is first needed. The name of a file holds a hash of all sources that it is made from.

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
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = [
    "Entry", "Hook", "cfunc", "entry", "intrinsic", "ir", "load", "load_all", "missing", "njit", "objects", "sources",
    "start_building", "types",
]  # fmt: skip

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
DIGEST = 32
RUN = "run"
IN_EVERY_RUN = frozenset((
    "access", "block", "call_site", "decode", "emulator", "exit_checks", "fill", "pages", "segments", "shadow",
    "steady", "stores", "tlb", "translated", "traps", "watch",
))  # fmt: skip
"""Modules whose functions are one object file: a machine loads all of them before its first instruction."""
IMPORT = re.compile(r"^from (labkit\.[\w.]+) import (\([^)]*\)|[^\n]*)", re.MULTILINE)


class _Unneeded:
    """Stands for a thing that only the making needs."""

    def __getattr__(self, _name: str) -> "_Unneeded":
        return self

    def __call__(self, *_arguments: object, **_options: object) -> "_Unneeded":
        return self


types: Any = _Unneeded()
ir: Any = _Unneeded()
intrinsic: Any = _Unneeded()
before_making: Callable[[str], None] | None = None
"""Called with the name of an object file before it is made, which takes up to half a minute."""
building = ""
"""The object file that is being made in this process, if any."""
made: dict[str, Any] = {}
"""By symbol what numba has made so far."""
inlining_of: dict[str, str] = {}
"""By name of a function whether it must become a part of its callers: "always" or "never"."""


def start_building(name: str) -> dict[str, Any]:
    """From now on the decorators compile for this object file; before any other module here is imported."""
    global types, ir, intrinsic, building
    import numba
    import numba.extending
    from llvmlite import ir as real_ir

    types, ir, intrinsic, building = numba.types, real_ir, numba.extending.intrinsic, name
    return made


def njit(*, inlining: str = "") -> Callable[[Any], Any]:
    """A function that other compiled ones call; `inlining`: "always", "never" (called seldom) or free."""

    def decorate(function: Any) -> Any:
        if not building:
            return function
        import numba

        if inlining:
            inlining_of[function.__name__] = inlining
        return numba.njit(function)

    return decorate


def cfunc(signature: Any) -> Callable[[Any], Any]:
    """A hook."""

    def decorate(function: Any) -> Any:
        name = object_of(_module(function))
        if not building:
            return Hook(name, _symbol(function))
        import numba

        if name == building:
            made[_symbol(function)] = numba.cfunc(signature)(function)
        return function

    return decorate


def entry(signature: str, *, alone: bool = True) -> Callable[[Any], Any]:
    """A function that Python calls, and compiled ones too; as "i64(cells, u64)".

    Not `alone`: other threads of Python run meanwhile, which costs a little and is for what takes long.
    """
    result, _, arguments = signature.rstrip(")").partition("(")
    names = [name.strip() for name in arguments.split(",")]

    def decorate(function: Any) -> Any:
        name = object_of(_module(function))
        if not building:
            return Entry(name, _symbol(function), result, names, alone=alone)
        import numba

        known = {
            "void": types.void,
            "u64": types.uint64,
            "i64": types.int64,
            "cells": types.CPointer(types.uint64),
        }
        face = known[result](*(known[name] for name in names))
        if name == building:
            made[_symbol(function)] = numba.cfunc(face)(function)
        return numba.njit(function)

    return decorate


def object_of(module: str) -> str:
    """The object file that holds the functions of a module of this package; each by its short name."""
    return RUN if module in IN_EVERY_RUN else module


def _module(function: Any) -> str:
    return str(function.__module__.rpartition(".")[2])


def _symbol(function: Any) -> str:
    return f"{_module(function)}_{function.__name__}"


class Hook:
    """A compiled hook, by its name."""

    def __init__(self, name: str, symbol: str) -> None:
        self._object, self._symbol = name, symbol

    @cached_property
    def address(self) -> int:
        """Where its machine code is; compiled first where that is needed."""
        return int(load(self._object)[0].get_function_address(self._symbol))


class Entry:
    """A compiled function that Python calls: the ctypes array of cells, then integers."""

    def __init__(self, name: str, symbol: str, result: str, arguments: list[str], *, alone: bool) -> None:
        self._object, self._symbol = name, symbol
        self._result, self._arguments, self._alone = result, arguments, alone

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
        made: Callable[..., int] = face(load(self._object)[0].get_function_address(self._symbol))
        return made

    def __call__(self, *arguments: Any) -> int:
        return self._call(*arguments)


@cache
def load(name: str = RUN) -> tuple[Any, bool]:
    """The engine that holds the functions of an object file, and whether they were found compiled."""
    llvm = _llvm()
    code, found = _kept(name, _file(name))
    target = llvm.Target.from_default_triple().create_target_machine(codemodel="jitdefault", jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, found


def missing() -> list[str]:
    """The names of the object files that `load_all` would have to make."""
    return [name for name in objects() if not any((place / _file(name)).exists() for place in _places())]


def load_all() -> bool:
    """Make every object file that is not kept yet, several at once; whether all were."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return all(found for _engine, found in list(pool.map(load, objects())))


@cache
def _llvm() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def objects() -> list[str]:
    """The names of all object files."""
    has_hooks = re.compile(r"^@(cfunc|entry)\(", re.MULTILINE)
    return sorted({object_of(path.stem) for path in HERE.glob("*.py") if has_hooks.search(_text(path))})


def sources(name: str) -> list[Path]:
    """The files that an object file is made from: its modules, and all that they import from labkit."""
    modules = IN_EVERY_RUN if name == RUN else {name}
    found = {HERE / "build.py", Path(__file__)}
    left = [HERE / f"{module}.py" for module in modules]
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += _imported(path)
    return sorted(found)


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    """The files of labkit that a file imports from, at any depth of names: `from labkit.a import b` is a or a.b."""
    found = []
    for package, names in IMPORT.findall(_text(path)):
        base = ROOT / package.replace(".", "/")
        inner = [base / f"{name.split()[0]}.py" for name in names.strip("()").split(",") if name.strip()]
        found += [file for file in (base.with_suffix(".py"), *inner) if file.exists()]
    return tuple(found)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _digest(llvm: Any, files: Iterable[Path]) -> str:
    """Of all that machine code depends on."""
    key = hashlib.sha256()
    for path in files:
        key.update(_text(path).encode())
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
    return key.hexdigest()[:24]


def _file(name: str) -> str:
    """The file of an object's name: another one for other sources."""
    return f"{name}-{_digest(_llvm(), sources(name))}.o"


def _places() -> tuple[Path, ...]:
    """Where compiled functions are kept: beside the sources, or in the user's cache."""
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return HERE / "__pycache__", Path(cache_home, "labkit", "hooks")


def _kept(name: str, file: str) -> tuple[bytes, bool]:
    """The object file of this name, made first where it is not kept yet."""
    for place in _places():
        try:
            data = (place / file).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(data[DIGEST:]).digest() == data[:DIGEST]:
            return data[DIGEST:], True
    if before_making is not None:
        before_making(name)
    code = _make(name)
    for place in _places():
        if _keep(place, file, hashlib.sha256(code).digest() + code):
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


def _make(name: str) -> bytes:
    """Compile an object file in a process of its own. Raises `RuntimeError` where that fails."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "hooks.o")
        done = subprocess.run(
            [sys.executable, "-m", f"{__package__}.build", name, str(result)],
            env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not result.exists():
            last = (done.stderr.strip().splitlines() or ["no word why"])[-1]
            raise RuntimeError(f"the compiled hooks could not be made: {last}")
        return result.read_bytes()
