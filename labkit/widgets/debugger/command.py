"""A command from the front-end: parsed into a bounded, typed value before anything is done with it."""

from typing import Annotated, Any

import msgspec

__all__ = ["Command", "CommandError", "number_of", "parse"]

Text = Annotated[str, msgspec.Meta(max_length=4096)]


class CommandError(ValueError):
    """A command that cannot be carried out; the text is a sentence for people."""


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. `seq` counts the front-end's commands, so that it knows which view answers which."""

    do: Annotated[str, msgspec.Meta(max_length=20)]
    seq: int = 0
    to: int | None = None
    """A point (retired instructions) or a linear address."""
    name: Annotated[str, msgspec.Meta(max_length=40)] = ""
    text: Text = ""


LAST_NUMBER = 1 << 53
"""Beyond it JavaScript cannot count."""


def number_of(content: Any) -> int:
    """The number of a message, even of one that is refused: its sender waits for a view with it. 0 without one."""
    number = content.get("seq") if isinstance(content, dict) else None
    return min(max(number, 0), LAST_NUMBER) if type(number) is int else 0


def parse(content: Any) -> Command:
    """The command in a message. Raises CommandError for anything else."""
    try:
        return msgspec.convert(content, Command)
    except msgspec.ValidationError as error:
        raise CommandError(f"this is not a command: {error}") from None
