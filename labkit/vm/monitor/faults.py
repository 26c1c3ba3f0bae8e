"""A fault that arises while an event is being delivered."""

__all__ = ["DeliveryFault"]


class DeliveryFault(Exception):  # noqa: N818  (faults are what the manual calls them)
    """Vector and error code of the fault; caught inside the monitor, never seen outside.

    Raised by the steps of a delivery, so that each check reads as in the manual's pseudocode.
    """

    def __init__(self, vector: int, error: int, address: int = 0) -> None:
        super().__init__(f"fault {vector} error {error:x}h")
        self.vector, self.error, self.address = vector, error, address
