"""The processor that CPUID describes.

    family 6, model 13, 36-bit physical addresses; FPU, PSE, TSC, MSR, PAE, CX8, APIC, SEP, PGE, CMOV, MMX,
    FXSR, SSE, SSE2, SSE3, NX

What is not announced is not promised: no MCE, no MTRR, no PAT, no long mode, no RDRAND. Source: Intel SDM
volume 2, CPUID.
"""

__all__ = ["VENDOR", "cpuid"]

VENDOR = b"GenuineIntel"
BRAND = b"labkit virtual processor 200 MHz".ljust(48, b"\0")
SIGNATURE = 0x000006D8  # family 6, model 13, stepping 8

FPU, PSE, TSC, MSR, PAE, CX8, APIC, SEP = (1 << n for n in (0, 3, 4, 5, 6, 8, 9, 11))
PGE, CMOV, MMX, FXSR, SSE, SSE2 = (1 << n for n in (13, 15, 23, 24, 25, 26))
FEATURES_EDX = FPU | PSE | TSC | MSR | PAE | CX8 | APIC | SEP | PGE | CMOV | MMX | FXSR | SSE | SSE2
FEATURES_ECX = 1  # SSE3
EXTENDED_EDX = 1 << 20  # NX
PHYSICAL_BITS, LINEAR_BITS = 36, 32


def _word(text: bytes, at: int) -> int:
    return int.from_bytes(text[at : at + 4], "little")


def cpuid(leaf: int, apic: bool = True) -> tuple[int, int, int, int]:
    """EAX, EBX, ECX, EDX for a leaf; `apic` tells whether the board has a local APIC enabled."""
    if leaf == 0:
        return 1, _word(VENDOR, 0), _word(VENDOR, 8), _word(VENDOR, 4)
    if leaf == 1:
        edx = FEATURES_EDX if apic else FEATURES_EDX & ~APIC
        return SIGNATURE, 0, FEATURES_ECX, edx
    if leaf == 0x80000000:
        return 0x80000008, 0, 0, 0
    if leaf == 0x80000001:
        return SIGNATURE, 0, 0, EXTENDED_EDX
    if 0x80000002 <= leaf <= 0x80000004:
        at = (leaf - 0x80000002) * 16
        return _word(BRAND, at), _word(BRAND, at + 4), _word(BRAND, at + 8), _word(BRAND, at + 12)
    if leaf == 0x80000008:
        return PHYSICAL_BITS | LINEAR_BITS << 8, 0, 0, 0
    return 0, 0, 0, 0
