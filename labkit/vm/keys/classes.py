"""Rights classes: all that the access rights and level of a page mean, as one vector of rights by guest level.

    class(AR, page level) = (rights at level 0, at 1, at 2, at 3)         32 combinations, 26 different vectors
    shadow AR(class)      = the union over the levels: R -> 0, RX -> 1, RW -> 2, RWX -> 3

The shadow rights do not depend on the guest's level; they permit everything that some level may do, so for some
levels too much. Each union contains R, because level 0 reads every page; so the four plain kinds are enough, and
AR 7, whose pages promote whoever executes EPC there, never gets into the hardware.

The patent's own table is not known to us; this one is derived, and checked exhaustively (tests/vm/keys).
"""

from dataclasses import dataclass
from functools import reduce
from itertools import product
from operator import or_

from labkit.vm.machine.access_rights import ALL, EXECUTE, LEVELS, READ, RIGHTS, WRITE, allowed, letters

__all__ = ["CLASSES", "PLAIN", "RightsClass", "class_of", "shadow_rights"]

PLAIN = {READ: 0, READ | EXECUTE: 1, READ | WRITE: 2, ALL: 3}
"""The access rights that mean the same on every level, by what they allow."""


@dataclass(frozen=True, slots=True)
class RightsClass:
    """`vector[g]` is what guest level g may do; `number` only names the class."""

    number: int
    vector: tuple[int, int, int, int]

    @property
    def union(self) -> int:
        """What some level may do."""
        return reduce(or_, self.vector)

    def denied(self, level: int) -> int:
        """What the shadow rights permit too much at a guest level: the bits that a key must disable."""
        return self.union & ~self.vector[level]

    def __str__(self) -> str:
        return f"class {self.number:2}: " + " ".join(letters(mask) for mask in self.vector)


def _vector(rights: int, page_level: int) -> tuple[int, int, int, int]:
    a, b, c, d = (allowed(rights, page_level, level) for level in LEVELS)
    return a, b, c, d


_FOUND = dict.fromkeys(_vector(*pair) for pair in product(RIGHTS, LEVELS))
CLASSES = tuple(RightsClass(number, vector) for number, vector in enumerate(_FOUND))
"""The 26 classes, in order of the first access rights that have them."""
_BY_VECTOR = {known.vector: known for known in CLASSES}
_TABLE = tuple(tuple(_BY_VECTOR[_vector(rights, level)] for level in LEVELS) for rights in RIGHTS)


def class_of(rights: int, page_level: int) -> RightsClass:
    """The class of a page's access rights 0..7 and level 0..3."""
    return _TABLE[rights][page_level]


def shadow_rights(found: RightsClass) -> int:
    """The access rights 0..3 that the hardware's entry gets: they permit what some level of the guest may do."""
    return PLAIN[found.union]
