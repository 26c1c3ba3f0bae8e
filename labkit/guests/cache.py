"""The user's cache directory: files appear in it whole or not at all, and are checked when used."""

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["directory", "sha256", "unpacked", "write"]


def directory() -> Path:
    """Where fetched files are kept: $LABKIT_CACHE, else $XDG_CACHE_HOME/labkit, else ~/.cache/labkit."""
    if chosen := os.environ.get("LABKIT_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "labkit"


def sha256(data: bytes) -> str:
    """SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path`; a reader, or a crash, sees the old file or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def unpacked(key: str) -> "Unpacked":
    """The cache entry for the unpacked form of the file whose SHA-256 is `key`."""
    return Unpacked(directory() / "unpacked" / f"{key}.elf")


class Unpacked:
    """One unpacked file and, beside it, its SHA-256: damage on disk is found, and the file made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._sum = path.with_suffix(".sha256")

    def read(self) -> bytes | None:
        """The contents, None when absent or damaged."""
        try:
            data = self.path.read_bytes()
            return data if self._sum.read_text("ascii").strip() == sha256(data) else None
        except (OSError, ValueError):
            return None

    def store(self, data: bytes) -> None:
        """Keep `data`; a cache that cannot be written costs time, not the start of the guest."""
        try:
            write(self.path, data)
            write(self._sum, f"{sha256(data)}\n".encode("ascii"))
        except OSError:
            return
