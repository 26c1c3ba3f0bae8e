"""Values as people type them: memory sizes, instruction counts, text with escapes."""

import os
import re

from labkit.cli.errors import CommandError

__all__ = ["address", "count", "keystrokes", "size"]

_SIZE = re.compile(r"(0x[0-9a-f]+|\d+)\s*(?:([kmg])(?:i?b)?)?", re.IGNORECASE | re.ASCII)
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_ADDRESS = re.compile(r"0x([0-9a-f]{1,8})|([0-9][0-9a-f]{0,8})h|(\d{1,10})", re.IGNORECASE | re.ASCII)
_COUNT = re.compile(r"(\d[\d_,]*(?:\.\d+)?(?:e\d{1,2})?)\s*([kmg]?)", re.IGNORECASE | re.ASCII)
_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.|$)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "e": "\x1b", "0": "\0", "\\": "\\"}


def size(text: str) -> int:
    """Bytes from `128M`, `512k`, `1G`, `0x8000000` or a plain number; the units are powers of 1024."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise CommandError(f"{text!r} is not a size; write it as 128M, 1G, 65536K or a number of bytes")
    return int(found[1], 0 if found[1][:2] in {"0x", "0X"} else 10) * _BINARY[(found[2] or "").lower()]


def address(text: str) -> int:
    """A 32-bit address: `0x100000`, `100000h`, or decimal digits."""
    found = _ADDRESS.fullmatch(text.strip())
    value = int(found[1] or found[2] or found[3], 10 if found[3] else 16) if found else 1 << 32
    if value >= 1 << 32:
        raise CommandError(f"{text!r} is not a 32-bit address; write it as 0x100000")
    return value


def count(text: str) -> int:
    """Instructions from `1e9`, `100M`, `2.5G` or `1_000_000`; the units are powers of 1000."""
    found = _COUNT.fullmatch(text.strip())
    if not found:
        raise CommandError(f"{text!r} is not a number of instructions; write it as 1e9, 100M or 1_000_000")
    digits = found[1].replace("_", "").replace(",", "")
    unit = _DECIMAL[found[2].lower()]
    whole = int(digits) * unit if digits.isdecimal() else round(float(digits) * unit)
    if whole < 1:
        raise CommandError(f"{text!r} is no instruction at all; give at least 1")
    return whole


def keystrokes(text: str) -> bytes:
    r"""The bytes that a terminal would send: `\n`, `\r`, `\t`, `\e`, `\0`, `\\` and `\xHH` are understood."""

    def key(match: re.Match[str]) -> str:
        name = match[1]
        if name[:1] == "x" and len(name) == 3:
            return os.fsdecode(bytes([int(name[1:], 16)]))
        if name not in _ESCAPES:
            raise CommandError(f"\\{name} in {text!r} is no escape; use \\n \\r \\t \\e \\0 \\\\ \\xHH")
        return _ESCAPES[name]

    return os.fsencode(_ESCAPE.sub(key, text))
