"""Building our own guests: C and assembly in, the committed ELF images out, the same bytes each time.

    python -m labkit.guests.build            # every image
    python -m labkit.guests.build hello      # some of them

Needs the ziglang wheel (a whole cross compiler), and exactly the release that made the committed images:
another compiler makes other code. Only those who change guest code need it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["COMPILER", "IMAGES", "BuildError", "build", "main"]

COMPILER = "0.17.1"
"""Release of the ziglang wheel that the committed images were built with."""

GUESTS = Path(__file__).parent
KERNEL = GUESTS / "kernel"
PROGRAMS = GUESTS / "programs"
RINGS = GUESTS / "rings"

# Pentium Pro instructions, no SSE: the kernel saves no SSE state. Nothing that needs a runtime of the host.
FLAGS = (
    *("-target", "x86-freestanding-none", "-mcpu=pentiumpro", "-mno-sse"),
    *("-std=c17", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static"),
    *("-fno-pic", "-fno-pie", "-fno-stack-protector", "-fno-sanitize=all", "-fno-asynchronous-unwind-tables"),
    *("-fno-omit-frame-pointer", "-fno-builtin", "-g0"),
    *("-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", "-Wl,-z,norelro"),
)
USER_PROGRAMS = ("sh", "primes", "syscalls", "fault", "touch", "spin", "race", "forks")
USER_LIBRARY = ("user/start.S", "user/library.c", "format.c", "memory.c")


class BuildError(Exception):
    """The compiler is missing, is another release, or found a mistake; says which and what to do."""


def _compile(folder: Path, sources: Iterable[str], script: str, output: Path, *extra: str) -> None:
    """Compile and link; relative source names, so that no path of this machine gets into the image."""
    compiler = (sys.executable, "-m", "ziglang", "cc")
    command = [*compiler, *FLAGS, *extra, "-T", script, "-o", str(output), *sources]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{output.name}: the compiler found a mistake\n{done.stderr.strip()}")
    output.chmod(0o644)  # data for labkit, not a program of this machine


def _build_teaching(output: Path) -> None:
    """The user programs first: programs.S takes them into the kernel image."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in USER_PROGRAMS:
            sources = [*USER_LIBRARY, f"user/{name}.c", *(["user/arithmetic.c"] if name == "sh" else [])]
            _compile(KERNEL, sources, "user/user.ld", Path(scratch) / f"{name}.elf", "-s")
        kernel = sorted(p.name for p in KERNEL.iterdir() if p.suffix in (".c", ".S"))
        _compile(KERNEL, kernel, "kernel.ld", output, "-I", scratch, "-Wl,--entry=physical_start")


def _build_program(name: str, output: Path) -> None:
    """A program on the bare machine: NAME.S, or NAME.c, NAME_*.c and what all the C programs share."""
    sources = sorted(p.name for p in PROGRAMS.glob(f"{name}*.[cS]") if p.stem.split("_")[0] == name)
    if f"{name}.c" in sources:
        sources += sorted(f"support/{p.name}" for p in (PROGRAMS / "support").glob("*.[cS]"))
        sources += ["../kernel/format.c", "../kernel/memory.c"]
    _compile(PROGRAMS, sources, "program.ld", output, "-I", ".")


def _program_names() -> list[str]:
    return sorted({p.stem.split("_")[0] for p in PROGRAMS.glob("*.[cS]")})


_ON_THE_UNIT = {"rings": ("start.S", "rings.c"), "acts": ("acts.S",)}
"""Guests of the protection unit, with their sources."""
IMAGES: dict[str, Path] = {
    "teaching": KERNEL / "teaching.elf",
    **{name: RINGS / f"{name}.elf" for name in _ON_THE_UNIT},
    **{name: PROGRAMS / f"{name}.elf" for name in _program_names()},
}
"""Name of each of our own guests, and its committed image."""


def build(name: str, output: Path) -> None:
    """Build the image NAME into the file OUTPUT.

    Raises BuildError without the right compiler, for a mistake in the source, and for a name not in IMAGES.
    """
    if name not in IMAGES:
        raise BuildError(f"no guest named {name!r}: there are {', '.join(IMAGES)}")
    _check_compiler()
    if name == "teaching":
        _build_teaching(output)
    elif name in _ON_THE_UNIT:
        _compile(RINGS, _ON_THE_UNIT[name], "rings.ld", output)
    else:
        _build_program(name, output)


def _check_compiler() -> None:
    try:
        found = version("ziglang")
    except PackageNotFoundError:
        raise BuildError(f"building guests needs a compiler: pip install ziglang=={COMPILER}") from None
    if found != COMPILER:
        raise BuildError(
            f"ziglang {found} makes other code than the committed images: pip install ziglang=={COMPILER}"
        )


def main(names: Sequence[str]) -> int:
    """Build the named images, or all, into their committed places."""
    try:
        for name in names or IMAGES:
            build(name, IMAGES.get(name, Path()))
            print(f"{name}: {IMAGES[name].stat().st_size} bytes")
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
