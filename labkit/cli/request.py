"""What `labkit run` was asked to do, checked before anything slow is imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labkit.cli.errors import CommandError
from labkit.cli.protection import PROTECTIONS
from labkit.cli.values import address, count, keystrokes, size
from labkit.vm.machine.devices.scancodes import text_to_set1

__all__ = ["Request"]

CLOCKS = ("virtual", "live")
ENGINES = ("hw", "bt")
DESCRIPTORS = ("shadow", "checked", "own")
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Request:
    """One run: the guest, its machine, and when it is over."""

    guest: str | None
    kernel: Path | None
    initrd: Path | None
    at: int | None
    """Physical address of raw code; None: the file says where it goes."""
    append: str
    disks: tuple[Path, ...]
    memory: int
    """Bytes."""
    firmware_path: bool
    until: bytes
    """Stop when the console has printed this; empty: do not wait for a text."""
    say: bytes
    """Typed on the console; empty: nothing."""
    after: bytes
    """What must have appeared before `say` is typed; empty: the guest's prompt."""
    keys: bytes
    """Scancodes (set 1) typed on the PS/2 keyboard; empty: none."""
    keys_after: str
    """What must be on the screen before `keys` are typed."""
    until_screen: str
    """Stop when this is on the screen; empty: do not look."""
    limit: int | None
    """Instructions."""
    clock: str
    interactive: bool
    """A person types."""
    engine: str = "hw"
    """How the guest is run."""
    protection: str = ""
    """How its privilege levels are kept apart (protection.py); empty: as the guest expects."""
    descriptors: str = ""
    """What translated code runs on (DESCRIPTORS); empty: shadows."""

    @classmethod
    def parse(
        cls, *, guest: str | None, kernel: Path | None, initrd: Path | None, at: str | None, append: str,
        disks: list[Path], memory: str, firmware_path: bool, until_text: str | None, say: str | None,
        input_after: str | None, limit: str | None, clock: str | None, terminal: bool,
        keys: str | None = None, keys_after: str | None = None, until_screen: str | None = None,
        engine: str = "hw", protection: str = "", descriptors: str = "",
    ) -> "Request":  # fmt: skip
        """Raises CommandError where the options do not go together or name what is not there."""
        if (guest is None) == (kernel is None):
            found = "both a guest and --kernel" if guest else "neither a guest nor --kernel"
            raise CommandError(f"{found} given; write `labkit run GUEST` or `labkit run --kernel FILE`")
        _check_texts({
            "--until-text": until_text, "--input": say, "--input-after": input_after,
            "--until-screen": until_screen, "--keys": keys, "--keys-after": keys_after,
        })  # fmt: skip
        if at is not None and kernel is None:
            raise CommandError("--at is for raw code in a file: give the file with --kernel")
        if input_after and not say:
            raise CommandError("--input-after says when to type; say what with --input")
        if bool(keys) != bool(keys_after):
            raise CommandError(
                "--keys and --keys-after go together: what is typed, and what the screen shows when it is time"
            )
        interactive = terminal and not (until_text or say or limit or keys or until_screen)
        if clock is None:
            clock = "live" if interactive else "virtual"
        if clock not in CLOCKS:
            raise CommandError(f"--clock {clock!r} is not known; it is virtual or live")
        if engine not in ENGINES:
            raise CommandError(
                f"--engine {engine!r} is not known; it is hw (hardware assistance) or bt (binary translation)"
            )
        if protection and protection not in PROTECTIONS:
            raise CommandError(f"--protection {protection!r} is not known; it is {', '.join(PROTECTIONS)}")
        if descriptors and descriptors not in DESCRIPTORS:
            raise CommandError(f"--descriptors {descriptors!r} is not known; it is {', '.join(DESCRIPTORS)}")
        if descriptors and engine != "bt":
            raise CommandError("--descriptors says what translated code runs on: it goes with --engine bt")
        for disk in disks:
            _check_disk(disk)
        return cls(
            guest, kernel, initrd, address(at) if at is not None else None, append, tuple(disks),
            size(memory), firmware_path,
            until=_bytes(until_text), say=keystrokes(say or ""), after=_bytes(input_after),
            keys=_scancodes(keys or ""), keys_after=keys_after or "", until_screen=until_screen or "",
            limit=count(limit) if limit is not None else None, clock=clock, interactive=interactive,
            engine=engine, protection=protection, descriptors=descriptors,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """What runs, for people."""
        return self.guest or str(self.kernel)


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


def _check_texts(texts: Mapping[str, str | None]) -> None:
    """No option's text is empty."""
    for name, text in texts.items():
        if text == "":
            raise CommandError(f"{name} is empty; give a text, or leave the option out")


def _scancodes(text: str) -> bytes:
    """The keys of a text, on a US keyboard."""
    typed = keystrokes(text).decode("utf-8", "replace").replace("\r", "\n")
    if without := [char for char in typed if not text_to_set1(char)]:
        raise CommandError(f"--keys: no key types {without[0]!r}; use ASCII characters, \\n, \\t and \\e")
    return text_to_set1(typed)


def _check_disk(path: Path) -> None:
    """The file can be read and holds a sector or more."""
    try:
        if path.is_dir():
            raise CommandError(f"--disk {path} is a folder; give a file with the disk's sectors")
        with path.open("rb") as file:
            if len(file.read(SECTOR)) < SECTOR:
                raise CommandError(f"--disk {path} is shorter than a sector ({SECTOR} bytes); give an image")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(f"--disk {path} cannot be read: {reason}") from None
