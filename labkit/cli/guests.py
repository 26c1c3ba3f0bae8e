"""`labkit guests`: what can be run by name, and whether it is there."""

import json
from typing import Any

from labkit.cli.errors import DONE
from labkit.cli.table import table

__all__ = ["list_guests"]


def list_guests(*, as_json: bool) -> int:
    """Print the list."""
    from labkit.guests import catalog
    from labkit.guests.fetch import fetched

    known = [catalog.guest(name) for name in catalog.names()]
    rows: list[dict[str, Any]] = [
        {
            "name": guest.name,
            "description": guest.description,
            "ready": not guest.fetch or fetched(guest.name) is not None,
            "prompt": guest.prompt,
        }
        for guest in known
    ]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    else:
        state = {row["name"]: "ready" if row["ready"] else f"labkit fetch {row['name']}" for row in rows}
        print(table([(row["name"], state[row["name"]], row["description"]) for row in rows]))
    return DONE
