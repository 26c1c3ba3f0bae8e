"""Raw loads, stores and calls for compiled hooks.

A hook gets addresses as plain integers (host memory: guest RAM, the processor's registers, tables). These
intrinsics turn one into a machine load, store or call, and nothing else; bounds are the caller's duty.
"""

from typing import Any

from labkit.vm.machine.probes.compiled import intrinsic, ir, types

__all__ = [
    "call_control", "call_flush", "call_in", "call_leave", "call_load", "call_load_slowly", "call_restore",
    "call_stop", "call_store", "call_store_slowly",
    "load8", "load16", "load32", "load64", "store8", "store16", "store32", "store64",
]  # fmt: skip

U8, U16, U32, U64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


def _load(width: Any, result: Any) -> Any:
    def typed(_context: Any, address: Any) -> Any:
        def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
            return builder.load(builder.inttoptr(args[0], width.as_pointer()), align=1)

        return result(types.uint64), codegen

    return intrinsic(typed)


def _store(width: Any, value: Any) -> Any:
    def typed(_context: Any, address: Any, data: Any) -> Any:
        def codegen(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
            builder.store(args[1], builder.inttoptr(args[0], width.as_pointer()), align=1)
            return ctx.get_dummy_value()

        return types.void(types.uint64, value), codegen

    return intrinsic(typed)


load8 = _load(U8, types.uint8)
load16 = _load(U16, types.uint16)
load32 = _load(U32, types.uint32)
load64 = _load(U64, types.uint64)
store8 = _store(U8, types.uint8)
store16 = _store(U16, types.uint16)
store32 = _store(U32, types.uint32)
store64 = _store(U64, types.uint64)


@intrinsic
def call_stop(_context: Any, function: Any, engine: Any) -> Any:
    """Call `int function(void *engine)`: how a hook reaches `uc_emu_stop` and still can be cached on disk."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U32, [U64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), [args[1]])

    return types.uint32(types.uint64, types.uint64), codegen


@intrinsic
def call_control(_context: Any, function: Any, engine: Any, control: Any, first: Any, end: Any) -> Any:
    """Call `int uc_ctl(void *engine, int control, ...)` with two addresses."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U32, [U64, U32], var_arg=True).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:])

    return types.uint32(types.uint64, types.uint64, types.uint32, types.uint64, types.uint64), codegen


@intrinsic
def call_in(_context: Any, function: Any, engine: Any, port: Any, size: Any) -> Any:
    """Call `uint32_t function(void *engine, uint32_t port, int size, void *data)`, a hook of IN, without data."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U32, [U64, U32, U32, U64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), [*args[1:], U64(0)])

    return types.uint32(types.uint64, types.uint64, types.uint32, types.int32), codegen


@intrinsic
def call_flush(_context: Any, function: Any, cpu: Any, linear: Any) -> Any:
    """Call `void tlb_flush_page(CPUState *cpu, uint64_t linear)`."""

    def codegen(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(ir.VoidType(), [U64, U64]).as_pointer()
        builder.call(builder.inttoptr(args[0], pointer), args[1:])
        return ctx.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), codegen


@intrinsic
def call_restore(_context: Any, function: Any, cpu: Any, host: Any) -> Any:
    """Call `bool cpu_restore_state(CPUState *cpu, uintptr_t host, bool will_exit)`, which will."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U8, [U64, U64, U32]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), [args[1], args[2], U32(1)])

    return types.uint8(types.uint64, types.uint64, types.uint64), codegen


@intrinsic
def call_leave(_context: Any, function: Any, cpu: Any) -> Any:
    """Call `void cpu_loop_exit(CPUState *cpu)`, which does not return."""

    def codegen(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(ir.VoidType(), [U64]).as_pointer()
        builder.call(builder.inttoptr(args[0], pointer), [args[1]])
        return ctx.get_dummy_value()

    return types.void(types.uint64, types.uint64), codegen


@intrinsic
def call_load(_context: Any, function: Any, env: Any, address: Any, oi: Any, back: Any) -> Any:
    """Call `uint64_t helper(CPUArchState *env, target_ulong address, TCGMemOpIdx oi, uintptr_t back)`."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U64, [U64, U64, U32, U64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:])

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint32, types.uint64), codegen


@intrinsic
def call_store(_context: Any, function: Any, env: Any, address: Any, value: Any, oi: Any, back: Any) -> Any:
    """Call `void helper(CPUArchState *env, target_ulong address, uintN_t value, TCGMemOpIdx oi, uintptr_t back)`."""

    def codegen(ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(ir.VoidType(), [U64, U64, U64, U32, U64]).as_pointer()
        builder.call(builder.inttoptr(args[0], pointer), args[1:])
        return ctx.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64, types.uint64, types.uint32, types.uint64), codegen


@intrinsic
def call_load_slowly(_context: Any, function: Any, env: Any, address: Any, oi: Any, back: Any, table: Any) -> Any:
    """The same of a function of ours, which gets the table of traced engines too (trace_access.py)."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U64, [U64, U64, U32, U64, U64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:], tail=True)

    face = types.uint64(types.uint64, types.uint64, types.uint64, types.uint32, types.uint64, types.uint64)
    return face, codegen


@intrinsic
def call_store_slowly(
    _context: Any, function: Any, env: Any, address: Any, value: Any, oi: Any, back: Any, table: Any
) -> Any:
    """The same for a store."""

    def codegen(_ctx: Any, builder: Any, _sig: Any, args: Any) -> Any:
        pointer = ir.FunctionType(U64, [U64, U64, U64, U32, U64, U64]).as_pointer()
        return builder.call(builder.inttoptr(args[0], pointer), args[1:], tail=True)

    given = types.uint64, types.uint64, types.uint64, types.uint64, types.uint32, types.uint64, types.uint64
    return types.uint64(*given), codegen
