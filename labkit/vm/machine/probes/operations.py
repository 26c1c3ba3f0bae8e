"""What an INT3 in the translation cache stands for, by number: see dispatch.py, which does it."""

__all__ = [
    "BACK", "CALLOUT", "CALL_MEMORY", "CALL_REGISTER", "CLI", "CLOSE", "FROM_CONTROL", "GO_MEMORY", "GO_REGISTER",
    "INVLPG", "IRET", "JUMP", "LEND", "NO_REGISTER", "PAUSE", "POPF", "POP_SEGMENT", "RETURN", "SEGMENT_MEMORY",
    "SEGMENT_REGISTER", "STI", "SYSEXIT", "TO_CR3",
]  # fmt: skip

(
    CALLOUT, JUMP, RETURN, GO_REGISTER, CALL_REGISTER, GO_MEMORY, CALL_MEMORY, CLI, STI, POPF, PAUSE,
    INVLPG, TO_CR3, FROM_CONTROL, SEGMENT_REGISTER, SEGMENT_MEMORY, POP_SEGMENT, IRET, SYSEXIT,
    LEND, BACK, CLOSE,
) = range(22)  # fmt: skip

NO_REGISTER = 0xFF
"""In a memory operand: no base, or no index."""
