"""Keyboard scancodes: set 1, set 2, the controller's translation between them, and how to type a text.

The table is the translation that the i8042 does in hardware (IBM PS/2 technical reference).
"""

__all__ = ["Translator", "press", "text_to_set1", "to_set2"]

# index: set 2 code; value: set 1 code; codes of 88h and more pass unchanged
SET2_TO_SET1 = bytes.fromhex(
    "ff43413f3d3b3c58 64444240 3e0f2959"
    "65382a701d10025a 66712c1f 1e11035b"
    "672e2d201205045c 68392f21 1413065d"
    "693130232215075e 6a723224 1608095f"
    "6b332517180b0a60 6c343526 27190c61"
    "6d7328741a0d626e 3a361c1b 752b6376"
    "55567778797a0e7b 7c4f7d4b 477e7f6f"
    "5253504c4d480145 574e514a 37494654"
    "8081824154858687"
)
BREAK_SET2 = 0xF0

SET1_TO_SET2 = {code: index for index, code in enumerate(SET2_TO_SET1)}  # F7 is 83h, not 02h


class Translator:
    """The controller's translation of set 2 to set 1; F0h (break) makes the next code a set 1 break code."""

    def __init__(self) -> None:
        self.break_next = False

    def to_set1(self, code: int) -> int | None:
        """The set 1 byte for a set 2 byte; None for F0h, which yields no byte of its own."""
        if code == BREAK_SET2:
            self.break_next = True
            return None
        translated = SET2_TO_SET1[code] if code < len(SET2_TO_SET1) else code
        if self.break_next:
            translated |= 0x80
        self.break_next = False
        return translated


def to_set2(code: int) -> bytes:
    """What a keyboard in set 2 sends where one in set 1 sends the byte `code`."""
    if code >= 0xE0:
        return bytes((code,))
    made = SET1_TO_SET2.get(code & 0x7F, code & 0x7F)
    return bytes((BREAK_SET2, made)) if code & 0x80 else bytes((made,))


UNSHIFTED = {
    **{char: 0x02 + i for i, char in enumerate("1234567890-=\b\tqwertyuiop[]\n")},
    **{char: 0x1E + i for i, char in enumerate("asdfghjkl;'`")},
    **{char: 0x2B + i for i, char in enumerate("\\zxcvbnm,./")},
    " ": 0x39,
    "\x1b": 0x01,
}
SHIFTED = {
    **{char: 0x02 + i for i, char in enumerate("!@#$%^&*()_+")},
    **{char: 0x10 + i for i, char in enumerate("QWERTYUIOP{}")},
    **{char: 0x1E + i for i, char in enumerate('ASDFGHJKL:"~')},
    **{char: 0x2B + i for i, char in enumerate("|ZXCVBNM<>?")},
}
LEFT_SHIFT = 0x2A


def press(code: int) -> bytes:
    """Press and release the key with set 1 code `code` (1 to 7Fh)."""
    return bytes((code, code | 0x80))


def text_to_set1(text: str) -> bytes:
    """Set 1 scancodes that type `text` on a US keyboard; characters without a key are left out."""
    codes = bytearray()
    for char in text:
        if char in UNSHIFTED:
            codes += press(UNSHIFTED[char])
        elif char in SHIFTED:
            codes += bytes((LEFT_SHIFT,)) + press(SHIFTED[char]) + bytes((LEFT_SHIFT | 0x80,))
    return bytes(codes)
