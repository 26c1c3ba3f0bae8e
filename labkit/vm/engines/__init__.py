"""The second engine: a binary translator for the guest's kernel.

Entry object: `BinaryTranslator`. Read first: `translator.py`, `decode.py`, `emit.py`.
"""

from labkit.vm.engines.engine import BinaryTranslator
from labkit.vm.engines.snapshot import Snapshot, Translation

__all__ = ["BinaryTranslator", "Snapshot", "Translation"]
