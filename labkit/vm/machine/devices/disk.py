"""A disk's contents: an image that is never changed, and the sectors that the guest has written.

A saved state shares written sectors with the states before it (a chain of layers), so a checkpoint costs only
what was written since the last one.
"""

import mmap
import os
from pathlib import Path
from typing import TypeAlias

__all__ = ["SECTOR", "UNWRITTEN", "Disk", "Image", "Layer"]

SECTOR = 512
Image: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]


class Layer:
    """Sectors written between two checkpoints, on top of an earlier layer; immutable, compares by content."""

    __slots__ = ("parent", "sectors")

    def __init__(self, parent: "Layer | None", sectors: dict[int, bytes]) -> None:
        self.parent = parent
        self.sectors = sectors

    def flattened(self) -> dict[int, bytes]:
        """Every written sector with its newest contents."""
        layers: list[Layer] = []
        layer: Layer | None = self
        while layer is not None:
            layers.append(layer)
            layer = layer.parent
        sectors: dict[int, bytes] = {}
        for each in reversed(layers):
            sectors.update(each.sectors)
        return sectors

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer):
            return NotImplemented
        return self is other or self.flattened() == other.flattened()

    def __hash__(self) -> int:
        return hash(frozenset(self.flattened()))


UNWRITTEN = Layer(None, {})


def _contents(image: Image) -> bytes | memoryview | mmap.mmap:
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    path = Path(image)
    if not path.is_file():
        raise FileNotFoundError(f"no disk image at {path}; give a path to a raw image, or its bytes")
    if path.stat().st_size == 0:
        return b""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class Disk:
    """A raw image (bytes, or a path) in sectors of 512 bytes; a last partial sector is filled with zeros."""

    def __init__(self, image: Image) -> None:
        self._image = _contents(image)
        self.sectors = max(1, -(-len(self._image) // SECTOR))
        self._written: dict[int, bytes] = {}
        self._new: dict[int, bytes] = {}
        self._layer = UNWRITTEN

    def read(self, sector: int) -> bytes:
        """512 bytes."""
        written = self._written.get(sector)
        if written is not None:
            return written
        return bytes(self._image[sector * SECTOR : (sector + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def write(self, sector: int, data: bytes) -> None:
        """Keep 512 bytes in the overlay."""
        self._written[sector] = self._new[sector] = data

    def save(self) -> Layer:
        """What the guest has written."""
        if self._new:
            self._layer = Layer(self._layer, self._new)
            self._new = {}
        return self._layer

    def load(self, layer: Layer) -> None:
        """Inverse of `save`."""
        if layer is not self._layer or self._new:
            self._written = layer.flattened()
            self._new = {}
            self._layer = layer
