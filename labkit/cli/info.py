"""`labkit info`: what is in a recording, without replaying it."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.cli.errors import DONE, CommandError

if TYPE_CHECKING:
    from labkit.vm.replay import Recording

__all__ = ["entries_by_kind", "in_words", "info"]


def entries_by_kind(recording: "Recording") -> dict[str, int]:
    """How many entries of each kind it has."""
    return dict(sorted(Counter(type(entry).__name__.lower() for entry in recording.entries).items()))


def in_words(kinds: dict[str, int]) -> str:
    """`4 anchors, 1 given`."""
    said = (f"{count} {kind}{'s'[: count != 1 and kind != 'given']}" for kind, count in kinds.items())
    return ", ".join(said) or "nothing"


def info(path: Path, *, as_json: bool) -> int:
    """Say what the recording holds. Raises CommandError for a file that is none."""
    import msgspec

    from labkit.vm.replay import Recording

    try:
        recording = Recording.read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        raise CommandError(f"{path} cannot be read: {reason}" if reason else str(error)) from error
    header, end = recording.header, recording.end
    kinds = entries_by_kind(recording)
    per = 1000 * recording.log_bytes / max(recording.clock, 1)
    found: dict[str, Any] = {
        "file": str(path), "bytes": recording.size, "log_bytes": recording.log_bytes,
        "log_bytes_per_1000_instructions": round(per, 4), "instructions": recording.clock,
        "header": msgspec.to_builtins(header), "embedded_image": recording.image is not None,
        "entries": kinds, "end": msgspec.to_builtins(end), "damage": recording.damage,
    }  # fmt: skip
    if as_json:
        print(json.dumps(found))
        return DONE
    count = f"{recording.clock:,}".replace(",", " ")
    image = "image inside" if recording.image else f"image {header.image_sha256[:12]} needed"
    print(f"guest    {header.guest or header.kernel}, {header.memory >> 20} MB, {image}")
    print(f"length   {count} instructions")
    print(f"entries  {in_words(kinds)}")
    print(f"size     {recording.size} bytes, {per:.3f} of log per 1000 instructions")
    print(f"end      {f'{end.reason}: {end.message}; RAM {end.ram_sha256[:16]}' if end else 'none'}")
    if recording.damage:
        print(f"damage   {recording.damage}")
    return DONE
