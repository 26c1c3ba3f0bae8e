"""What the command line says when something is wrong, and the exit codes that it ends with."""

import sys

__all__ = [
    "DONE", "FAULT", "INTERRUPTED", "OTHER_END", "PIPE_CLOSED", "WRONG_USE", "CommandError", "complain",
]  # fmt: skip

DONE = 0
OTHER_END = 1
"""The guest ended otherwise than was asked for, or something that was checked is not right."""
WRONG_USE = 2
"""An option, a file or an image that cannot be used."""
FAULT = 70
"""A fault in labkit itself."""
INTERRUPTED = 130
PIPE_CLOSED = 141
"""Whoever read our output has left; the shell's own number for it."""

_MAX_LINES = 2


class CommandError(Exception):
    """Wrong use of the command line; the message says in a line or two what was found and what to do."""


def complain(message: object) -> None:
    """Write a message of at most two lines to stderr, marked as ours."""
    lines = [line.strip() for line in str(message).splitlines() if line.strip()] or ["something went wrong"]
    if len(lines) > _MAX_LINES:
        lines = [lines[0], " ".join(lines[1:])]
    print(f"labkit: {lines[0]}", *lines[1:], sep="\n        ", file=sys.stderr, flush=True)
