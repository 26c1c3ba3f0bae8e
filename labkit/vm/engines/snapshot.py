"""What a binary translator holds at one time: its translations and the jumps between them, to be looked at."""

from dataclasses import dataclass

__all__ = ["Snapshot", "Translation"]


@dataclass(frozen=True, slots=True)
class Translation:
    """One translation: the guest's EIP, its linear address in the cache, and the EIPs that its jumps lead to."""

    eip: int
    address: int
    linked: tuple[int, ...]
    """By a jump straight to their translations."""
    asks: tuple[int, ...]
    """By the monitor, which it still asks for them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All translations, by guest EIP, and the bytes of the cache."""

    translations: tuple[Translation, ...]
    base: int
    """Linear address of the first byte."""
    code: bytes

    def find(self, eip: int) -> Translation | None:
        """The translation of the code at a guest EIP."""
        return next((one for one in self.translations if one.eip == eip), None)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the cache by linear address; fewer at its end."""
        return self.code[address - self.base : address - self.base + size] if address >= self.base else b""
