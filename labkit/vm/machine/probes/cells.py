"""The cells: one array of 64-bit words that the compiled hooks and the processor share.

A hook gets the array's address as its user data. Everything a hook needs to know or to tell is a numbered
cell; there is no other state. The numbers are constants at compile time.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

__all__ = ["CELLS", "Stop", "new_cells"]

CELLS = 176

# --- the clock
CLOCK = 0  # retired instructions, the whole current block included
DEADLINE = 1  # stop exactly when CLOCK reaches this
PAUSE = 2  # stop at some block start once CLOCK has reached this (cheap, not exact)
LIMIT = 3  # min(DEADLINE, PAUSE), or 0 while there is ATTENTION: the only value the fast path looks at
BRANCHES = 4  # retired control transfers
IDLE = 5  # instruction times skipped while halted (virtual time = CLOCK + IDLE)
# --- the current block
BLOCK = 6  # linear address of the block that the clock counted last
BLOCK_SIZE = 7  # its bytes; 0 = nothing is in flight
BLOCK_INFO = 8  # what decode.py found in it
REP_START = 9  # CLOCK when the current repeated string instruction began
SITE = 10  # the last block has counted itself (call_site.py): number of the description of it, else 0
NEXT_SIZE = 11
NEXT_BLOCK = 119  # a block that was stopped before its first instruction
ALLOW = 12  # the block at this address: its CMPXCHG8B has been seen to; ALLOW_ALL: run any block unchecked
# --- stopping
STOP = 13  # why the hook stopped the processor: a Stop
INTR = 14  # 1: the interrupt pin is raised
ATTENTION = 62  # ATTENTION_* bits: while there is one, every block is looked at
# --- faults and refused translations
FAULT = 15  # why the fill refused: a Stop
FAULT_PAGE = 16  # linear page
FAULT_CODE = 17  # page-fault error code
FAULT_PHYSICAL = 18  # physical page, for refusals that are not page faults
FAULT_ACCESS = 19  # 16 read, 17 write, 18 fetch
VECTOR = 20  # exception or INT n that the processor raised
SOFTWARE = 21  # 1: by INT n, INT3 or INTO
ERROR = 22  # its error code
# --- the guest's TLB (probes/tlb.py)
TLB = 23  # u64 per linear page; 0 = Unicorn translates
TLB_LIST = 24  # u32 linear pages that have an entry of this epoch
TLB_COUNT = 25
TLB_EPOCH = 26
TLB_CR0 = 27  # the control registers (paging bits) that the entries were made under
TLB_CR3 = 28
TLB_CR4 = 29
WALKED_CODE = 96  # frame + 1 that holds code, in which a walk has set an accessed or dirty bit; 0 = none
TLB_DROPPED = 83  # 1: a page fault has dropped an entry that Unicorn may still have
# --- addresses (host) and sizes
ENV = 30  # the processor's register file (CPUX86State)
RAM = 31
RAM_SIZE = 32
FRAMES = 33  # u8 per physical frame: FRAME_* bits
DIRTY = 34  # u8 per frame
DIRTY_LIST = 35  # u32 frame numbers, in order of first write
DIRTY_COUNT = 36
PAGES = 37  # u32 per linear page: physical frame | generation, where code was last fetched
GENERATION = 38  # u16 per frame, 1..4094; 4095 = never cache decoded blocks
BLOCKS = 39  # decoded blocks, see block.py
SCRATCH = 40  # 8 KB for a block that crosses a page
STOP_FUNCTION = 41  # uc_emu_stop
CROSSING = 42  # decoded blocks that cross a page
MAINTENANCE = 43  # 1: the fill answers from PAGES only, checks and records nothing
OLD_EXCEPTION = 44  # host address of env->old_exception, which nobody else resets
IS_SOFTWARE = 45  # host address of env->exception_is_int
ERROR_CODE = 46  # host address of env->error_code
ALIAS_FRAME = 47  # physical frame + 1 that is redirected, 0 = none
ALIAS_TARGET = 48  # to this physical address
MIXED = 49  # 1 once any frame holds code and data that is written
MMIO = 50  # up to MMIO_RANGES pairs (first, last + 1) of physical pages, then 0
MMIO_RANGES = 4
TIME_RATE = 58  # guest ticks for 65536 instructions, see guest_clock.py
TIME_TICKS = 59  # guest ticks, idle ones left out, at ...
TIME_CLOCK = 60  # this clock
OUTSIDE = 106  # how much of a recording has been given: what came from outside ...
CHECKED = 107  # ... and what was compared
LARGE = 63  # u8 per 2 MB of linear addresses: some translation there came from a large page
ENGINE = 61  # uc_engine, for STOP_FUNCTION
# --- counts
TLB_FILLS = 64
DECODES = 65
RDTSCS = 66
SYSENTERS = 67
FORGOTTEN = 97  # how often all decoded blocks were forgotten: from then on generations come a second time
RESUME = 98  # 1 + the clock at which RF was set: it is set as long as no further instruction has retired
LAST_ECX = 71  # at the start of the last block, while there are mixed frames
ALIAS_WRITTEN = 70  # 1: the redirected frame has been opened for writing

ATTENTION_INTR = 1  # INTR is raised and IF may be set
ATTENTION_MIXED = 2  # the current block lies in a mixed frame
ATTENTION_FLUSHING = 4  # the current block ends with INVLPG or MOV to CR3
ATTENTION_FLUSH = 8  # INVLPG has hit a large page
ATTENTION_RESUME = 32  # the current block ends with an instruction that may set RF: IRET, a task switch
ATTENTION_UNIT = 16  # segments may have changed: the segmentation unit looks at the next block

# --- observers (probes/watch.py): what is watched, and the clock of the first and last hit
WATCH_FRAME = 72  # physical frame + 1 whose stores are noted, 0 = none
WATCH_ALIAS = 82  # ... that is reached through WATCH_PAGE
WATCH_PLACE = 73  # offset of the watched bytes in it
WATCH_SIZE = 74
WATCH_REGISTER = 75
WATCH_FROM = 76  # only hits from this clock
WATCH_UNTIL = 77  # and before this one
WATCH_FIRST = 78
WATCH_LAST = 79
WATCH_COUNT = 80
WATCH_VALUE = 81  # the register's last value
WATCH_FIRST_SPAN = 84  # instructions from its clock on, of which one made it; 0 = an event did
WATCH_LAST_SPAN = 85
WATCH_LOW = 86  # bytes of the frame that the last hit's block has written, first
WATCH_HIGH = 87  # ... and behind the last
WATCH_EIP = 88  # of the last hit's block, or where the delivered event has interrupted the guest
WATCH_BRANCHES = 89
WATCH_MISSED = 90  # 1: the watched frame holds code that is written, its stores did not come to the callbacks
STORE_MAP = 91  # u64 x 64 per frame: a bit for each byte that was stored to; 0 = no map is kept
STORE_FRAMES = 92  # u32 frame numbers, in order of their first store
STORE_COUNT = 93
STORE_SEEN = 94  # u8 per frame
STORE_CROSSED = 95  # 1: a store has crossed a page's end, its second part may be in any frame

# --- device registers that hold still (probes/steady.py)
STEADY_PAGE = 100  # physical page + 1 of the device, 0 = none
STEADY = 101  # u64 per 16 bytes of the page
CPU = 102  # host address of Unicorn's processor (CPUState)
RETURN_PLACE = 103  # host address of where it notes which code made the access that a callback answers
RESTORE_FUNCTION = 104  # cpu_restore_state: EIP and flags as of that code
LEAVE_FUNCTION = 105  # cpu_loop_exit: away from there
TRACE = 110  # host address of the trace's state, see trace.py
PROTECTION = 111  # words of the protection unit or of keyed paging (unit_fill.py, keyed_fill.py)

# --- blocks that count themselves (probes/call_site.py)
SITES = 112  # their descriptions, 16 bytes each: linear address, size, info
SITE_BASE = 113  # host address of the site that would have number 0
SELF = 114  # host address of the cells
ENTER = 115  # of the two ways into the hook
AGAIN = 116
EXIT_CHECK = 117  # Unicorn's function that leaves when it was asked to
EXIT_PLACE = 118  # where the word it looks at lies, from ENV (one signed byte)

# --- translated code (probes/translated.py): tables by its place, that is by linear address - TC_BASE
TC_MEMORY = 144  # host address of the translation cache
TC_SUMS = 145  # u64 per byte: branches << 32 | instructions retired before it; only differences count
TC_GUEST = 146  # u32 per byte: the guest's EIP
TC_FLAGS = 147  # u8 per byte: TC_INSIDE, ...
TC_OPERATIONS = 148  # u8 per byte: what the INT3 there stands for (probes/dispatch.py)
TC_ARGUMENTS = 149  # two u32 per byte
TC_PLACES = 150  # u64, hashed: guest EIP << 32 | place of its translation, 0 = none
TC_WORK = 151  # what is being translated (probes/translate.py)
TC_BLOCK = 152  # the block that the clock counted last
TC_SIZE = 153  # its bytes; 0 = none is in flight
TC_SEEN = 154  # u8 per linear page: it is known to lead to the frame that its code was translated from
TC_SEEN_LIST = 155  # u32 linear pages
TC_SEEN_COUNT = 156
TC_PAGES = 157  # u32 per linear page: frame + 1 that its code was translated from
TC_FREE = 158  # 1: the processor may run any code, as for the other engine
TC_OPEN = 159  # 1: the top of the linear space is the guest's own for an instruction
TC_WHERE = 160  # place of the operation that asks for the monitor, or the guest's EIP
CONTROL_FUNCTION = 161  # uc_ctl
TC_LINKS = 162  # counts: jumps linked
TC_RETURNS = 163
TC_INDIRECT = 164
TC_FLAG_CHANGES = 165
TC_TRANSLATIONS = 166  # made
TC_TRANSLATED = 171  # instructions in them
TC_SWITCHES = 168  # from a program to the kernel or back without the monitor
TC_PRIVILEGED = 169  # privileged instructions done by the dispatcher
FLUSH_FUNCTION = 170  # tlb_flush_page, where Unicorn's library offers it
TC_FOLLOWED = 167  # jumps through the dispatcher to code that was translated already

TC_BASE, TC_BYTES = 0xFFC00000, 4 << 20
TC_INSIDE = 1  # in the middle of a guest instruction: nothing may stop here
TC_REPEATS = 2  # a repeated string instruction
TC_CROSSES = 4  # the guest's block lies on two pages
TC_CHECK = 8  # where a page is come to: does it still lead to the frame it was translated from?

# --- the top of the linear space: translation cache, shadow descriptor tables, the monitor's words (probes/shadow.py)
TC_CODE_BYTES = 0x3A0000  # of the cache; what follows lies behind it, by offset
TC_SHADOWS = 0x3A0000  # the shadow GDT, then the shadow LDT, 64 KB each
TC_COPIES = 0x3C0000  # the guest's two as they were read last, 128 KB each, from the start of their first page
TC_WORDS = 0x3FF000  # what a reserved gs reaches
SHADOW = 136  # host address of the monitor's words; 0 = translated code runs on the guest's own descriptors

# --- a port that is polled (traps.py): its value is known for a while
POLLED_PORT = 131  # + 1, 0 = none
POLLED_VALUE = 132
POLLED_UNTIL = 133  # guest ticks
POLLED_READS = 134  # how many were answered without Python
PORT_FUNCTION = 135  # Python's answer to IN

# --- the segmentation unit (probes/segments.py)
SEGMENT_STATE = 120  # SEGMENTS_* bits
SEGMENT_MASK = 121  # kinds of blocks that the unit looks at; 0 = there is no unit
SEGMENT_HOOK = 122  # 1: every instruction that is translated has its checks
SEGMENT_CHECKED = 123  # u64 per block that was given checks alone
FLAGS_AT = 129  # linear address + 1 of the instruction that the flags of ...
FLAGS = 130  # ... were noted before (probes/flags.py); FLAGS_AT is 0 for none
READ_REGISTER = 137  # uc_reg_read
ACCESS_READS = 125  # loads and stores that the access log has seen (probes/access_log.py) ...
ACCESS_WRITES = 126
ACCESS_OWN = 127  # ... and those where the monitor's own are
ACCESS_LAST = 128  # physical address of the last one but for those
SEGMENT_CHECKS = 124  # counts: instructions checked because ES, CS, SS or DS was not plain
SEGMENTS_LOADED = 1  # segments may have changed
SEGMENTS_WATCHED = 2  # ES, CS, SS or DS is not plain

# frame state: a frame is data (writable, not executable), code (executable, not writable) or, when both
# happen on one page, mixed (both; the processor then checks each store for code under it)
FRAME_CODE = 1
FRAME_MIXED = 2
FRAME_WRITABLE = 4  # some translation may allow writes
FRAME_ROM = 8
FRAME_BUCKET = 16  # writes to this ROM frame are dropped silently from now on
FRAME_TRACED = 32  # descriptors were read here: the first write takes the mark away

SAVED = (
    CLOCK, BRANCHES, IDLE, BLOCK, BLOCK_SIZE, BLOCK_INFO, REP_START, TIME_RATE, TIME_TICKS, TIME_CLOCK, OUTSIDE,
    CHECKED, RESUME,
)  # fmt: skip
"""Cells that belong to the processor's state."""

ALLOW_ALL, ALLOW_NONE = (1 << 64) - 1, (1 << 64) - 2

# physical addresses above 4 GB, where no 32-bit guest address can reach: pages of our own
ABOVE = 1 << 32
VOID_PAGE = ABOVE  # reads all ones
BUCKET_PAGE = ABOVE + 0x1000  # takes writes that go nowhere
ALIAS_PAGE = ABOVE + 0x2000  # stands in for a device's registers during one instruction
ABOVE_SIZE = 0x3000
TC_PHYSICAL = ABOVE + 0x400000  # the translation cache
WATCH_PAGE = ABOVE + 0x10000  # the watched frame, by callbacks
REGISTER_PAGE = ABOVE + 0x20000  # device registers that hold still, by a callback


class Stop(IntEnum):
    """Why a compiled hook stopped the processor or refused a translation."""

    NONE = 0
    DEADLINE = 1
    PAUSE = 2
    WINDOW = 3
    PARTIAL = 4  # the deadline falls inside the next block
    SENSITIVE = 5  # the next block holds an instruction that needs a check first
    EXCEPTION = 6
    PAGE_FAULT = 7
    CODE_WRITE = 8  # a store to a frame that holds translated code
    CODE_FETCH = 9  # a fetch from a frame that may be writable somewhere
    MMIO = 10
    ROM_WRITE = 11
    FLUSH = 13  # INVLPG has hit a large page: its other translations must go too
    NOWHERE = 12  # a fetch where there is no memory
    REGISTER = 15  # a load from a device register that does not hold still
    KERNEL = 16  # the guest's kernel goes on where only its programs may run directly
    MONITOR = 17  # an access to the monitor's part of the linear space
    MISSING = 18  # a jump to code that is not translated; TC_WHERE
    CALLOUT = 19  # an operation that is not done in the translation cache; TC_WHERE
    STALE = 20  # the next block's page may lead elsewhere now
    UNCHECKED = 21  # the next block uses a segment that is not plain, its translation has no checks
    BEFORE_REP = 14  # where code and stores meet a repeated instruction must begin its block


def new_cells() -> npt.NDArray[np.uint64]:
    """A zeroed array of cells with no deadline."""
    cells = np.zeros(CELLS, np.uint64)
    cells[[DEADLINE, PAUSE, LIMIT]] = np.uint64(1 << 63)
    cells[ALLOW] = ALLOW_NONE
    cells[TIME_RATE] = 1 << 16
    return cells
