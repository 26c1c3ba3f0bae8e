"""i8042 keyboard controller with a PS/2 keyboard, and a PS/2 mouse if asked for.

Sources: IBM PS/2 technical reference (keyboard controller), IBM AT keyboard commands. Responses are there at
once; typed scancodes arrive a millisecond apart, as from a real keyboard, so a guest that reads port 60h
twice loses none.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from labkit.vm.machine.clock import Clock
from labkit.vm.machine.devices.device import IrqLine, Moved
from labkit.vm.machine.devices.ps2 import Keyboard, KeyboardState, Mouse, MouseState
from labkit.vm.machine.devices.scancodes import Translator

__all__ = ["I8042", "I8042State"]

# status, port 64h
OBF, SYS, COMMAND, UNLOCKED, AUX_OBF = 0x01, 0x04, 0x08, 0x10, 0x20
# command byte
KEY_IRQ, AUX_IRQ, SYSTEM, KEY_OFF, AUX_OFF, TRANSLATE = 0x01, 0x02, 0x04, 0x10, 0x20, 0x40
# output port
NO_RESET, A20, OUT_KEY, OUT_AUX = 0x01, 0x02, 0x10, 0x20
KEY_NS = 1_000_000


class I8042State(NamedTuple):
    """Registers, the byte in the output buffer and its source, and both devices."""

    ram: bytes
    pending: int
    last_command: bool
    output_port: int
    buffer: int
    full: bool
    aux: bool
    answers: tuple[tuple[int, bool], ...]
    key_at: int
    deadline: int | None
    break_next: bool
    keyboard: KeyboardState
    mouse: MouseState | None


class I8042:
    """The controller at ports 60h and 64h.

    `irq1` and `irq12` are its interrupt lines, `reset(reason)` pulses the processor's reset line.
    """

    name = "i8042"
    ports = (range(0x60, 0x61), range(0x64, 0x65))
    wide: tuple[range, ...] = ()

    def __init__(
        self,
        clock: Clock,
        irq1: IrqLine,
        irq12: IrqLine,
        moved: Moved,
        *,
        reset: Callable[[str], None],
        mouse: bool = False,
    ) -> None:
        self._clock = clock
        self._irq1 = irq1
        self._irq12 = irq12
        self._moved = moved
        self._reset = reset
        self.keyboard = Keyboard(self._device_spoke)
        self.mouse = Mouse(self._device_spoke) if mouse else None
        self._translator = Translator()
        self._ram = bytearray(32)
        self._ram[0] = KEY_IRQ | SYSTEM | AUX_OFF | TRANSLATE  # as a BIOS leaves it
        self._pending = 0  # command that awaits its data byte at port 60h
        self._last_command = False
        self._output_port = NO_RESET | A20
        self._buffer = 0
        self._full = self._aux = False
        self._answers: deque[tuple[int, bool]] = deque()
        self._key_at = 0
        self._deadline: int | None = None

    # --- output buffer -----------------------------------------------------------------------------

    def _device_spoke(self) -> None:
        self._advance()

    def _answer(self, value: int, aux: bool = False) -> None:
        self._answers.append((value, aux))
        self._advance()

    def _advance(self) -> None:
        """Move the next byte, if any may move now, into the output buffer."""
        deadline: int | None = None
        if not self._full:
            if self._answers:
                value, aux = self._answers.popleft()
                self._put(value, aux)
            elif self.mouse is not None and self.mouse.replies and not self._ram[0] & AUX_OFF:
                self._put(self.mouse.replies.popleft(), True)
            elif not self._ram[0] & KEY_OFF and self.keyboard.waiting():
                deadline = self._next_key()
        if deadline != self._deadline:
            self._deadline = deadline
            self._moved()

    def _next_key(self) -> int | None:
        """Put a byte of the keyboard into the buffer, or say when the next one may come."""
        keyboard = self.keyboard
        while keyboard.waiting():
            if not keyboard.replies and self._clock.now() < self._key_at:
                return self._key_at
            typed = not keyboard.replies
            sent = keyboard.take()
            value = self._translator.to_set1(sent) if self._ram[0] & TRANSLATE else sent
            if value is not None:
                self._key_at = self._clock.now() + KEY_NS if typed else self._key_at
                self._put(value, False)
                return None
        return None

    def _put(self, value: int, aux: bool) -> None:
        self._buffer, self._full, self._aux = value, True, aux
        self._lines()

    def _lines(self) -> None:
        enabled = self._ram[0]
        self._irq1.set(self._full and not self._aux and bool(enabled & KEY_IRQ))
        self._irq12.set(self._full and self._aux and bool(enabled & AUX_IRQ))

    # --- ports -------------------------------------------------------------------------------------

    def read(self, port: int, size: int) -> int:
        """IN."""
        if port == 0x64:
            return self._status()
        value = self._buffer
        if self._full:
            self._full = False
            self._key_at = max(self._key_at, self._clock.now() + KEY_NS)
            self._lines()
            self._advance()
        return value

    def _status(self) -> int:
        #   7       6        5        4         3             2    1    0
        #   parity  timeout  AUX OBF  unlocked  last was 64h  SYS  IBF  OBF
        full = (OBF | (AUX_OBF if self._aux else 0)) if self._full else 0
        return full | self._ram[0] & SYS | UNLOCKED | (COMMAND if self._last_command else 0)

    def write(self, port: int, size: int, value: int) -> None:
        """OUT."""
        value &= 0xFF
        self._last_command = port == 0x64
        if port == 0x64:
            self._command(value)
        else:
            self._data(value)

    def _data(self, value: int) -> None:
        command, self._pending = self._pending, 0
        if 0x60 <= command <= 0x7F:
            self._ram[command & 0x1F] = value
            self._lines()
            self._advance()
        elif command == 0xD1:
            self._write_output_port(value)
        elif command == 0xD2:
            self._answer(value)
        elif command == 0xD3:
            self._answer(value, self.mouse is not None)
        elif command == 0xD4:
            if self.mouse is not None:
                self.mouse.command(value)
        else:
            self._ram[0] &= ~KEY_OFF  # a byte for the keyboard switches its interface on
            self.keyboard.command(value)

    def _command(self, value: int) -> None:
        self._pending = 0
        ram = self._ram
        if 0x20 <= value <= 0x3F:
            self._answer(ram[value & 0x1F])
        elif 0x60 <= value <= 0x7F or value in (0xD1, 0xD2, 0xD3, 0xD4):
            self._pending = value
        elif value in (0xA7, 0xA8):
            ram[0] = ram[0] | AUX_OFF if value == 0xA7 else ram[0] & ~AUX_OFF
            self._advance()
        elif value == 0xA9:
            self._answer(
                0 if self.mouse is not None else 2
            )  # 2: the clock line is stuck high, no mouse there
        elif value == 0xAA:
            ram[0] |= SYSTEM
            self._answer(0x55)
        elif value == 0xAB:
            self._answer(0)
        elif value in (0xAD, 0xAE):
            ram[0] = ram[0] | KEY_OFF if value == 0xAD else ram[0] & ~KEY_OFF
            self._advance()
        elif value == 0xC0:
            self._answer(0x80)  # input port: keyboard not locked
        elif value == 0xD0:
            full = (OUT_AUX if self._aux else OUT_KEY) if self._full else 0
            self._answer(self._output_port | full)
        elif value in (0xDD, 0xDF):
            self._output_port = self._output_port & ~A20 | value & A20
        elif value == 0xE0:
            self._answer(0)
        elif value >= 0xF0 and not value & NO_RESET:
            self._reset("the guest pulsed the reset line through the keyboard controller (command FEh)")

    def _write_output_port(self, value: int) -> None:
        self._output_port = value & (NO_RESET | A20) | NO_RESET
        if not value & NO_RESET:
            self._reset("the guest pulled the reset line low through the keyboard controller's output port")

    # --- time and state ----------------------------------------------------------------------------

    def deadline(self) -> int | None:
        """When the next typed scancode arrives."""
        return self._deadline

    def on_time(self, now: int) -> None:
        """A scancode arrives."""
        self._advance()

    def save(self) -> I8042State:
        """Registers and devices."""
        return I8042State(
            bytes(self._ram), self._pending, self._last_command, self._output_port, self._buffer, self._full,
            self._aux, tuple(self._answers), self._key_at, self._deadline, self._translator.break_next,
            self.keyboard.save(), self.mouse.save() if self.mouse is not None else None,
        )  # fmt: skip

    def load(self, state: I8042State) -> None:
        """Inverse of `save`."""
        self._ram[:] = state.ram
        (
            self._pending, self._last_command, self._output_port, self._buffer, self._full, self._aux,
        ) = state[1:7]  # fmt: skip
        self._answers = deque(state.answers)
        self._key_at, self._deadline = state.key_at, state.deadline
        self._translator.break_next = state.break_next
        self.keyboard.load(state.keyboard)
        if self.mouse is not None and state.mouse is not None:
            self.mouse.load(state.mouse)
