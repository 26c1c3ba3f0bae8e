"""`labkit run`: a guest on the machine, its console on stdout."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, BinaryIO, Protocol

from labkit.cli import protection
from labkit.cli.console import Conversation, Serial, Stream
from labkit.cli.errors import CommandError, complain
from labkit.cli.fetch import obtain
from labkit.cli.first_start import announce
from labkit.cli.interrupt import Interrupts
from labkit.cli.keyboard import INPUT, Keyboard
from labkit.cli.outcome import Outcome
from labkit.cli.request import Request
from labkit.cli.screen import ScreenWatch, run_watching

__all__ = ["Ground", "PhysicalGround", "perform", "resolved", "run"]


class Ground(Protocol):
    """What a run stands on: a machine with a guest in it, and its monitor."""

    @property
    def engine(self) -> str:
        """Its engine's name."""
        ...

    @property
    def translator(self) -> Mapping[str, int]:
        """What a binary translator has counted; empty for another engine."""
        ...

    @property
    def protection(self) -> Mapping[str, int | str]:
        """How privilege levels were kept apart, and what that has cost; empty for plain paging."""
        ...

    @property
    def serial(self) -> Serial:
        """The console."""
        ...

    @property
    def printed(self) -> bytes:
        """All that the console has printed."""
        ...

    @property
    def exits(self) -> Mapping[str, int]:
        """Exits by kind."""
        ...

    def run(self, instructions: int | None) -> tuple[str, str, int]:
        """Run until something stops it: reason, message, retired instructions."""
        ...

    def stop(self, message: str) -> None:
        """Stop soon, at an exact point; from a callback or from another thread."""
        ...

    def screen(self) -> list[str]:
        """The VGA text screen."""
        ...

    def press(self, scancodes: bytes) -> None:
        """Type on the PS/2 keyboard."""
        ...

    def hashes(self) -> tuple[str, str]:
        """SHA-256 of RAM and of the registers."""
        ...


class PhysicalGround:
    """The real machine, as the command line uses it."""

    def __init__(self, machine: Any, monitor: Any) -> None:
        self._machine = machine
        self._monitor = monitor
        self.serial: Serial = machine.board.serial
        self.stop = monitor.request_stop
        self.screen = machine.screen
        self.press = machine.board.keyboard.type
        self.engine: str = monitor.engine.name

    @property
    def translator(self) -> Mapping[str, int]:
        """What a binary translator has counted; empty for another engine."""
        return {name: count for name, count in getattr(self._monitor.engine, "counts", {}).items() if count}

    @property
    def protection(self) -> Mapping[str, int | str]:
        """How privilege levels were kept apart, and what that has cost; empty for plain paging."""
        return protection.counts(self._machine, self._monitor.engine)

    @property
    def printed(self) -> bytes:
        """All that the console has printed."""
        return bytes(self._machine.board.serial.output)

    @property
    def exits(self) -> Mapping[str, int]:
        """Exits by kind."""
        return {str(kind): count for kind, count in self._monitor.exits.items() if count}

    def run(self, instructions: int | None) -> tuple[str, str, int]:
        """Run until something stops it."""
        stop = self._monitor.run(instructions=instructions)
        return stop.reason.value, stop.message, stop.point.instructions

    def hashes(self) -> tuple[str, str]:
        """SHA-256 of RAM and of the registers."""
        return self._machine.ram_sha256(), self._machine.registers_sha256()


def run(request: Request, *, screen: bool, as_json: bool) -> int:
    """Run what was asked for; returns the exit code. Raises CommandError and GuestError."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's threads would spin; nothing here uses them
    request, ground = _prepare(request)
    outcome = perform(request, ground, screen=screen, out=None if as_json else sys.stdout.buffer)
    if as_json:
        print(json.dumps(outcome.document(), ensure_ascii=False))
    elif not outcome.reader_left:
        if outcome.console and not outcome.console.endswith(b"\n"):
            print(flush=True)
        if outcome.screen is not None:
            print(*outcome.screen, sep="\n", flush=True)
        complain(outcome.closing_line())
    ended_by_user = outcome.reader_left or outcome.reason == "interrupted"  # who need not be told
    if not ended_by_user and (shortfall := outcome.shortfall()):
        complain(shortfall)
    return outcome.exit_code()


def perform(request: Request, ground: Ground, *, screen: bool, out: BinaryIO | None) -> Outcome:
    """Run the guest with its console copied to `out`, and say how it ended."""
    talk = Conversation(
        ground.serial, lambda: ground.stop("text seen"),
        say=request.say, after=request.after, until=request.until,
    )  # fmt: skip
    watch = ScreenWatch(
        ground.screen, ground.press,
        keys=request.keys, after=request.keys_after, until=request.until_screen,
    )  # fmt: skip
    stream = Stream(ground.serial, out, lambda: ground.stop("the reader of the output left")) if out else None
    with Interrupts(lambda: ground.stop("interrupted")) as interrupts:
        if out:
            interrupts.before_end.append(out.flush)
        start = time.perf_counter()
        if request.interactive:
            reason, message, instructions = _with_keyboard(ground, interrupts)
        elif request.keys or request.until_screen:
            reason, message, instructions = run_watching(ground.run, request.limit, watch)
        else:
            reason, message, instructions = ground.run(request.limit)
        seconds = time.perf_counter() - start
    ram, registers = ("", "") if out else ground.hashes()  # 128 MB take a tenth of a second
    return Outcome(
        request, ground.engine, "interrupted" if interrupts.caught() else reason, message, instructions,
        seconds, ground.exits, ram, registers, ground.printed, ground.screen() if screen else None,
        text_seen=talk.done, input_typed=talk.said, reader_left=bool(stream and stream.broken),
        screen_seen=watch.seen, keys_typed=watch.typed, translator=ground.translator, protection=ground.protection,
    )  # fmt: skip


def _with_keyboard(ground: Ground, interrupts: Interrupts) -> tuple[str, str, int]:
    """Run with a person at the terminal: stops for keys are no ends, and an idle guest waits for some."""
    complain("what you type goes to the guest; Ctrl-C ends the run")
    with Keyboard(ground.stop) as keyboard:
        interrupts.before_end.append(keyboard.restore)
        while True:
            ended = reason, message, _ = ground.run(None)
            if interrupts.caught() or not (message == INPUT or reason == "idle"):
                return ended
            if keys := keyboard.take():
                ground.serial.type(keys)
            elif reason == "idle":
                while not (interrupts.caught() or keyboard.wait(0.1)):
                    pass


def _image(request: Request) -> tuple[Any, str]:
    """The boot image, fetched first if it must be, and the guest's prompt, empty if none is known."""
    from labkit.guests import catalog

    if request.guest is None:
        assert request.kernel is not None  # noqa: S101 (the request was checked)
        return catalog.boot_files(
            request.kernel, request.initrd, request.append, request.memory, request.firmware_path, request.at
        ), ""
    known = catalog.guest(request.guest)
    if known.fetch:
        obtain(request.guest)
    image = catalog.boot(
        request.guest, memory=request.memory, append=request.append, initrd=request.initrd,
        firmware_path=request.firmware_path,
    )  # fmt: skip
    return image, known.prompt


def _engine(request: Request, machine: Any) -> Any:
    """The engine that was asked for, as the monitor wants it."""
    if machine.processor.mmu == "keys":
        if request.engine != "hw":
            raise CommandError("binary translation is of x86 kernels: leave --engine out for a protection unit's guest")
        return protection.engine_for(request.protection, machine)
    if request.engine == "hw":
        return request.engine
    from labkit.vm.engines import BinaryTranslator

    return BinaryTranslator(machine.processor, shadowed=request.descriptors != "own")


def resolved(request: Request) -> tuple[Request, Any]:
    """The request with the guest's own prompt filled in, and the boot image. Raises CommandError, GuestError."""
    image, prompt = _image(request)
    if request.say and not request.after:
        if not prompt and not request.until:
            raise CommandError(
                "--input needs --input-after: the prompt of this guest is not known\n"
                "For a shell that prints '# ' write: --input-after '# '"
            )
        request = replace(request, after=prompt.encode() or request.until)
    return request, image


def _prepare(request: Request) -> tuple[Request, PhysicalGround]:
    """The request, complete, and the machine with the guest in it."""
    request, image = resolved(request)
    try:
        from labkit.vm.machine import Machine
        from labkit.vm.monitor import Monitor

        announce()
        mmu = protection.mmu_for(request.protection, image)
        machine = Machine(
            memory=request.memory, clock=request.clock, disks=request.disks, mmu=mmu,
            segmentation=request.descriptors == "checked",
        )  # fmt: skip
        machine.load(image)
        return request, PhysicalGround(machine, Monitor(machine, engine=_engine(request, machine)))
    except (OSError, ValueError, RuntimeError) as error:
        raise CommandError(str(error)) from error
