"""Guest images of whatever kind: told apart by their contents, and handed to the loader of that kind.

A file that is compressed as a whole is unpacked first, as boot loaders do.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum

from labkit.guests import compression, elf, files, flat, layout, linux, multiboot
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage

__all__ = ["Kind", "kind_of", "load"]


class Kind(StrEnum):
    """Kinds of image that labkit boots."""

    BZIMAGE = "bzImage (Linux boot protocol)"
    MULTIBOOT = "Multiboot kernel"
    ELF = "ELF executable"
    FLAT = "flat image"


_WHOLE_FILES = ("gzip", "xz")


def kind_of(data: bytes) -> Kind:
    """What `data` is: by its signatures, a flat image if it has none."""
    if linux.is_bzimage(data):
        return Kind.BZIMAGE
    if multiboot.is_multiboot(data):
        return Kind.MULTIBOOT
    return Kind.ELF if elf.is_elf(data) else Kind.FLAT


def load(
    source: files.Source, *, memory: int = layout.DEFAULT_MEMORY, cmdline: str = "",
    initrd: files.Source | None = None, modules: Sequence[files.Source] = (), at: int | None = None,
    firmware_path: bool = False,
) -> BootImage:  # fmt: skip
    """The boot image of a file of any kind; `at` makes it a flat image at that address.

    For a Multiboot kernel the initrd is the first module. Raises GuestError when the file is of no known kind
    and `at` is not given, when its kind takes no initrd or command line, and for all that its loader refuses.
    """
    layout.check_memory(memory)
    data = files.read(source)
    if at is None and compression.kind_of(data) in _WHOLE_FILES:
        inside, name = compression.unpack(data, files.MAX_FILE), files.name_of(source)
        if kind_of(inside) is Kind.FLAT:
            raise GuestError(f"{name} is a compressed file with no kernel in it ({inside[:8].hex(' ') or 'nothing'})")
        loaded = load(
            inside, memory=memory, cmdline=cmdline, initrd=initrd, modules=modules, firmware_path=firmware_path
        )
        return replace(loaded, name=name)
    kind = Kind.FLAT if at is not None else kind_of(data)
    extra = [*([] if initrd is None else [initrd]), *modules]
    if kind is Kind.BZIMAGE and not modules:
        return linux.load(source, initrd, cmdline, memory, firmware_path)
    if kind is Kind.MULTIBOOT:
        return multiboot.load(source, cmdline, extra, memory)
    if extra:
        raise GuestError(
            f"{files.name_of(source)} is a {kind}, which takes no initrd or modules; leave them out"
        )
    if cmdline:
        raise GuestError(f"{files.name_of(source)} is a {kind}, which takes no command line; leave it out")
    if kind is Kind.ELF:
        return elf.load(source, memory)
    if at is None:
        raise GuestError(
            f"{files.name_of(source)} is no bzImage, Multiboot kernel or 32-bit ELF file (it starts with"
            f" {data[:8].hex(' ') or 'nothing'}); raw code needs its address (--at 0x100000)"
        )
    return flat.load(source, at, memory)
