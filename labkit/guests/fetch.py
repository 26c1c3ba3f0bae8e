"""Fetching real guests: Debian's Linux, busybox and memtest86+, through the system's apt into the cache."""

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from labkit.guests import cache, deb
from labkit.guests.apt import Apt, Offer, Progress
from labkit.guests.errors import GuestError

__all__ = ["Fetched", "Package", "fetch", "fetchable", "fetched"]

_MAX_MANIFEST = 1 << 16


class Package(msgspec.Struct, frozen=True):
    """A package that files were taken from."""

    name: str
    version: str
    sha256: str


class _Manifest(msgspec.Struct, frozen=True):
    """What manifest.json in a guest's cache directory says: packages, and the SHA-256 of each file."""

    packages: list[Package]
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched guest: its files, verified, and the packages that they came from."""

    name: str
    files: dict[str, Path]
    packages: tuple[Package, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """One package of a guest: the names it may have, best first, and the files wanted from it."""

    choices: Callable[[Apt], list[str]]
    what: str
    files: dict[str, re.Pattern[str]]


@dataclass(frozen=True, slots=True)
class _Recipe:
    parts: tuple[_Part, ...]
    instead: str
    beside: str = ""
    """A guest of the same packages: it comes with this one where they have its files, and is not downloaded."""


_KERNEL = re.compile(r"linux-image-(\d+)\.(\d+)\.(\d+)-(\d+)-686(-unsigned)?")


def _kernels(apt: Apt) -> list[str]:
    """Kernels for 686 without PAE: what the metapackage names, the newest of 6.1, the newest at all."""

    def rank(match: re.Match[str]) -> tuple[bool, tuple[int, ...], bool]:
        version = tuple(int(n) for n in match.groups()[:4])
        return version[:2] == (6, 1), version, match[5] is None

    others = [match for name in apt.names("linux-image-") if (match := _KERNEL.fullmatch(name))]
    named = [name for name in apt.depends("linux-image-686") if _KERNEL.fullmatch(name)]
    return list(dict.fromkeys(named + [match[0] for match in sorted(others, key=rank, reverse=True)]))


_VMLINUZ = {"vmlinuz": re.compile(r"boot/vmlinuz-[\w.+~-]+")}
_DRIVERS = {
    name: re.compile(rf"(usr/)?lib/modules/[\w.+~-]+/kernel/drivers/net/ethernet/8390/{re.escape(name)}")
    for name in ("8390p.ko", "ne.ko")
}
_BUSYBOX = _Part(lambda _: ["busybox-static"], "busybox-static", {"busybox": re.compile(r"(usr/)?bin/busybox")})

_RECIPES = {
    "linux": _Recipe(
        (_Part(_kernels, "linux-image-*-686", _VMLINUZ), _BUSYBOX), "--kernel FILE --initrd FILE", "linux-net"
    ),
    "linux-net": _Recipe(
        (_Part(_kernels, "linux-image-*-686", _VMLINUZ | _DRIVERS), _BUSYBOX), "--kernel FILE --initrd FILE", "linux"
    ),
    "memtest86+": _Recipe(
        (
            _Part(
                lambda _: ["memtest86+"],
                "memtest86+",
                {"memtest.bin": re.compile(r"boot/(memtest86\+|mt86\+)?ia32(\.bin)?")},
            ),
        ),
        "--kernel FILE",
    ),
}


def fetchable() -> tuple[str, ...]:
    """Names of the guests that `fetch` obtains."""
    return tuple(_RECIPES)


def fetched(name: str) -> Fetched | None:
    """The guest `name` if it is in the cache and its files have the recorded SHA-256, else None."""
    directory = cache.directory() / name
    try:
        raw = (directory / "manifest.json").read_bytes()[:_MAX_MANIFEST]
        manifest = msgspec.json.decode(raw, type=_Manifest)
        wanted = [file for part in _RECIPES[name].parts for file in part.files]
        for file in wanted:
            if cache.sha256((directory / file).read_bytes()) != manifest.files[file]:
                return None
    except (OSError, KeyError, msgspec.MsgspecError, ValueError):
        return None
    return Fetched(name, {file: directory / file for file in wanted}, tuple(manifest.packages))


def fetch(name: str, progress: Progress | None = None, *, again: bool = False) -> Fetched:
    """Obtain the guest `name` unless it is in the cache; `again` looks for newer packages.

    Raises GuestError when there is no apt here, no network, no such package, or no room on the disk.
    """
    if name not in _RECIPES:
        raise GuestError(f"no guest {name!r} to fetch; there are: {', '.join(_RECIPES)}")
    if not again and (present := fetched(name)):
        return present
    recipe = _RECIPES[name]
    try:
        home = cache.directory()
        home.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=home, prefix=".apt."))
        try:
            beside = recipe.beside if recipe.beside and (again or fetched(recipe.beside) is None) else ""
            _obtain(home, name, beside, Apt(work), progress or (lambda *_: None))
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except GuestError as error:
        raise GuestError(
            f"{name} cannot be fetched: {error}.\nGive files instead: {recipe.instead}"
        ) from None
    except OSError as error:
        raise GuestError(f"{name} cannot be kept in {cache.directory()}: {error}") from None
    if present := fetched(name):
        return present
    raise GuestError(
        f"{name} was fetched, but its files in {cache.directory() / name} do not stay as written"
    )


def _obtain(home: Path, name: str, beside: str, apt: Apt, progress: Progress) -> None:
    apt.update(progress)
    packages, files = [], dict[str, bytes]()
    parts = _RECIPES[name].parts
    for part, other in zip(parts, _RECIPES[beside].parts if beside else parts, strict=True):
        offer, package = _download(part, apt, progress)
        packages.append(Package(offer.package, offer.version, cache.sha256(package)))
        files |= deb.extract(package, part.files, other.files)
    for guest in filter(None, (beside, name)):
        wanted = [file for part in _RECIPES[guest].parts for file in part.files]
        if all(file in files for file in wanted):
            _keep(home / guest, packages, {file: files[file] for file in wanted})


def _keep(directory: Path, packages: list[Package], files: dict[str, bytes]) -> None:
    for file, contents in files.items():
        cache.write(directory / file, contents)
    manifest = _Manifest(packages, {file: cache.sha256(contents) for file, contents in files.items()})
    cache.write(directory / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=2))


def _download(part: _Part, apt: Apt, progress: Progress) -> tuple[Offer, bytes]:
    """The first of the part's packages that can be had."""
    offers = [offer for name in part.choices(apt)[:4] if (offer := apt.offer(name))]
    if not offers:
        raise GuestError(f"this system's package sources have no {part.what} for i386")
    for offer in offers[:-1]:
        try:
            return offer, apt.download(offer, progress)
        except GuestError:  # e.g. a source in the middle of being updated: the next may be whole
            continue
    return offers[-1], apt.download(offers[-1], progress)
