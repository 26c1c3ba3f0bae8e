"""Access rights of a page by privilege level, as Itanium's TLB has them: eight kinds of rights, four levels.

    AR          level 3 ......... 0, for a page of level 3       (0 is the most privileged level)
    0 R         r--  r--  r--  r--       4 R/RW     r--  rw-  rw-  rw-
    1 RX        r-x  r-x  r-x  r-x       5 RX/RWX   r-x  r-x  r-x  rwx
    2 RW        rw-  rw-  rw-  rw-       6 RWX/RW   rwx  rw-  rw-  rw-
    3 RWX       rwx  rwx  rwx  rwx       7 X/RX     --x  --x  --x  r-x

A level less privileged than the page's own has no rights, but on an AR 7 page anyone may execute.
Source: Itanium architecture manual, volume 2, table 4-2.
"""

from enum import StrEnum
from functools import cache

__all__ = ["ALL", "EXECUTE", "LEVELS", "NAMES", "READ", "RIGHTS", "WRITE", "Access", "allowed", "letters"]  # fmt: skip

READ, WRITE, EXECUTE = 1, 2, 4
ALL = READ | WRITE | EXECUTE
LEVELS, RIGHTS = range(4), range(8)
NAMES = ("R", "RX", "RW", "RWX", "R/RW", "RX/RWX", "RWX/RW", "X/RX")


class Access(StrEnum):
    """What an instruction does to a page."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"

    @property
    def bit(self) -> int:
        """Its bit in a mask of rights: READ, WRITE or EXECUTE."""
        return _BITS[self]


_BITS = {Access.READ: READ, Access.WRITE: WRITE, Access.EXECUTE: EXECUTE}


@cache
def allowed(rights: int, page_level: int, level: int) -> int:
    """What access rights `rights` of a page of `page_level` allow at privilege `level`: a mask.

    Raises `ValueError` for rights outside 0..7 or a level outside 0..3.
    """
    if rights not in RIGHTS or page_level not in LEVELS or level not in LEVELS:
        raise ValueError(f"access rights {rights}, page level {page_level}, level {level}: 0..7, 0..3, 0..3")
    if rights == 7:
        return EXECUTE | (READ if level == 0 else 0)
    if level > page_level:
        return 0
    if rights == 4:
        return READ | (WRITE if level < page_level or level == 0 else 0)
    if rights == 5:
        return READ | EXECUTE | (WRITE if level == 0 else 0)
    if rights == 6:
        return READ | WRITE | (EXECUTE if level == page_level and level != 0 else 0)
    return (READ, READ | EXECUTE, READ | WRITE, ALL)[rights]


def letters(mask: int) -> str:
    """A mask of rights as `rwx` with a dash for what is missing."""
    return "".join(letter if mask & 1 << i else "-" for i, letter in enumerate("rwx"))
