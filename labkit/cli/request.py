"""What `labkit run` was asked to do, checked before anything slow is imported."""

from dataclasses import dataclass
from pathlib import Path

from labkit.cli.errors import CommandError
from labkit.cli.values import address, count, keystrokes, size

__all__ = ["Request"]

CLOCKS = ("virtual", "live")
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
    limit: int | None
    """Instructions."""
    clock: str
    interactive: bool
    """A person types."""

    @classmethod
    def parse(
        cls, *, guest: str | None, kernel: Path | None, initrd: Path | None, at: str | None, append: str,
        disks: list[Path], memory: str, firmware_path: bool, until_text: str | None, say: str | None,
        input_after: str | None, limit: str | None, clock: str | None, terminal: bool,
    ) -> "Request":  # fmt: skip
        """Raises CommandError where the options do not go together or name what is not there."""
        if (guest is None) == (kernel is None):
            found = "both a guest and --kernel" if guest else "neither a guest nor --kernel"
            raise CommandError(f"{found} given; write `labkit run GUEST` or `labkit run --kernel FILE`")
        for name, text in (("--until-text", until_text), ("--input", say), ("--input-after", input_after)):
            if text == "":
                raise CommandError(f"{name} is empty; give a text, or leave the option out")
        if at is not None and kernel is None:
            raise CommandError("--at is for raw code in a file: give the file with --kernel")
        if input_after and not say:
            raise CommandError("--input-after says when to type; say what with --input")
        interactive = terminal and not (until_text or say or limit)
        if clock is None:
            clock = "live" if interactive else "virtual"
        if clock not in CLOCKS:
            raise CommandError(f"--clock {clock!r} is not known; it is virtual or live")
        for disk in disks:
            _check_disk(disk)
        return cls(
            guest, kernel, initrd, address(at) if at is not None else None, append, tuple(disks),
            size(memory), firmware_path,
            until=_bytes(until_text), say=keystrokes(say or ""), after=_bytes(input_after),
            limit=count(limit) if limit is not None else None, clock=clock, interactive=interactive,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """What runs, for people."""
        return self.guest or str(self.kernel)


def _bytes(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


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
