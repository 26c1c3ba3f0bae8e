"""The words of the debugger: operands as the listing shows them, numbers as people type them."""

import re

from labkit.widgets.notation import decimal, hexadecimal

__all__ = ["hex32", "in_words", "operands", "parse_number"]

_PREFIXED = re.compile(r"0x([0-9a-f]+)")
_SIZED = re.compile(r"\b(byte|word|dword|qword) ptr ")
_REGISTER = re.compile(r"(?:^|, )(?:e?(?:[abcd]x|[sd]i|[sb]p)|[abcd][lh]|[c-g]s|cr\d|dr\d)(?:,|$)")


def hex32(value: int) -> str:
    """A 32-bit value: `c010 4a1f`."""
    return hexadecimal(value & 0xFFFFFFFF)


def _h(match: re.Match[str]) -> str:
    digits = match[1]
    if len(digits) == 8:
        return f"{digits[:4]} {digits[4:]}"
    if len(digits) == 1 and digits.isdecimal():
        return digits
    digits = digits if digits[0].isdecimal() else f"0{digits}"  # ah is a register, 0ah is ten
    return f"{digits[:-4]} {digits[-4:]}h" if len(digits) > 5 else f"{digits}h"


def operands(text: str) -> str:
    """Operands as the listing shows them: no size where a register says it, no 0x, no blanks in brackets."""
    text = _SIZED.sub("", text) if _REGISTER.search(text) else _SIZED.sub(r"\1 ", text)
    return _PREFIXED.sub(_h, text).replace(" + ", "+").replace(" - ", "-")


def parse_number(text: str, base: int) -> int:
    """A number as people type it: blanks and commas are ignored, 0x or a final h makes it hexadecimal.

    Raises `ValueError` when it is none.
    """
    bare = re.sub(r"[\s,_]", "", text).lower()
    if bare.startswith("0x"):
        return int(bare, 0)
    if bare.endswith("h"):
        return int(bare[:-1], 16)
    return int(bare, base)


def in_words(count: int, thing: str) -> str:
    """`1 step`, `4 steps`."""
    return f"{decimal(count)} {thing}" + ("" if count == 1 else "s")
