"""The chips of the PC board, one file per chip, named as their data sheets name them.

Each chip knows guest time (`Clock`) and its interrupt lines, nothing of processors, instructions or the host.
"""

__all__: list[str] = []
