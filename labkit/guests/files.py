"""Reading image files: bounded in size, with errors that name the file."""

from pathlib import Path
from typing import TypeAlias

from labkit.guests.errors import GuestError

__all__ = ["MAX_FILE", "Source", "name_of", "read"]

Source: TypeAlias = Path | str | bytes
"""A path, or the file's contents."""

MAX_FILE = 512 << 20
"""Longest image file that is read, in bytes: more than any guest with 3 GB of memory can want."""


def name_of(source: Source, fallback: str = "image") -> str:
    """The file's name, or `fallback` for contents without a file."""
    return fallback if isinstance(source, bytes) else Path(source).name


def read(source: Source, what: str = "image") -> bytes:
    """The contents of `source`.

    Raises GuestError when the file cannot be read or is longer than MAX_FILE.
    """
    if isinstance(source, bytes):
        return source
    path = Path(source)
    try:
        if not path.is_file():  # a device or a pipe could go on for ever
            reason = "is not a file" if path.exists() else "does not exist"
            raise GuestError(f"{what} {path} {reason}; give the path of a file")
        size = path.stat().st_size
        if size > MAX_FILE:
            raise GuestError(f"{what} {path} has {size:,} bytes; labkit reads at most {MAX_FILE:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise GuestError(f"{what} {path} cannot be read: {error}") from None
