"""Keys stand in for rights, live: virtual and shadow entries side by side, every bit with the rule that set it.

Entry object: `KeysView`. Read first: session.py (what one can do), then view.py (what is seen).
"""

from labkit.widgets.keys.session import KeysSession
from labkit.widgets.keys.widget import KeysView

__all__ = ["KeysSession", "KeysView"]
