"""The privileged operations, as a guest of the protection unit calls them: INT 60h, the operation in EAX.

    EAX  operation   operands                                                   privileged
     1   insert      EBX page, ECX frame, EDX rights 0-2, level 3-4, present 5,     yes    ITC
                     dirty 6, accessed 7, key 8-31
     2   purge       EBX page                                                       yes    PTC
     3   write key   EBX number, ECX word (protection_keys.py)                      yes    MOV PKR
     4   read key    EBX number; the word in EAX                                    yes    MOV from PKR
     5   mode        EBX: 1 translate addresses, 2 check keys                       yes    PSR.it/dt, PSR.pk
     6   vector      EBX address of the handler, ECX its stack                      yes    IVA
     7   return      from an interruption, to what it has saved                     yes    RFI
     8   read        EBX: 0 cause, 1 address, 2 EIP, 3 level, 4 ESP, 5 EAX          yes    ISR, IFA, IIP, IPSR
     9   write       EBX likewise, ECX value                                        yes
    10   probe       EBX page, ECX access 1 read, 2 write, 4 execute, EDX level;    no     PROBE
                     1 or 0 in EAX
    11   promote     to the level of the page it runs on, if that has AR 7; to      no     EPC
                     0 where addresses are not translated; the level in EAX
    12   demote      EBX level, not more privileged than the present one            no     BR.RET
    13   call        an interruption with cause 16                                  no     BREAK
    14   stop        the guest is done                                              yes
    15   key of      EBX page; its key << 8 in EAX, 1 where it has no entry         yes    TAK
                     or an absent one

An *interruption* saves EIP, ESP, EFLAGS, EAX and level, sets level 0 and goes to the handler on its own stack. Its
cause is a fault's number (`Fault`) | access << 8, or one of `Cause`, or 32 + an x86 exception's vector. Where one
instruction makes several accesses, reading comes before writing, the lower of two pages before the higher, and nothing
is written unless all of them pass.
"""

from enum import IntEnum

from labkit.vm.machine.tlb import Entry

__all__ = ["PRIVILEGED", "TRAP", "Cause", "Operation", "entry_from", "page_number"]

TRAP = 0x60
"""The vector of INT n by which operations are called."""


class Operation(IntEnum):
    """The operation in EAX."""

    INSERT = 1
    PURGE = 2
    WRITE_KEY = 3
    READ_KEY = 4
    MODE = 5
    VECTOR = 6
    RETURN = 7
    READ = 8
    WRITE = 9
    PROBE = 10
    PROMOTE = 11
    DEMOTE = 12
    CALL = 13
    STOP = 14
    KEY_OF = 15


PRIVILEGED = frozenset(Operation) - {Operation.PROBE, Operation.PROMOTE, Operation.DEMOTE, Operation.CALL}


class Cause(IntEnum):
    """Interruptions that are no faults of an access."""

    CALL = 16
    PRIVILEGED = 17
    OPERAND = 18
    EXCEPTION = 32


def page_number(word: int) -> int:
    """The page or frame that an operand names. Raises `ValueError` for one above 4 GB."""
    if word >> 20:
        raise ValueError(f"page {word:x} is above 4 GB")
    return word


def entry_from(page: int, frame: int, word: int) -> Entry:
    """The translation that INSERT's operands describe. Raises `ValueError` for a page or frame above 4 GB."""
    flags = (bool(word & 1 << bit) for bit in (5, 6, 7))
    return Entry(page_number(page), page_number(frame), word & 7, word >> 3 & 3, word >> 8, *flags)
