"""VGA in text mode 3 (80 x 25, 16 colours): the registers; the text itself is plain memory at B8000h.

Source: IBM VGA technical reference (PS/2 Hardware Interface); register values of mode 3 as a VGA BIOS sets
them. Nothing else is drawn: a guest that programs a graphics mode is not shown.
"""

from typing import Any, NamedTuple, Protocol

from labkit.vm.machine.clock import Clock

__all__ = ["TEXT_BASE", "TEXT_BYTES", "Bytes", "Vga", "VgaState"]

TEXT_BASE = 0xB8000
TEXT_BYTES = 0x8000
COLUMNS, ROWS = 80, 25
LINE_NS, LINES = 31_778, 449  # 31.469 kHz, 70.09 Hz
SHOWN_LINES, RETRACE_LINES, SHOWN_NS = 400, range(412, 414), 25_422

CRTC = bytes.fromhex("5f4f50825581bf1f 004f0d0e00000000 9c8e8f281f96b9a3 ff")
SEQUENCER = bytes.fromhex("0300030002")
GRAPHICS = bytes.fromhex("0000000000100e00ff")
ATTRIBUTE = bytes.fromhex("000102030405140738393a3b3c3d3e3f0c000f0800")
MISC = 0x67

GLYPHS_BELOW_20H = (
    " \u263a\u263b\u2665\u2666\u2663\u2660\u2022\u25d8\u25cb\u25d9\u2642\u2640\u266a\u266b\u263c"
)
GLYPHS_BELOW_20H += (
    "\u25ba\u25c4\u2195\u203c\u00b6\u00a7\u25ac\u21a8\u2191\u2193\u2192\u2190\u221f\u2194\u25b2\u25bc"
)
CP437 = GLYPHS_BELOW_20H + bytes(range(0x20, 0x7F)).decode("ascii") + "\u2302"
CP437 += bytes(range(0x80, 0xFF)).decode("cp437") + " "


class Bytes(Protocol):
    """Physical memory as far as the screen needs it."""

    def __getitem__(self, key: slice, /) -> Any:
        """The bytes at the addresses of `key`, as anything that `bytes` takes."""
        ...


class VgaState(NamedTuple):
    """Register files, their indexes, the attribute flip-flop and the palette with its state machine."""

    crtc: bytes
    sequencer: bytes
    graphics: bytes
    attribute: bytes
    palette: bytes
    crtc_index: int
    sequencer_index: int
    graphics_index: int
    attribute_index: int
    attribute_data: bool
    misc: int
    feature: int
    pel_mask: int
    palette_place: int
    palette_reading: bool


class Vga:
    """The registers at 3B0h-3DFh."""

    name = "vga"
    ports = (
        range(0x3B4, 0x3B6),
        range(0x3BA, 0x3BB),
        range(0x3C0, 0x3D0),
        range(0x3D4, 0x3D6),
        range(0x3DA, 0x3DB),
    )
    wide: tuple[range, ...] = ()

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._crtc = bytearray(CRTC.ljust(32, b"\0"))
        self._sequencer = bytearray(SEQUENCER.ljust(8, b"\0"))
        self._graphics = bytearray(GRAPHICS.ljust(16, b"\0"))
        self._attribute = bytearray(ATTRIBUTE.ljust(32, b"\0"))
        self._palette = bytearray(768)
        self._crtc_index = self._sequencer_index = self._graphics_index = 0
        self._attribute_index = 0x20  # palette address source: the screen is on
        self._attribute_data = False
        self._misc = MISC
        self._feature = 0
        self._pel_mask = 0xFF
        self._palette_place = 0
        self._palette_reading = False

    # --- the picture -------------------------------------------------------------------------------

    def _pair(self, index: int) -> int:
        return self._crtc[index] << 8 | self._crtc[index + 1]

    def cursor(self) -> tuple[int, int] | None:
        """Row and column of the cursor on the screen; None if it is off or elsewhere."""
        row, column = divmod((self._pair(0x0E) - self._pair(0x0C)) & 0x3FFF, COLUMNS)
        return (row, column) if row < ROWS and not self._crtc[0x0A] & 0x20 else None

    def cells(self, ram: Bytes) -> bytes:
        """Character and attribute bytes of the 25 x 80 cells on the screen, row by row."""
        start = self._pair(0x0C) * 2 % TEXT_BYTES
        page = bytes(ram[TEXT_BASE : TEXT_BASE + TEXT_BYTES])
        return (page + page)[start : start + ROWS * COLUMNS * 2]

    def text(self, ram: Bytes) -> list[str]:
        """The 25 lines of 80 characters on the screen; `ram` is physical memory from address 0."""
        codes = self.cells(ram)[::2]
        return [
            "".join(CP437[code] for code in codes[at : at + COLUMNS])
            for at in range(0, ROWS * COLUMNS, COLUMNS)
        ]

    # --- registers ---------------------------------------------------------------------------------

    def _present(self, port: int) -> bool:
        """Bit 0 of the miscellaneous output register moves CRTC and status from 3Bxh to 3Dxh."""
        return (port >> 4 == 0x3D) == bool(self._misc & 1) or port >> 4 == 0x3C

    def read(self, port: int, size: int) -> int:
        """IN."""
        if not self._present(port):
            return 0xFF
        if port & 0xF == 0xA and port != 0x3CA:
            return self._status()
        if port & 0xF in (4, 5) and port >> 4 != 0x3C:
            return self._crtc[self._crtc_index & 31] if port & 1 else self._crtc_index
        if port in (0x3C7, 0x3C9):
            return self._read_palette(port)
        return self._read_3c(port)

    def _read_3c(self, port: int) -> int:
        readable = {
            0x3C0: self._attribute_index,
            0x3C1: self._attribute[self._attribute_index & 31],
            0x3C2: 0x10,  # input status 0: monitor sensed
            0x3C4: self._sequencer_index,
            0x3C5: self._sequencer[self._sequencer_index & 7],
            0x3C6: self._pel_mask,
            0x3C8: self._palette_place // 3,
            0x3CA: self._feature,
            0x3CC: self._misc,
            0x3CE: self._graphics_index,
            0x3CF: self._graphics[self._graphics_index & 15],
        }
        return readable.get(port, 0)

    def _status(self) -> int:
        #   3                 0
        #   vertical retrace  not showing pixels (horizontal or vertical blanking)
        self._attribute_data = False
        line, place = divmod(self._clock.now(), LINE_NS)
        line %= LINES
        blank = line >= SHOWN_LINES or place >= SHOWN_NS
        return (8 if line in RETRACE_LINES else 0) | blank

    def _read_palette(self, port: int) -> int:
        if port == 0x3C7:
            return 3 if self._palette_reading else 0
        value = self._palette[self._palette_place]
        self._palette_place = (self._palette_place + 1) % 768
        return value

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        if not self._present(port):
            return
        if port in (0x3D4, 0x3B4):
            self._crtc_index = value
        elif port in (0x3D5, 0x3B5):
            self._write_crtc(value)
        elif port & 0xF == 0xA:
            self._feature = value
        elif port == 0x3C0:
            self._write_attribute(value)
        elif port == 0x3C2:
            self._misc = value
        elif port == 0x3C4:
            self._sequencer_index = value
        elif port == 0x3C5:
            self._sequencer[self._sequencer_index & 7] = value
        elif port == 0x3CE:
            self._graphics_index = value
        elif port == 0x3CF:
            self._graphics[self._graphics_index & 15] = value
        else:
            self._write_palette(port, value)

    def _write_crtc(self, value: int) -> None:
        index = self._crtc_index & 31
        if index > 7 or not self._crtc[0x11] & 0x80:
            self._crtc[index] = value
        elif index == 7:  # of the protected timing registers only line compare bit 8 can be written
            self._crtc[7] = self._crtc[7] & ~0x10 | value & 0x10

    def _write_attribute(self, value: int) -> None:
        if self._attribute_data:
            self._attribute[self._attribute_index & 31] = value
        else:
            self._attribute_index = value & 0x3F
        self._attribute_data = not self._attribute_data

    def _write_palette(self, port: int, value: int) -> None:
        if port == 0x3C6:
            self._pel_mask = value
        elif port in (0x3C7, 0x3C8):
            self._palette_place, self._palette_reading = value * 3, port == 0x3C7
        elif port == 0x3C9:
            self._palette[self._palette_place] = value & 0x3F
            self._palette_place = (self._palette_place + 1) % 768

    def deadline(self) -> int | None:
        """None."""
        return None

    def on_time(self, now: int) -> None:
        """Nothing."""

    def save(self) -> VgaState:
        """All registers."""
        return VgaState(
            bytes(self._crtc), bytes(self._sequencer), bytes(self._graphics), bytes(self._attribute),
            bytes(self._palette), self._crtc_index, self._sequencer_index, self._graphics_index,
            self._attribute_index, self._attribute_data, self._misc, self._feature, self._pel_mask,
            self._palette_place, self._palette_reading,
        )  # fmt: skip

    def load(self, state: VgaState) -> None:
        """Inverse of `save`."""
        self._crtc[:], self._sequencer[:], self._graphics[:] = state.crtc, state.sequencer, state.graphics
        self._attribute[:], self._palette[:] = state.attribute, state.palette
        (
            self._crtc_index, self._sequencer_index, self._graphics_index, self._attribute_index,
            self._attribute_data, self._misc, self._feature, self._pel_mask, self._palette_place,
            self._palette_reading,
        ) = state[5:]  # fmt: skip
