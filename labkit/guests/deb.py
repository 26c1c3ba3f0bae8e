"""Debian binary packages: an ar archive around a compressed tar archive, read without dpkg."""

import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import IO

import zstandard

from labkit.guests.errors import GuestError

__all__ = ["extract"]

_MAX_MEMBERS = 16
_MAX_FILE = 256 << 20

_MODES = {"": "r|", ".gz": "r|gz", ".xz": "r|xz", ".bz2": "r|bz2", ".lzma": "r|xz"}


def extract(
    package: bytes, wanted: Mapping[str, re.Pattern[str]], if_there: Mapping[str, re.Pattern[str]] | None = None
) -> dict[str, bytes]:
    """The files of a package whose whole path (without a leading "./") matches, by the keys of `wanted`.

    Raises GuestError when the package is damaged or one of the files is not in it; none of `if_there` must be.
    """
    looked_for = {**(if_there or {}), **wanted}
    name, data = next(((n, d) for n, d in _members(package) if n.startswith("data.tar")), ("", b""))
    if not name:
        raise GuestError("the package holds no data.tar: damaged or not a Debian package")
    found: dict[str, bytes] = {}
    try:
        with _open_tar(name, data) as archive:
            for member in archive:
                path = member.name.removeprefix("./")
                key = next((k for k, p in looked_for.items() if k not in found and p.fullmatch(path)), None)
                if key is None or not member.isfile():
                    continue
                found[key] = _contents(archive, member)
                if len(found) == len(looked_for):
                    break
    except (tarfile.TarError, lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError, OSError) as error:
        raise GuestError(f"{name} of the package is damaged: {error}") from None
    for key, pattern in wanted.items():
        if key not in found:
            raise GuestError(f"the package holds no file like {pattern.pattern}")
    return found


# "!<arch>\n", then per member 60 bytes, all ASCII, blank-padded:
#   0 name (16)   16 time (12)   28 owner (6)   34 group (6)   40 mode (8)   48 size (10)   58 "`\n"
# and the contents, padded to an even length.
def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each member of an ar archive (deb(5))."""
    if not archive.startswith(b"!<arch>\n"):
        raise GuestError("no ar archive (it does not start with !<arch>): not a Debian package")
    at = 8
    for _ in range(_MAX_MEMBERS):
        header = archive[at : at + 60]
        if not header:
            return
        digits = header[48:58].strip()
        if len(header) < 60 or header[58:] != b"`\n" or not digits.isdigit():
            raise GuestError(f"the ar archive is damaged at offset {at:#x}")
        at += 60
        size = int(digits)
        if at + size > len(archive):
            raise GuestError(f"the ar archive is cut off: a member of {size:,} bytes at offset {at:#x}")
        yield header[:16].decode("latin-1").strip().rstrip("/"), archive[at : at + size]
        at += size + size % 2


def _open_tar(name: str, data: bytes) -> tarfile.TarFile:
    suffix = name.removeprefix("data.tar")
    stream: IO[bytes] = io.BytesIO(data)
    if suffix == ".zst":
        return tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(stream), mode="r|")
    mode = _MODES.get(suffix)
    if mode is None:
        raise GuestError(f"the package's {name} is compressed in a way that labkit does not know")
    return tarfile.open(fileobj=stream, mode=mode)  # type: ignore[call-overload,no-any-return]


def _contents(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > _MAX_FILE:
        raise GuestError(
            f"{member.name} in the package has {member.size:,} bytes; at most {_MAX_FILE:,} are read"
        )
    file = archive.extractfile(member)
    return file.read() if file else b""
