"""How a recording's machine is made again: from the image that is embedded, or by the recipe and its hash."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.boot import BootImage, Placement, StartState
from labkit.vm.replay.recording import VERSION, DiskImage, Header, Image, Recording, RecordingError

__all__ = ["Source", "embedded", "header", "is_small", "machine_of"]

SMALL = 4 << 20
"""Bytes up to which an image is put into the recording."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a guest came from: what `guests.boot` or `guests.boot_files` was called with."""

    guest: str = ""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    at: int | None = None
    firmware_path: bool = False


def digest(image: BootImage) -> str:
    """SHA-256 of what an image puts into memory and of its start state."""
    made = hashlib.sha256(repr(sorted(asdict(image.start).items())).encode())
    for placement in image.placements:
        made.update(f"{placement.address}:{len(placement.data)}:".encode())
        made.update(placement.data)
    return made.hexdigest()


def is_small(image: BootImage) -> bool:
    """Is it put into the recording itself?"""
    return sum(len(placement.data) for placement in image.placements) <= SMALL


def embedded(image: BootImage) -> Image:
    """An image as it is put into a recording."""
    placements = tuple((placement.address, bytes(placement.data)) for placement in image.placements)
    return Image(image.name, placements, asdict(image.start))


def header(machine: Machine, source: Source, disks: Sequence[Path]) -> Header:
    """The header for a machine that stands before its first instruction."""
    if machine.image is None:
        raise ValueError("the machine has no guest")
    described = []
    for path in disks:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        described.append(DiskImage(str(path), found, path.stat().st_size <= SMALL))
    return Header(
        VERSION, source.guest, source.kernel, source.initrd, source.append, source.at, source.firmware_path,
        machine.memory.size, machine.start_time, digest(machine.image), tuple(described),
    )  # fmt: skip


def machine_of(recording: Recording) -> Machine:
    """A machine in the recording's first state, before its first instruction. Raises RecordingError."""
    made, disks = recording.header, _disks(recording)
    if not 0 <= made.start_time < 1 << 33:
        raise RecordingError(f"the recording's calendar shows {made.start_time}, which is no date of a PC")
    image = _image(recording)
    try:
        machine = Machine(memory=made.memory, disks=disks, start_time=made.start_time)
        machine.load(image)
    except (ValueError, OverflowError) as error:
        raise RecordingError(f"the recording's machine cannot be made: {error}") from error
    return machine


def _image(recording: Recording) -> BootImage:
    wanted, problem, made = recording.header, "", None
    try:
        made = _from_recipe(wanted)
    except (guests.GuestError, OSError, ValueError) as error:
        problem = str(error)
    if made is not None and digest(made) == wanted.image_sha256:
        return made
    if recording.image is not None:
        return _from_embedded(recording.image, wanted)
    what = wanted.guest or wanted.kernel
    problem = problem or "what is here under that name is another version"
    raise RecordingError(f"the recording was made of {what!r}, which is needed to replay it: {problem}")


def _from_recipe(wanted: Header) -> BootImage:
    for name in filter(None, (wanted.kernel, wanted.initrd)):
        if not Path(name).is_file():  # and no device, which may never end
            raise FileNotFoundError(f"{name} is not here")
    if wanted.guest:
        return guests.boot(
            wanted.guest, memory=wanted.memory, append=wanted.append, initrd=wanted.initrd or None,
            firmware_path=wanted.firmware_path,
        )  # fmt: skip
    return guests.boot_files(
        wanted.kernel, wanted.initrd or None, wanted.append, wanted.memory, wanted.firmware_path, wanted.at
    )


def _from_embedded(found: Image, wanted: Header) -> BootImage:
    fields = set(asdict(StartState(0)))
    numbers = [*found.start.values(), *(address for address, _data in found.placements)]
    if set(found.start) != fields or not all(0 <= number < 1 << 32 for number in numbers):
        raise RecordingError("the recording's boot image has registers or addresses that do not exist")
    placements = tuple(Placement(address, data) for address, data in found.placements)
    made = BootImage(found.name, placements, StartState(**found.start))
    if digest(made) != wanted.image_sha256:
        raise RecordingError("the boot image in the recording is not the one its header names")
    return made


def _disks(recording: Recording) -> list[bytes | Path]:
    images, inside = [], iter(recording.disks)
    for described in recording.header.disks:
        image = next(inside, b"") if described.embedded else Path(described.path)
        if _sha256(image) != described.sha256:
            raise RecordingError(f"the disk image {described.path} is not what it was when recorded")
        images.append(image)
    return images


def _sha256(image: bytes | Path) -> str:
    if isinstance(image, bytes):
        return hashlib.sha256(image).hexdigest()
    if not image.is_file():  # and no device, which may never end
        raise RecordingError(f"the disk image of the recording, {image}, is not here")
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
