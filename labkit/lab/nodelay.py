"""Kernel websockets that send at once: the server leaves Nagle's algorithm on, and each answer waits 40 ms.

A kernel answers a request in several small messages. With Nagle's algorithm the second waits until the
browser has acknowledged the first, and the browser delays that by 40 ms, in the hope of something to send
along. TCP_NODELAY on the server's side of the socket ends it (RFC 896, RFC 1122 section 4.2.3.4).
"""

from typing import Any

__all__ = ["without_delay"]


def without_delay(connection: Any) -> Any:
    """A subclass of a server's kernel connection class whose sockets have TCP_NODELAY set."""

    def connect(self: Any) -> Any:
        self.websocket_handler.set_nodelay(True)
        return connection.connect(self)  # a future, or None where the connection failed

    return type(f"{connection.__name__}WithoutDelay", (connection,), {"connect": connect})
