"""The walls of the house: who may import whom, and what no committed file may hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
MECHANISMS = ("segments", "keys", "engines", "replay", "ft")
SCREEN = ("IPython", "anywidget", "bokeh", "graphviz", "ipykernel", "ipywidgets", "rich", "typer")


@dataclass(frozen=True)
class Rule:
    """A module inside `room` imports of the packages or rooms `banned` only what `allowed` names."""

    room: str
    banned: tuple[str, ...]
    allowed: tuple[str, ...] = ()
    but_not: tuple[str, ...] = ()  # modules in the room that the rule does not bind

    def binds(self, module: str) -> bool:
        return inside(module, self.room) and not any(inside(module, free) for free in self.but_not)

    def breaks(self, imported: str) -> bool:
        return any(inside(imported, name) for name in self.banned) and not any(
            inside(imported, name) for name in self.allowed
        )


def inside(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


MACHINE, MONITOR = "labkit.vm.machine", "labkit.vm.monitor"
RULES = (
    Rule("labkit", ("unicorn",), but_not=(f"{MACHINE}.processor", f"{MACHINE}.probes", "labkit.bench")),
    Rule("labkit", ("numba", "llvmlite"), but_not=(f"{MACHINE}.probes",)),
    Rule("labkit.vm", SCREEN),
    Rule("labkit.guests", SCREEN),
    Rule(MACHINE, ("labkit",), allowed=(MACHINE,)),
    Rule(MONITOR, ("labkit",), allowed=(MACHINE, MONITOR)),
    *(
        # a mechanism may boot a guest by name; guests know of the machine no more than what a boot image is
        Rule(f"labkit.vm.{room}", ("labkit",), allowed=("labkit.guests", MACHINE, MONITOR, f"labkit.vm.{room}"))
        for room in MECHANISMS
    ),
    Rule("labkit.guests", ("labkit",), allowed=("labkit.guests", f"{MACHINE}.boot")),
    Rule("labkit.widgets", ("labkit.guests", "labkit.bench", f"{MACHINE}.processor", f"{MACHINE}.probes")),
    Rule("labkit.bench", ("labkit.cli", "labkit.widgets")),
    Rule("labkit", ("labkit.cli",), but_not=("labkit.cli", "labkit.__main__")),
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, *, package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and full name of all that the source imports, at any depth; names in constant strings too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + package]
                base = ".".join([*parents, base] if base else parents)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"}:
                yield node.lineno, str(node.args[0].value)


def broken(source: str, module: str, *, package: bool = False) -> list[str]:
    return [
        f"{module}, line {line}: imports {imported}"
        for line, imported in imports(source, module, package=package)
        for rule in RULES
        if rule.binds(module) and rule.breaks(imported)
    ]


def python_files() -> list[Path]:
    return sorted((ROOT / "labkit").rglob("*.py"))


def committed() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: nothing is committed here")
    files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [file for file in files if file.is_file()]


def test_imports_go_one_way():
    found = [
        line
        for path in python_files()
        for line in broken(path.read_text("utf-8"), module_name(path), package=path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("labkit.vm.machine.board", "import unicorn"),
        ("labkit.vm.machine.board", "from numba import njit"),
        ("labkit.vm.machine.board", "from labkit.vm import monitor"),
        ("labkit.vm.machine.board", "from ..monitor import events"),
        ("labkit.vm.machine", "from ..vm.monitor import events"),
        ("labkit.vm.monitor.loop", "import labkit.vm.replay.log"),
        ("labkit.vm.monitor.loop", "def f():\n    import rich.table"),
        ("labkit.vm.replay.log", "from labkit.vm.ft import link"),
        ("labkit.vm.keys", "import importlib\nimportlib.import_module('ipywidgets')"),
        ("labkit.guests.elf", "from labkit.vm.machine.memory import Memory"),
        ("labkit.vm.segments.shadow", "from labkit import Machine"),
        ("labkit.vm.machine.board", "from labkit.cli import main"),
    ],
)
def test_a_breach_is_seen(module: str, source: str):
    assert broken(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("labkit.vm.machine.processor", "import unicorn"),
        ("labkit.vm.machine.probes.clock", "from numba import cfunc"),
        ("labkit.vm.replay.log", "from labkit.vm.monitor.events import Event"),
        ("labkit.guests.elf", "from labkit.vm.machine.boot import BootImage"),
        ("labkit.cli.run", "import rich\nfrom labkit.vm.monitor import Monitor"),
        ("labkit.__main__", "from labkit.cli import main"),
    ],
)
def test_an_honest_import_is_not_a_breach(module: str, source: str):
    assert not broken(source, module)


def test_one_idea_per_file():
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in [*python_files(), *(ROOT / "tests").rglob("*.py")]
        if (count := len(path.read_text("utf-8").splitlines())) > MAX_LINES
    }
    assert not long, f"over {MAX_LINES} lines, which usually holds two ideas: {long}"


def test_every_module_says_what_it_is_and_what_it_offers():
    silent = []
    for path in python_files():
        tree = ast.parse(path.read_text("utf-8"))
        offers = any(
            isinstance(node, ast.Assign | ast.AnnAssign)
            and any(
                isinstance(target, ast.Name) and target.id == "__all__"
                for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            )
            for node in tree.body
        )
        offers = offers or path.name in {"__init__.py", "__main__.py"}
        if tree.body and not (ast.get_docstring(tree) and offers):
            silent.append(path.relative_to(ROOT).as_posix())
    assert not silent, f"no module docstring or no __all__: {silent}"


# An address of a package index or of a file on one, or an index given to a package client.
INDEX = re.compile(
    rb"https?://[^\s\"'<>]*/(simple|packages)\b|^\s*--(extra-)?index-url|^\s*--find-links", re.MULTILINE
)


def of_this_machine() -> re.Pattern[bytes]:
    """Matches a path into this checkout, the folder shared beside it, or the home of who runs the test."""
    folders = sorted({str(ROOT), str(ROOT.parent / "shared"), str(Path.home())} - {"/"})
    return re.compile(rb"(?<![\w.])(" + b"|".join(re.escape(folder.encode()) for folder in folders) + rb")/")


def test_no_committed_file_names_an_index_or_this_machine():
    here = of_this_machine()
    found = []
    for path in committed():
        text = path.read_bytes()
        if b"\0" in text[:8192]:
            continue  # a built image
        for pattern in (INDEX, here):
            for match in pattern.finditer(text):
                line = text.count(b"\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}, line {line}: {match.group()!r}")
    assert not found, "\n".join(found)


def test_the_check_for_indexes_can_fail():
    host = b"https://" + b"index.example"
    for line in (host + b"/simple/numpy/", b"--index-url " + host, b" --find-links x", host + b"/packages/a"):
        assert INDEX.search(b"first\n" + line), line
    assert of_this_machine().search(f"see {ROOT}/labkit".encode())
