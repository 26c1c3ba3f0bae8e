"""A guest's settings: `name=value` words that are put into its variables, as a debugger would before the start."""

from collections.abc import Collection
from dataclasses import replace

from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement

__all__ = ["give"]


def give(image: BootImage, words: str, known: Collection[str]) -> BootImage:
    """The image with its 32-bit variables set: `rounds=200 turns=12`.

    Raises GuestError for a word that is no setting of `known`, or a number that does not fit.
    """
    for word in words.split():
        name, _, text = word.partition("=")
        if name not in known:
            names = ", ".join(known)
            raise GuestError(f"{word!r}: {image.name} has the settings {names}; write {next(iter(known))}=20")
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 32):
            raise GuestError(f"{word!r}: give {name} a number from 1 on")
        image = _put(image, name, int(text).to_bytes(4, "little"))
    return image


def _put(image: BootImage, name: str, value: bytes) -> BootImage:
    at = next(symbol.address for symbol in image.symbols if symbol.name == name)
    placements = tuple(_changed(placement, at, value) for placement in image.placements)
    if not any(placement.address <= at < placement.end for placement in placements):
        raise ValueError(f"{name} of {image.name} is in no part of the image: a zero variable that the linker left out")
    return replace(image, placements=placements)


def _changed(placement: Placement, at: int, value: bytes) -> Placement:
    if not placement.address <= at <= placement.end - len(value):
        return placement
    before = at - placement.address
    data = placement.data[:before] + value + placement.data[before + len(value) :]
    return replace(placement, data=data)
