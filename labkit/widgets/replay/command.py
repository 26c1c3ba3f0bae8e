"""A message from the front-end of a view of lab 4: parsed into a bounded, typed value first."""

from typing import Annotated, Any

import msgspec

__all__ = ["Command", "CommandError", "parse"]


class CommandError(ValueError):
    """What cannot be carried out; the text is a sentence for people."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. `seq` counts the front-end's commands, so that it knows which view answers which."""

    do: Annotated[str, msgspec.Meta(max_length=20)]
    seq: int = 0
    lane: Annotated[int, msgspec.Meta(ge=-1, le=63)] = -1
    low: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    """Places on the line that is shown, 0 to 1."""
    high: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    name: Annotated[str, msgspec.Meta(max_length=40)] = ""
    text: Annotated[str, msgspec.Meta(max_length=4096)] = ""


def parse(content: Any) -> Command:
    """The command in a message. Raises CommandError for anything else."""
    try:
        return msgspec.convert(content, Command)
    except msgspec.ValidationError as error:
        raise CommandError(f"this is not a command: {error}") from None
