"""The command line: `labkit doctor | guests | fetch | run | bench | lab`.

Exit codes: 0 what was asked for came to pass; 1 the guest ended otherwise, or a check found something wrong;
2 wrong use, or a file that cannot be used; 70 a fault in labkit itself; 130 interrupted; 141 the reader of
the output left. Errors take one or two lines on stderr; LABKIT_DEBUG=1 shows where they arose.
"""

import gc
import os
import sys
from collections.abc import Sequence

from labkit.cli.errors import DONE, FAULT, INTERRUPTED, PIPE_CLOSED, WRONG_USE, CommandError, complain

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    collecting = gc.isenabled()
    gc.disable()  # a start makes many objects, all of which stay: looking through them is 6 % of a boot
    try:
        from labkit.cli.app import command  # here: an interrupt while importing is ours too

        result = command()(given or ["--help"], prog_name="labkit", standalone_mode=False)
    except Exception as error:
        if os.environ.get("LABKIT_DEBUG"):
            raise
        return _explain(error)
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    finally:
        if collecting:
            gc.enable()
    return result if isinstance(result, int) else DONE


def _explain(error: Exception) -> int:
    """Say what is wrong; the exit code that belongs to it."""
    guests = sys.modules.get("labkit.guests.errors")  # whoever raised a GuestError has imported it
    if isinstance(error, CommandError) or (guests and isinstance(error, guests.GuestError)):
        complain(error)
        return WRONG_USE
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 (the interpreter flushes it when it ends)
        return PIPE_CLOSED
    if callable(usage := getattr(error, "format_message", None)):  # the option parser's own errors
        context = getattr(error, "ctx", None)
        complain(f"{usage()}\nSee: {context.command_path if context else 'labkit'} --help")
        return WRONG_USE
    first = str(error).splitlines()[0] if str(error) else ""
    complain(f"internal error, {type(error).__name__}: {first}\nplease report what LABKIT_DEBUG=1 shows")
    return FAULT
