"""A trace for other programs: as text, and as ChampSim reads it.

    text      point cpl linear physical size  [r|w physical:bytes=value ...]       one line per instruction
    ChampSim  struct input_instr, 64 bytes: u64 ip, u8 is_branch, u8 branch_taken, u8 destination_registers[2],
              u8 source_registers[4], u64 destination_memory[2], u64 source_memory[4]

ChampSim gets linear addresses of instructions and physical ones of data, moved apart (2^32 up) so that they do
not meet. It has no room for more than 2 stores and 4 loads of an instruction: what is more is left out and
counted. Registers matter to it for branches only: those that make its tracer reader see the branch's type
(inc/instruction.h: 26 instruction pointer, 6 stack pointer, 25 flags).
"""

import numpy as np

from labkit.vm.replay.trace_batch import KIND_BRANCH, Batch, Column

__all__ = ["CHAMPSIM", "champsim", "text"]

CHAMPSIM = np.dtype([
    ("ip", "<u8"), ("is_branch", "u1"), ("branch_taken", "u1"), ("destination_registers", "u1", 2),
    ("source_registers", "u1", 4), ("destination_memory", "<u8", 2), ("source_memory", "<u8", 4),
])  # fmt: skip
DATA = np.uint64(1 << 32)
STACK_POINTER, FLAGS, INSTRUCTION_POINTER = 6, 25, 26


def champsim(batch: Batch) -> tuple[Column, int]:
    """Records of a batch, and how many references found no room.

    The last instruction's branch counts as not taken: what comes next is not known.
    """
    count = len(batch)
    records = np.zeros(count, CHAMPSIM)
    records["ip"] = batch.linear
    branch = (batch.kind & KIND_BRANCH) != 0
    taken = np.zeros(count, np.bool_)
    taken[:-1] = batch.linear[1:] != batch.linear[:-1] + batch.size[:-1]
    records["is_branch"], records["branch_taken"] = branch, branch & taken
    records["destination_registers"][branch, 0] = INSTRUCTION_POINTER
    records["source_registers"][branch, 0] = INSTRUCTION_POINTER
    records["source_registers"][branch, 1] = FLAGS
    left_out = 0
    owner = batch.owner
    for name, slots, mask in (("destination_memory", 2, batch.write), ("source_memory", 4, ~batch.write)):
        mine, where = owner[mask], batch.address[mask].astype(np.uint64) + DATA
        turn = np.arange(len(mine)) - np.searchsorted(mine, mine)  # which one of its instruction
        fits = turn < slots
        records[name][mine[fits], turn[fits]] = where[fits]
        left_out += int((~fits).sum())
    return records, left_out


def text(batch: Batch) -> str:
    """Lines of a batch."""
    ends = np.cumsum(batch.refs, dtype=np.int64)
    lines = []
    values = batch.value.tolist() if batch.value is not None else None
    rows = zip(
        batch.point.tolist(), batch.cpl.tolist(), batch.linear.tolist(), batch.physical.tolist(),
        batch.size.tolist(), ends.tolist(), batch.refs.tolist(), strict=True,
    )  # fmt: skip
    for point, cpl, linear, physical, size, end, refs in rows:
        accesses = "".join(_access(batch, i, values) for i in range(end - refs, end))
        lines.append(f"{point} {cpl} {linear:08x} {physical:08x} {size}{accesses}\n")
    return "".join(lines)


def _access(batch: Batch, i: int, values: list[int] | None) -> str:
    meta = int(batch.meta[i])
    value = f"={values[i]:x}" if values is not None else ""
    return f" {'w' if meta & 0x80 else 'r'} {int(batch.address[i]):08x}:{meta & 0x7F}{value}"
