"""Edits as people write them: a register's new value, bytes for memory."""

from labkit.vm.machine.state import GENERAL
from labkit.widgets.debugger.command import CommandError
from labkit.widgets.debugger.places import MASK
from labkit.widgets.debugger.words import parse_number

__all__ = ["LONGEST", "byte_values", "register_value"]

EDITABLE = (*GENERAL, "eip", "eflags")
LONGEST = 256
"""Bytes that one edit may change."""


def register_value(shown: str, text: str) -> tuple[str, int]:
    """The register's name for the machine, and the value. Raises CommandError."""
    name = "eflags" if shown == "flags" else shown
    if name not in EDITABLE:
        raise CommandError(f"{shown!r} cannot be changed: name one of {', '.join(EDITABLE)}")
    try:
        value = parse_number(text, 16)
    except ValueError:
        value = -1
    if not 0 <= value <= MASK:
        raise CommandError(f"{shown} = {text!r}: write up to eight hexadecimal digits")
    return name, value


def byte_values(text: str) -> bytes:
    """Bytes in hexadecimal, such as `90 90`, or characters in quotes. Raises CommandError."""
    text = text.strip()
    try:
        quoted = len(text) > 2 and text[0] == text[-1] and text[0] in "'\""
        data = text[1:-1].encode("latin1") if quoted else bytes.fromhex(text)
    except ValueError:
        data = b""
    if not 0 < len(data) <= LONGEST:
        raise CommandError(f"bytes {text!r}: write 1 to {LONGEST} in hexadecimal (90 90), or characters in quotes")
    return data
