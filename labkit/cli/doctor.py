"""`labkit doctor`: what labkit needs of this machine, whether it is there, and what to do where it is not."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from labkit.cli.errors import DONE, OTHER_END
from labkit.cli.first_start import announcing_all
from labkit.cli.table import table

__all__ = ["Check", "checks", "doctor"]

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    what: str
    ok: bool
    found: str
    todo: str = ""
    """What to do, or what it would be good for, where it is not there."""
    needed: bool = True
    """Whether labkit cannot do without it."""


def doctor(*, as_json: bool) -> int:
    """Print the checks; 0 if nothing that is needed is missing."""
    found = list(checks())
    good = all(check.ok for check in found if check.needed)
    if as_json:
        print(json.dumps({"ok": good, "checks": [asdict(check) for check in found]}, ensure_ascii=False))
    else:
        rows = [(_mark(check), check.what, check.found, "" if check.ok else check.todo) for check in found]
        print(table(rows))
        print("labkit can run guests here" if good else "labkit cannot run guests here: see what says NO")
    return DONE if good else OTHER_END


def _mark(check: Check) -> str:
    return "ok" if check.ok else "NO" if check.needed else "--"


def checks() -> Iterator[Check]:
    """Everything that is looked at, in the order in which it is needed."""
    yield _python()
    for package in ("unicorn", "capstone", "numba"):
        yield _package(package)
    yield _hooks()
    yield _layout()
    yield from _guests()
    yield _tool("apt-get", "fetches real guests; elsewhere give files with --kernel and --initrd")
    yield _tool("qemu-system-i386", "a peer to compare with; only the tests use it")
    yield _tool("dot", "draws graphs; without it labkit has its own way")


def _python() -> Check:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Check("Python", sys.version_info >= OLDEST_PYTHON, sys.version.split()[0], f"{wanted} or newer")


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed", "pip install labkit, or `make lab` in a checkout")


def _layout() -> Check:
    """Unicorn's private layout, probed as at every start."""
    what = "processor layout"
    try:
        from labkit.vm.machine import Machine

        Machine(memory=4 << 20)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is what the doctor reports)
        return Check(what, False, _first_line(error))
    return Check(what, True, "recognised")


def _hooks() -> Check:
    """Compiled hooks: kept from before, or compiled just now."""
    what = "compiled hooks"
    start = time.perf_counter()
    try:
        from labkit.vm.machine.probes.compiled import load_all

        with announcing_all():
            kept = load_all()
    except Exception as error:  # noqa: BLE001 (as above)
        return Check(what, False, _first_line(error), "report it")
    seconds = time.perf_counter() - start
    return Check(what, True, "from the cache" if kept else f"compiled just now, in {seconds:.1f} s")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _guests() -> Iterator[Check]:
    from labkit.guests import catalog
    from labkit.guests.fetch import fetched

    guests = [catalog.guest(name) for name in catalog.names()]
    ours = [guest.name for guest in guests if not guest.fetch]
    yield Check("own guests", bool(ours), ", ".join(ours) or "none", "install labkit anew")
    for guest in guests:
        if guest.fetch:
            there = fetched(guest.name) is not None
            found = "fetched" if there else "not fetched"
            yield Check(f"guest {guest.name}", there, found, f"labkit fetch {guest.name}", needed=False)


def _tool(name: str, use: str) -> Check:
    path = shutil.which(name)
    return Check(name, path is not None, path or "not found", use, needed=False)
