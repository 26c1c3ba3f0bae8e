"""The catalog: guests by name, and how each becomes a boot image."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from labkit.guests import files, image, initrd, layout, linux, multiboot, settings
from labkit.guests.errors import GuestError
from labkit.guests.fetch import fetched
from labkit.vm.machine.boot import BootImage

__all__ = ["LINUX_COMMAND_LINE", "RINGS_SETTINGS", "Guest", "boot", "boot_files", "guest", "names"]

_LINUX_WORDS = (
    "console=ttyS0",  # messages and the shell on the first serial port
    "nolapic acpi=off",  # the 8259 pair and the 8254 do; calibrating the APIC timer takes 45 M instructions
    "noisapnp",  # looking for ISA Plug and Play cards takes 35 M
    "tsc=reliable",  # with the live clock, the host's pauses are no fault of the TSC
    "mitigations=off",  # this processor does not speculate
    "cryptomgr.notests",  # self tests take 3,000 M
)
LINUX_COMMAND_LINE = " ".join(_LINUX_WORDS)
"""The command line of every Linux that labkit boots; what the user appends comes after it, and so wins."""

# Start-up work of Debian's kernel that a shell does without: names for the function tracer and tracefs,
# trusted keys for modules, a self test. Together 163 of 303 million instructions up to the prompt.
_DEBIAN_WORDS = (
    "initcall_blacklist=ftrace_check_for_weak_functions,trace_eval_init,tracer_init_tracefs,"
    "load_system_certificate_list,blake2s_mod_init"
)

_MEMTEST_WORDS = "nopause console=ttyS0,115200"  # start at once; show the screen on the serial port too

_HERE = Path(__file__).parent
_TEACHING = _HERE / "kernel" / "teaching.elf"
_PROGRAMS = _HERE / "programs"
_RINGS = _HERE / "rings" / "rings.elf"

RINGS_SETTINGS = ("rounds", "turns", "work_pages", "kernel_pages", "components", "skip_trials")
"""The words that `boot("rings", append=...)` takes; see `labkit.vm.keys.rings.Rings`."""


@dataclass(frozen=True, slots=True)
class _Options:
    """What `boot` was called with."""

    memory: int
    append: str
    initrd: files.Source | None
    firmware_path: bool


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest that labkit knows by name."""

    name: str
    description: str
    prompt: str
    """What it prints on the serial port when it waits for a command; empty if it takes none."""
    fetch: bool
    """Whether it has to be fetched before it can be booted."""
    load: Callable[[_Options], BootImage] = field(repr=False)


def names() -> tuple[str, ...]:
    """The names of all guests, those that need no fetching first."""
    return tuple(_guests())


def guest(name: str) -> Guest:
    """The guest of that name. Raises GuestError if there is none."""
    known = _guests()
    if name not in known:
        raise GuestError(
            f"no guest is named {name!r}; there are {', '.join(known)}.\nFor a file: --kernel FILE"
        )
    return known[name]


def boot(
    name: str, *, memory: int = layout.DEFAULT_MEMORY, append: str = "", initrd: files.Source | None = None,
    firmware_path: bool = False,
) -> BootImage:  # fmt: skip
    """The boot image of a guest by name, for `memory` bytes.

    `append` is added to its command line; `initrd` takes the place of its own; with `firmware_path` a Linux
    kernel unpacks itself. Raises GuestError when there is none, or it is not fetched or does not fit.
    """
    booted = guest(name).load(_Options(memory, append, initrd, firmware_path))
    return replace(booted, name=name)


def boot_files(
    kernel: files.Source, initrd: files.Source | None = None, append: str = "",
    memory: int = layout.DEFAULT_MEMORY, firmware_path: bool = False, at: int | None = None,
) -> BootImage:  # fmt: skip
    """The boot image of a kernel of any kind that `image` tells apart; Linux gets LINUX_COMMAND_LINE first.

    Raises GuestError for a file that cannot be booted, and says why.
    """
    words = append
    if linux.is_compressed_kernel(files.read(kernel, "kernel")):
        words = _linux_words(append, firmware_path)
    return image.load(
        kernel, memory=memory, cmdline=words, initrd=initrd, at=at, firmware_path=firmware_path
    )  # fmt: skip


def _guests() -> dict[str, Guest]:
    """The images that are there; programs are found, so that a new one needs no entry here."""
    ours = [
        Guest(path.stem, _first_words(path), "", False, partial(_program, path))
        for path in sorted(_PROGRAMS.glob("*.elf"))
    ]
    if _TEACHING.is_file():
        ours.insert(0, Guest("teaching", _TEACHING_WORDS, "$ ", False, _teaching))
    if _RINGS.is_file():
        ours.append(Guest("rings", _RINGS_WORDS, "", False, _rings))
    real = [
        Guest("linux", "Debian's Linux 6.1 (686, not PAE) with a busybox shell", initrd.PROMPT, True, _linux),
        Guest("linux-net", "the same with the network card's drivers: ping 10.0.2.2", initrd.PROMPT, True, _linux_net),
        Guest("memtest86+", "memory test on the VGA screen", "", True, _memtest),
    ]
    return {known.name: known for known in ours + real}


_TEACHING_WORDS = "our own kernel: paging, user mode, system calls, timer; boots to a shell"


_RINGS_WORDS = "lab 2: four rings on a protection unit, every access that may fail; runs on its own machine"


def _first_words(program: Path) -> str:
    """The first comment line of the source that lies beside a program."""
    for source in (program.with_suffix(".S"), program.with_suffix(".c")):
        if source.is_file():
            return source.read_text("utf-8").partition("\n")[0].strip("/*# ")
    return "a program on the bare machine"


def _program(path: Path, options: _Options) -> BootImage:
    return image.load(path, memory=options.memory, cmdline=options.append, initrd=options.initrd)


def _teaching(options: _Options) -> BootImage:
    modules = [] if options.initrd is None else [options.initrd]
    return multiboot.load(_TEACHING, options.append, modules, options.memory)


def _rings(options: _Options) -> BootImage:
    if options.initrd is not None:
        raise GuestError("rings takes no initrd; leave it out")
    booted = replace(multiboot.load(_RINGS, "", [], options.memory), name="rings", mmu="keys")
    return settings.give(booted, options.append, RINGS_SETTINGS)


def _linux_net(options: _Options) -> BootImage:
    return _linux(options, "linux-net", ("8390p.ko", "ne.ko"))


def _linux(options: _Options, name: str = "linux", drivers: tuple[str, ...] = ()) -> BootImage:
    parts = _parts(name)
    ram_disk = options.initrd
    if ram_disk is None:
        found = {driver: files.read(parts[driver], driver) for driver in drivers}
        ram_disk = initrd.busybox_initrd(files.read(parts["busybox"], "busybox"), found)
    words = _linux_words(f"{_DEBIAN_WORDS} {options.append}".strip(), options.firmware_path)
    return linux.load(parts["vmlinuz"], ram_disk, words, options.memory, options.firmware_path)


def _linux_words(append: str, firmware_path: bool) -> str:
    """The whole command line; only the decompressor knows nokaslr (the kernel at its usual address)."""
    return " ".join(filter(None, (LINUX_COMMAND_LINE, "nokaslr" if firmware_path else "", append)))


def _memtest(options: _Options) -> BootImage:
    if options.initrd is not None:
        raise GuestError("memtest86+ takes no initrd; leave it out")
    words = f"{_MEMTEST_WORDS} {options.append}".strip()
    return linux.load(_parts("memtest86+")["memtest.bin"], None, words, options.memory)


def _parts(name: str) -> dict[str, Path]:
    present = fetched(name)
    if present is None:
        raise GuestError(f"{name} is not fetched yet; write: labkit fetch {name}")
    return present.files
