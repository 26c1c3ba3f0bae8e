"""8237A DMA controllers and page registers as latches: they remember what is written, and move nothing.

No device on this board uses ISA DMA; guests probe and initialize the chips all the same. Source: Intel 8237A
data sheet. Page registers at 81h-8Fh (80h is the power-on code).
"""

from typing import NamedTuple

__all__ = ["Dma", "DmaState"]


class DmaState(NamedTuple):
    """Address and count words (4 channels of 2 words, both chips), byte flip-flops, masks, page registers."""

    words: tuple[int, ...]
    high: tuple[bool, bool]
    pages: bytes
    masks: tuple[int, int]


class Dma:
    """Both controllers: ports 00h-0Fh, and C0h-DFh with every register at an even port."""

    name = "dma"
    ports = (range(0x10), range(0x81, 0x90), range(0xC0, 0xE0))
    wide: tuple[range, ...] = ()

    def __init__(self) -> None:
        self._words = [0] * 16
        self._high = [False, False]
        self._pages = bytearray(16)
        self._masks = [15, 15]

    def read(self, port: int, size: int) -> int:
        """IN."""
        if 0x80 < port < 0x90:
            return self._pages[port & 15]
        chip, register = (0, port) if port < 0x10 else (1, port - 0xC0 >> 1)
        if register < 8:
            word = self._words[chip * 8 + register]
            self._high[chip] = not self._high[chip]
            return word & 0xFF if self._high[chip] else word >> 8
        return self._masks[chip] | 0xF0 if register == 15 else 0

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        if 0x80 < port < 0x90:
            self._pages[port & 15] = value
            return
        chip, register = (0, port) if port < 0x10 else (1, port - 0xC0 >> 1)
        if register < 8:
            place = chip * 8 + register
            word, high = self._words[place], self._high[chip]
            self._words[place] = word & 0xFF | value << 8 if high else word & 0xFF00 | value
            self._high[chip] = not high
        elif register == 10:
            bit = 1 << (value & 3)
            self._masks[chip] = self._masks[chip] | bit if value & 4 else self._masks[chip] & ~bit
        elif register == 12:
            self._high[chip] = False
        elif register == 13:
            self._high[chip], self._masks[chip] = False, 15
        elif register == 14:
            self._masks[chip] = 0
        elif register == 15:
            self._masks[chip] = value & 15

    def deadline(self) -> int | None:
        """None."""
        return None

    def on_time(self, now: int) -> None:
        """Nothing."""

    def save(self) -> DmaState:
        """The latches."""
        return DmaState(
            tuple(self._words),
            (self._high[0], self._high[1]),
            bytes(self._pages),
            (self._masks[0], self._masks[1]),
        )

    def load(self, state: DmaState) -> None:
        """Inverse of `save`."""
        self._words[:] = state.words
        self._high[:] = state.high
        self._pages[:] = state.pages
        self._masks[:] = state.masks
