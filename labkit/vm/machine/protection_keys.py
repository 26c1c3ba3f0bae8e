"""Protection-key registers: which keys the running program holds, and what each does not let it do.

    31                    8 7   4  3   2   1   0
    |         key          | ign |xd |rd |wd | v |     a page's key must match a valid register,
                                                       and no disable bit stand against the access

Nothing here knows of privilege levels. Source: Itanium architecture manual, volume 2, section 4.1.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from labkit.vm.machine.access_rights import EXECUTE, READ, WRITE

__all__ = ["EMPTY", "KEY_BITS", "KeyRegister", "KeyRegisters"]

KEY_BITS = 24


@dataclass(frozen=True, slots=True)
class KeyRegister:
    """One register: a key, and the accesses that it disables as a mask of READ, WRITE, EXECUTE."""

    key: int
    disabled: int = 0
    valid: bool = True

    @property
    def word(self) -> int:
        """The register as its 32 bits."""
        write, read = self.disabled & WRITE, self.disabled & READ
        return self.key << 8 | (self.disabled & EXECUTE) << 1 | read << 2 | write | self.valid

    @classmethod
    def from_word(cls, word: int) -> "KeyRegister":
        """Inverse of `word`."""
        disabled = (word & 8) >> 1 | (word & 4) >> 2 | word & 2
        return cls(word >> 8 & (1 << KEY_BITS) - 1, disabled, bool(word & 1))

    def __str__(self) -> str:
        if not self.valid:
            return "free"
        kept = "".join(x if not self.disabled & 1 << i else "-" for i, x in enumerate("rwx"))
        return f"{self.key:03x} {kept}"


EMPTY = KeyRegister(0, 0, valid=False)


class KeyRegisters:
    """A file of `size` key registers.

    A key is in one valid register at most: writing it into another clears the valid bit of the first, and no other
    bit, as the processor does.
    Raises `ValueError` for fewer than one register.
    """

    def __init__(self, size: int = 16) -> None:
        if size < 1:
            raise ValueError(f"{size} key registers: at least one")
        self._registers = [EMPTY] * size
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._registers)

    def __getitem__(self, index: int) -> KeyRegister:
        return self._registers[index]

    def __setitem__(self, index: int, register: KeyRegister) -> None:
        old = self._registers[index]
        if old.valid:
            del self._places[old.key]
        if register.valid:
            twin = self._places.get(register.key)
            if twin is not None:
                self._registers[twin] = replace(self._registers[twin], valid=False)
            self._places[register.key] = index
        self._registers[index] = register

    def __iter__(self) -> Iterator[KeyRegister]:
        return iter(tuple(self._registers))

    def load(self, registers: Sequence[KeyRegister]) -> None:
        """Hold these. Raises `ValueError` for another number of them than the file's size."""
        if len(registers) != len(self._registers):
            raise ValueError(f"{len(registers)} registers for a file of {len(self._registers)}")
        for index in range(len(registers)):
            self[index] = EMPTY
        for index, register in enumerate(registers):
            self[index] = register

    def find(self, key: int) -> int | None:
        """Number of the valid register that holds this key."""
        return self._places.get(key)

    def get(self, key: int) -> KeyRegister | None:
        """The valid register that holds this key."""
        place = self._places.get(key)
        return None if place is None else self._registers[place]

    @property
    def free(self) -> int | None:
        """Number of the first register that holds no key."""
        return next((i for i, register in enumerate(self._registers) if not register.valid), None)
