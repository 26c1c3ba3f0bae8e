"""The registers of x87 and SSE, as numbers: what a comparison of two machines asks for beside the other registers."""

from unicorn import x86_const as x86

from labkit.vm.machine import Machine

__all__ = ["floating_point"]

STACK = {f"fp{i}": x86.UC_X86_REG_FP0 + i for i in range(8)}
CONTROL = {
    "fpcw": x86.UC_X86_REG_FPCW, "fpsw": x86.UC_X86_REG_FPSW, "fptag": x86.UC_X86_REG_FPTAG,
    "mxcsr": x86.UC_X86_REG_MXCSR,
}  # fmt: skip
SSE = {f"xmm{i}": x86.UC_X86_REG_XMM0 + i for i in range(8)}


def floating_point(machine: Machine) -> dict[str, int]:
    """By name; of a register of the x87 stack exponent and mantissa in one number."""
    engine = machine.processor.core.emulator._uc  # noqa: SLF001  (nothing but comparisons asks for these)
    found = {name: int(engine.reg_read(register)) for name, register in (CONTROL | SSE).items()}
    for name, register in STACK.items():
        mantissa, exponent = engine.reg_read(register)
        found[name] = exponent << 64 | mantissa
    return found
