"""Unicorn itself: the raw calls that the processor is made of, typed.

No policy lives here. Addresses of code are linear; hooks are compiled functions whose user data is the cells,
or Python callables for the few instructions that come to Python.
"""

import ctypes
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
from unicorn import UC_ARCH_X86, UC_MODE_32, UC_PROT_ALL, Uc, unicorn_const
from unicorn import x86_const as x86
from unicorn.unicorn_py3.unicorn import uclib

from labkit.vm.machine.probes.compiled import cfunc, types
from labkit.vm.machine.probes.intrinsics import store32, store64
from labkit.vm.machine.probes.layout import LayoutError, find_layout
from labkit.vm.machine.probes.running import engines, refuse_at_the_end, watch_end

__all__ = [
    "EXCEPTION", "INVALID_INSTRUCTION", "OK", "Emulator", "Hook", "HookedInstruction", "fault_address_offset",
    "skip_flag_offset",
]  # fmt: skip

MODEL = x86.UC_CPU_X86_COREDUO
FLOATING_POINT = {x86.UC_X86_REG_FPCW: 0x37F, x86.UC_X86_REG_FPTAG: 0xFFFF, x86.UC_X86_REG_MXCSR: 0x1F80}
"""As a BIOS leaves it (FNINIT; MXCSR after reset); Unicorn starts with zeros: single precision, no room."""
OK, INVALID_INSTRUCTION, EXCEPTION = 0, unicorn_const.UC_ERR_INSN_INVALID, unicorn_const.UC_ERR_EXCEPTION
WRITE = 1 << 30  # uc_ctl: the call sets something; the number of its arguments stands from bit 26 on
CTL_TLB_FLUSH = ctypes.c_int(unicorn_const.UC_CTL_TLB_FLUSH | WRITE)
CTL_REMOVE = ctypes.c_int(unicorn_const.UC_CTL_TB_REMOVE_CACHE | WRITE | 2 << 26)
CTL_EXITS = ctypes.c_int(unicorn_const.UC_CTL_UC_EXITS | WRITE | 1 << 26)


class Hook(IntEnum):
    """Kinds of hooks."""

    BLOCK = unicorn_const.UC_HOOK_BLOCK
    CODE = unicorn_const.UC_HOOK_CODE  # before each instruction
    EXCEPTION = unicorn_const.UC_HOOK_INTR
    INSTRUCTION = unicorn_const.UC_HOOK_INSN  # instead of a `HookedInstruction`
    TLB_FILL = unicorn_const.UC_HOOK_TLB_FILL
    LOADED = unicorn_const.UC_HOOK_MEM_READ_AFTER
    STORE = unicorn_const.UC_HOOK_MEM_WRITE


class HookedInstruction(IntEnum):
    """Instructions that Unicorn leaves to a hook."""

    IN = x86.UC_X86_INS_IN
    OUT = x86.UC_X86_INS_OUT
    CPUID = x86.UC_X86_INS_CPUID
    RDTSC = x86.UC_X86_INS_RDTSC
    SYSENTER = x86.UC_X86_INS_SYSENTER


class Emulator:
    """One Unicorn engine for 32-bit x86. Raises `LayoutError` where it is not the supported one."""

    def __init__(self) -> None:
        self._uc: Any = Uc(UC_ARCH_X86, UC_MODE_32)
        watch_end()
        self._uc.ctl_set_cpu_model(MODEL)
        self.layout = find_layout(self._uc)
        self._handle: Any = self._uc._uch  # noqa: SLF001  (the binding gives its handle no public name)
        self._uc.ctl_exits_enabled(True)
        for register, value in FLOATING_POINT.items():
            self._uc.reg_write(register, value)

    @property
    def address(self) -> int:
        """Host address of the engine."""
        return int(self._handle.value)

    @property
    def stop_function(self) -> int:
        """Host address of `uc_emu_stop`, which compiled hooks call with the engine's address."""
        return int(ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value or 0)

    @property
    def register_function(self) -> int:
        """Host address of `uc_reg_read`."""
        return ctypes.cast(uclib.uc_reg_read, ctypes.c_void_p).value or 0

    @property
    def control_function(self) -> int:
        """Host address of `uc_ctl`, with which a compiled hook forgets translated code."""
        return int(ctypes.cast(uclib.uc_ctl, ctypes.c_void_p).value or 0)

    @property
    def flush_page_function(self) -> int:
        """Host address of QEMU's `tlb_flush_page`, which its library exports; 0 where it does not."""
        try:
            return int(ctypes.cast(uclib["tlb_flush_page_x86_64"], ctypes.c_void_p).value or 0)
        except AttributeError:
            return 0

    def map(self, physical: int, size: int, host: int) -> None:
        """Let host memory be guest-physical memory."""
        self._uc.mem_map_ptr(physical, size, UC_PROT_ALL, host)

    def map_python(
        self, physical: int, end: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """Send loads (address, size) and stores (address, size, value) to Python: slow."""

        def load(_uc: Any, offset: int, size: int, _data: Any) -> int:
            return read(physical + offset, size)

        def store(_uc: Any, offset: int, size: int, value: int, _data: Any) -> None:
            write(physical + offset, size, value)

        self._uc.mmio_map(physical, end - physical, load, None, store, None)

    # --- hooks

    def map_callbacks(self, physical: int, size: int, read: Any, write: Any | None, user_data: int) -> None:
        """Send loads and stores of physical addresses to compiled callbacks. Raises `LayoutError`."""
        self._map_callbacks(physical, size, read.address, write.address if write else 0, user_data)

    def map_function(self, physical: int, size: int, read: Any) -> None:
        """Send loads of physical addresses to a ctypes callback, which must outlive the engine."""
        self._map_callbacks(physical, size, ctypes.cast(read, ctypes.c_void_p).value or 0, 0, 0)

    def _map_callbacks(self, physical: int, size: int, read: int, write: int, user_data: int) -> None:
        error = uclib.uc_mmio_map(
            self._handle, ctypes.c_uint64(physical), ctypes.c_size_t(size), ctypes.c_void_p(read),
            ctypes.c_void_p(user_data), ctypes.c_void_p(write), ctypes.c_void_p(user_data),
        )  # fmt: skip
        if error != OK:
            raise LayoutError(f"callbacks for an address were refused (error {error})")

    def answer_translations(self) -> None:
        """From now on the TLB-fill hook translates addresses, not Unicorn."""
        self._uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)

    def hook(
        self,
        kind: int,
        function: Any,
        data: int,
        *,
        instruction: HookedInstruction | None = None,
        first: int = 1,
        last: int = 0,
    ) -> ctypes.c_size_t:
        """Add a compiled hook over `first`..`last` (default all); `instruction` is for `Hook.INSTRUCTION`."""
        handle = ctypes.c_size_t()
        extra = () if instruction is None else (ctypes.c_int(instruction),)
        error = uclib.uc_hook_add(
            self._handle, ctypes.byref(handle), ctypes.c_int(kind), ctypes.c_void_p(function.address),
            ctypes.c_void_p(data), ctypes.c_uint64(first), ctypes.c_uint64(last), *extra,
        )  # fmt: skip
        if error != OK:
            raise LayoutError(f"a compiled hook was refused (error {error})")
        return handle

    def hook_python(self, instruction: HookedInstruction, function: Callable[..., Any]) -> None:
        """Call Python for each such instruction."""
        self._uc.hook_add(int(Hook.INSTRUCTION), function, None, 1, 0, int(instruction))

    def python_function(self, instruction: HookedInstruction, function: Callable[..., Any]) -> int:
        """Host address of what `hook_python` would have hooked: for a compiled hook that calls it at times."""
        handle = self._uc.hook_add(int(Hook.INSTRUCTION), function, None, 1, 0, int(instruction))
        self.unhook(ctypes.c_size_t(handle))
        return ctypes.cast(self._uc._callbacks[handle], ctypes.c_void_p).value or 0  # noqa: SLF001  (kept alive there)

    def unhook(self, handle: ctypes.c_size_t) -> None:
        """Remove a compiled hook; code that was translated with it keeps it."""
        uclib.uc_hook_del(self._handle, handle)

    # --- running

    def start(self, eip: int) -> int:
        """Run from `eip` until something stops it; Unicorn's error number, `OK` for none.

        Raises `SystemExit` when that was the end of the interpreter.
        """
        engines.append(self._handle)
        try:
            refuse_at_the_end()
            error = int(uclib.uc_emu_start(self._handle, eip, 0, 0, 0))
            refuse_at_the_end()
        finally:
            engines.remove(self._handle)
        return error

    def raise_failure(self) -> None:
        """Raise what was raised in a Python hook's wrapper (Ctrl-C before the hook began), if anything."""
        error, self._uc._hook_exception = self._uc._hook_exception, None  # noqa: SLF001  (as above)
        if error is not None:
            raise error

    def set_exits(self, *addresses: int) -> None:
        """Code that is translated from now on ends before these linear addresses and stops there."""
        array = (ctypes.c_uint64 * len(addresses))(*addresses)
        uclib.uc_ctl(self._handle, CTL_EXITS, array, ctypes.c_size_t(len(addresses)))

    def drop_code(self, first: int, end: int) -> None:
        """Forget the translations of code from `first` up to `end`."""
        uclib.uc_ctl(self._handle, CTL_REMOVE, ctypes.c_uint64(first), ctypes.c_uint64(end))

    def drop_all_code(self) -> None:
        """Forget all translated code."""
        self._uc.ctl_flush_tb()

    def flush_tlb(self) -> None:
        """Forget all translations of addresses."""
        uclib.uc_ctl(self._handle, CTL_TLB_FLUSH)

    @property
    def fault_address(self) -> int:
        """The exact linear address of the access that was refused last."""
        return int(ctypes.c_uint64.from_address(self.address + fault_address_offset()).value) & 0xFFFFFFFF

    def close(self) -> None:
        """Free the engine; nothing else may be called afterwards."""
        self._uc = None


# --- where the address of a refused access is kept

PAGE, REFUSED = 0x1000, 0x12345679
LOAD = b"\xa1" + REFUSED.to_bytes(4, "little") + b"\xf4"  # mov eax, [REFUSED]; hlt
READ_WRITE_EXECUTE = 7
HLT = 0xF4


@cfunc(types.uint8(types.voidptr, types.uint64, types.int32, types.uint64, types.voidptr))
def _fill_one_page(_engine, va, _access, result, _data):  # type: ignore[no-untyped-def]
    if va != PAGE:
        return np.uint8(0)
    store64(result, va)
    store32(result + np.uint64(8), np.uint32(READ_WRITE_EXECUTE))
    return np.uint8(1)


@cache
def fault_address_offset() -> int:
    """Offset in the engine of the address of a refused access: found by a load that is refused.

    Raises `LayoutError` where it does not show up.
    """
    emulator = Emulator()
    emulator.answer_translations()
    emulator.hook(Hook.TLB_FILL, _fill_one_page, 0)
    raw = ctypes.create_string_buffer(2 * PAGE)
    host = (ctypes.addressof(raw) + PAGE - 1) & ~(PAGE - 1)
    ctypes.memmove(host, LOAD, len(LOAD))
    emulator.map(PAGE, PAGE, host)
    error = emulator.start(PAGE)
    found = ctypes.string_at(emulator.address, 0x2000).find(REFUSED.to_bytes(8, "little"))
    if error != EXCEPTION or found < 0:
        raise LayoutError("the address of a refused access was not found")
    emulator.close()
    return found


# --- the flag that keeps EIP from being brought up to date before each hook


@cache
def skip_flag_offset() -> int:
    """Offset in the engine of a byte that says: EIP was written, do not overwrite it (`skip_sync_pc_on_exit`).

    Found by writing EIP after a run, which clears it: the last byte that turns from 0 to 1. Raises
    `LayoutError` where none does.
    """
    emulator = Emulator()
    raw = ctypes.create_string_buffer(2 * PAGE)
    host = (ctypes.addressof(raw) + PAGE - 1) & ~(PAGE - 1)
    ctypes.memset(host, HLT, PAGE)
    emulator.map(PAGE, PAGE, host)
    emulator.start(PAGE)
    before = ctypes.string_at(emulator.address, 0x5000)
    emulator._uc.reg_write(x86.UC_X86_REG_EIP, 0)  # noqa: SLF001  (ours)
    after = ctypes.string_at(emulator.address, 0x5000)
    turned = [i for i, (old, new) in enumerate(zip(before, after, strict=True)) if (old, new) == (0, 1)]
    if not turned:
        raise LayoutError("the flag that keeps EIP from being written was not found")
    emulator.close()
    return turned[-1]
